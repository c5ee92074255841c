use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certwright_runtime::clock;
use parking_lot::Mutex;
use serde_json::json;
use wiremock::matchers::{header, method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::identity::{Ambient, Environment};

#[path = "../../tests/fakes/cloud_dns.rs"]
mod fake;
use self::fake::FakeCloudDns;

const NAME: &str = "_acme-challenge.a.example.com";

#[tokio::test]
async fn values_are_added_and_removed_one_by_one_and_others_stay() {
    let google = Google::start().await;
    google.write("public", NAME, 300, &["\"somebody's\"", "plain"]);
    let service = google.connect(public()).await;
    service.add(NAME, "example.com", 60, "one").await.unwrap();
    service.add(NAME, "example.com", 60, "one").await.unwrap();
    service.add(NAME, "example.com", 60, "t\"wo\\").await.unwrap();
    let mut values = service.values(NAME, "example.com").await.unwrap();
    values.sort();
    assert_eq!(values, ["one", "plain", "somebody's", "t\"wo\\"]);
    assert_eq!(google.fake.lock().changes, 2, "a value that is there is not added again");
    assert_eq!(google.read("public", NAME).unwrap().0, 300, "the time to live stays");
    for value in ["one", "one", "t\"wo\\", "plain", "nobody's"] {
        service.remove(NAME, "example.com", value).await.unwrap();
    }
    assert_eq!(google.read("public", NAME), Some((300, vec!["\"somebody's\"".to_owned()])));
    service.remove(NAME, "example.com", "somebody's").await.unwrap();
    assert_eq!(google.read("public", NAME), None);
    assert!(service.values(NAME, "example.com").await.unwrap().is_empty());
    service.remove(NAME, "example.com", "one").await.unwrap();
    service.add(NAME, "example.com", 60, "one").await.unwrap();
    assert_eq!(google.read("public", NAME), Some((60, vec!["\"one\"".to_owned()])));
}

#[tokio::test]
async fn a_change_of_somebody_else_is_a_conflict_and_stays() {
    for (before, meanwhile) in [
        (&[][..], &["\"theirs\""][..]),
        (&["\"theirs\""], &["\"theirs\"", "\"new\""]),
        (&["\"theirs\""], &[]),
    ] {
        let google = Google::start().await;
        google.write("public", NAME, 300, before);
        let service = google.connect(public()).await;
        let data = meanwhile.iter().map(|data| (*data).to_owned()).collect();
        google.fake.lock().before_change = Some(("public".to_owned(), format!("{NAME}."), 300, data));
        let error = service.add(NAME, "example.com", 60, "ours").await.unwrap_err();
        assert!(error.conflict, "{error}");
        service.add(NAME, "example.com", 60, "ours").await.unwrap();
        let expected: Vec<_> = meanwhile.iter().copied().chain(["\"ours\""]).map(str::to_owned).collect();
        assert_eq!(google.read("public", NAME).unwrap().1, expected);
    }
}

#[tokio::test]
async fn the_zone_is_the_public_one_of_that_name_or_of_a_parent() {
    let google = Google::start().await;
    let service = google.connect(public()).await;
    service.add(NAME, "a.example.com", 60, "one").await.unwrap();
    assert!(google.read("public", NAME).is_some());
    let private = CloudDnsSettings { private: true, ..public() };
    google.connect(private).await.add(NAME, "example.com", 60, "one").await.unwrap();
    assert!(google.read("internal", NAME).is_some());
    let named = CloudDnsSettings { managed_zone: Some("other".to_owned()), ..public() };
    google.connect(named).await.add(NAME, "example.com", 60, "one").await.unwrap();
    assert!(google.read("other", NAME).is_some());

    let error = service.add("a.example.org", "a.example.org", 60, "one").await.unwrap_err();
    assert_eq!(
        error.message,
        "project zones-project has no public managed zone for a.example.org or a parent of it; name the zone in hostedZoneName"
    );
    google.fake.lock().zones.push(("duplicate", "example.com.", "public"));
    let error = service.add(NAME, "example.com", 60, "one").await.unwrap_err();
    assert_eq!(
        error.message,
        "project zones-project has several managed zones for example.com: duplicate, public; name one of them in hostedZoneName"
    );
}

#[tokio::test]
async fn an_error_has_the_words_of_google() {
    let google = Google::start().await;
    let service = google.connect(CloudDnsSettings { project: "theirs".to_owned(), ..public() }).await;
    assert_eq!(
        service.add(NAME, "example.com", 60, "one").await.unwrap_err().message,
        "Google Cloud DNS answered HTTP 403: Permission denied on resource project; check the credentials and their rights"
    );
    let named = CloudDnsSettings { managed_zone: Some("missing".to_owned()), ..public() };
    let error = google.connect(named).await.add(NAME, "example.com", 60, "one").await.unwrap_err();
    assert!(
        !error.conflict
            && error.message.starts_with("Google Cloud DNS answered HTTP 404: The 'parameters.managedZone'")
    );
    for (answer, expected) in [
        (ResponseTemplate::new(500), "Google Cloud DNS answered HTTP 500"),
        (html(502), "Google Cloud DNS answered HTTP 502 (text/html)"),
        (html(200), "Google Cloud DNS sent an answer that has an unexpected form (text/html)"),
        (
            ResponseTemplate::new(429).insert_header("retry-after", "9"),
            "Google Cloud DNS answered HTTP 429; it limits the rate of requests",
        ),
        (
            ResponseTemplate::new(401).set_body_json(json!({"error": {"message": "bad token ya29.token"}})),
            "Google Cloud DNS answered HTTP 401: bad token <redacted>; check the credentials and their rights",
        ),
        (
            ResponseTemplate::new(200).set_body_string("x".repeat((1 << 20) + 1)),
            "Google Cloud DNS sent an answer of more than 1 MiB, which is not read",
        ),
        (html(200).set_delay(Duration::from_secs(60)), "Google Cloud DNS did not answer in time"),
    ] {
        let google = Google::start().await;
        let service = google.connect(public()).await;
        google.server.reset().await;
        Mock::given(method("GET")).respond_with(answer).mount(&google.server).await;
        let error = service.values(NAME, "example.com").await.unwrap_err();
        assert_eq!(error.message, expected);
        assert_eq!(error.retry_after, expected.contains("429").then_some(Duration::from_secs(9)));
    }
}

/// A project with two public zones and a private one, and the metadata service of a pod in it.
struct Google {
    server: MockServer,
    fake: Arc<Mutex<FakeCloudDns>>,
}

impl Google {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let zones = vec![
            ("internal", "example.com.", "private"),
            ("public", "example.com.", "public"),
            ("other", "a.b.example.com.", "public"),
        ];
        let fake = Arc::new(Mutex::new(FakeCloudDns { zones, ..FakeCloudDns::default() }));
        let token = json!({"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"});
        Mock::given(path(
            "/metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token",
        ))
        .respond_with(ResponseTemplate::new(200).set_body_json(token))
        .mount(&server)
        .await;
        let answering = fake.clone();
        Mock::given(path_regex("^/dns.googleapis.com/"))
            .and(header("authorization", "Bearer ya29.token"))
            .respond_with(move |request: &Request| {
                let url = &request.url;
                let path = url.path().strip_prefix("/dns.googleapis.com").unwrap();
                let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
                let (status, body) =
                    answering.lock().answer(request.method.as_str(), path, &query, &request.body);
                ResponseTemplate::new(status).set_body_json(body)
            })
            .mount(&server)
            .await;
        Self { server, fake }
    }

    async fn connect(&self, settings: CloudDnsSettings) -> CloudDns {
        let identity = Identity::of_a_test(Environment::default(), clock::now, &self.server.uri());
        let source = GoogleSource::Ambient(Ambient::permitted(true).unwrap());
        CloudDns::connect(&identity, &source, None, settings).await.unwrap()
    }

    fn write(&self, zone: &str, name: &str, ttl: u64, data: &[&str]) {
        if !data.is_empty() {
            let data = data.iter().map(|data| (*data).to_owned()).collect();
            self.fake.lock().sets.insert((zone.to_owned(), format!("{name}.")), (ttl, data));
        }
    }

    fn read(&self, zone: &str, name: &str) -> Option<(u64, Vec<String>)> {
        self.fake.lock().sets.get(&(zone.to_owned(), format!("{name}."))).cloned()
    }
}

fn public() -> CloudDnsSettings {
    CloudDnsSettings { project: "zones-project".to_owned(), managed_zone: None, private: false }
}

fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<h1>Oops</h1>", "text/html; charset=utf-8")
}

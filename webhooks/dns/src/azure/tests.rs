use std::collections::BTreeMap;
use std::sync::Arc;

use certwright_runtime::clock;
use parking_lot::Mutex;
use serde_json::json;
use wiremock::matchers::{header, method, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::identity::Environment;

#[path = "../../tests/fakes/azure_dns.rs"]
mod fake;
use self::fake::{FakeAzureDns, Set};

const NAME: &str = "_acme-challenge.a.example.com";

#[tokio::test]
async fn values_are_added_and_removed_one_by_one_and_others_stay() {
    for private in [false, true] {
        let azure = Azure::start(AzureCloud::Public, private).await;
        let theirs = Set {
            ttl: 300,
            values: vec![vec!["somebody".to_owned(), "'s".to_owned()]],
            metadata: [("owner".to_owned(), "them".to_owned())].into(),
            version: 1,
        };
        azure.write("_acme-challenge.a", theirs.clone());
        let service = azure.connect("dns-rg").await;
        for value in ["one", "one", "t\"wo\\"] {
            service.add(NAME, "example.com", 60, value).await.unwrap();
        }
        assert_eq!(service.values(NAME, "example.com").await.unwrap(), ["somebody's", "one", "t\"wo\\"]);
        assert_eq!(azure.fake.lock().changes, 2, "a value that is there is not added again");
        for value in ["one", "one", "t\"wo\\", "nobody's"] {
            service.remove(NAME, "example.com", value).await.unwrap();
        }
        assert_eq!(azure.read("_acme-challenge.a"), Some(Set { version: 5, ..theirs }));
        service.remove(NAME, "example.com", "somebody's").await.unwrap();
        assert_eq!(azure.read("_acme-challenge.a"), None);
        assert!(service.values(NAME, "example.com").await.unwrap().is_empty());
        service.remove(NAME, "example.com", "one").await.unwrap();
        service.add(NAME, "example.com", 60, "one").await.unwrap();
        let created = azure.read("_acme-challenge.a").unwrap();
        assert_eq!((created.ttl, created.values), (60, vec![vec!["one".to_owned()]]));
    }
}

#[tokio::test]
async fn a_change_of_somebody_else_is_a_conflict_and_stays() {
    for (before, meanwhile) in
        [(&[][..], &["theirs"][..]), (&["theirs"], &["theirs", "new"]), (&["theirs"], &[])]
    {
        let azure = Azure::start(AzureCloud::Public, false).await;
        azure.write("_acme-challenge.a", set(before, 1));
        let service = azure.connect("dns-rg").await;
        let foreign = ("example.com".to_owned(), "_acme-challenge.a".to_owned(), set(meanwhile, 2));
        azure.fake.lock().before_change = Some(foreign);
        let error = service.add(NAME, "example.com", 60, "ours").await.unwrap_err();
        assert!(error.conflict, "{error}");
        service.add(NAME, "example.com", 60, "ours").await.unwrap();
        let expected: Vec<_> =
            meanwhile.iter().chain(&["ours"]).map(|value| vec![(*value).to_owned()]).collect();
        assert_eq!(azure.read("_acme-challenge.a").unwrap().values, expected);
    }
    let azure = Azure::start(AzureCloud::Public, false).await;
    azure.write("_acme-challenge.a", set(&["ours"], 1));
    let service = azure.connect("dns-rg").await;
    let foreign = ("example.com".to_owned(), "_acme-challenge.a".to_owned(), set(&["ours", "new"], 2));
    azure.fake.lock().before_change = Some(foreign);
    assert!(service.remove(NAME, "example.com", "ours").await.unwrap_err().conflict);
    service.remove(NAME, "example.com", "ours").await.unwrap();
    assert_eq!(azure.read("_acme-challenge.a").unwrap().values, [["new"]]);
}

#[tokio::test]
async fn the_record_is_relative_to_the_zone_in_each_cloud() {
    for cloud in [AzureCloud::Public, AzureCloud::China, AzureCloud::UsGovernment] {
        let azure = Azure::start(cloud, false).await;
        let service = azure.connect("dns-rg").await;
        service.add("example.com", "example.com", 60, "apex").await.unwrap();
        assert!(azure.read("@").is_some());
    }
    let azure = Azure::start(AzureCloud::Public, false).await;
    let error =
        azure.connect("dns-rg").await.add("a.example.org", "example.com", 60, "one").await.unwrap_err();
    assert_eq!(
        error.message,
        "the record a.example.org is not in the zone example.com; correct zone in the config"
    );
}

#[tokio::test]
async fn an_error_has_the_words_of_azure() {
    let azure = Azure::start(AzureCloud::Public, false).await;
    let error = azure.connect("theirs").await.add(NAME, "example.com", 60, "one").await.unwrap_err();
    assert_eq!(
        error.message,
        "Azure DNS answered HTTP 403: AuthorizationFailed: The client does not have authorization to perform action.; check \
         the credentials and their rights"
    );
    let error =
        azure.connect("dns-rg").await.add("a.example.org", "example.org", 60, "one").await.unwrap_err();
    assert!(error.message.starts_with("Azure DNS answered HTTP 404: ParentResourceNotFound: "), "{error}");
    azure.connect("dns-rg").await.remove("a.example.org", "example.org", "one").await.unwrap();
    let locked = json!({"error": {"code": "ScopeLocked", "message": "there is a lock; token eyJ.token"}});
    for (answer, expected) in [
        (
            ResponseTemplate::new(409).set_body_json(locked),
            "Azure DNS answered HTTP 409: ScopeLocked: there is a lock; token <redacted>",
        ),
        (ResponseTemplate::new(503).insert_header("retry-after", "9"), "Azure DNS answered HTTP 503"),
        (
            ResponseTemplate::new(200).set_body_raw("<h1>Oops</h1>", "text/html"),
            "Azure DNS sent an answer that has an unexpected form (text/html)",
        ),
    ] {
        let service = azure.connect("dns-rg").await;
        azure.server.reset().await;
        Mock::given(method("GET")).respond_with(answer).mount(&azure.server).await;
        let error = service.add(NAME, "example.com", 60, "one").await.unwrap_err();
        assert_eq!((error.message.as_str(), error.conflict), (expected, false));
        assert_eq!(error.retry_after.is_some(), expected.contains("503"));
        azure.server.reset().await;
        azure.mount(AzureCloud::Public).await;
    }
}

#[test]
fn a_value_is_split_into_strings() {
    let value = format!("{}é", "x".repeat(254));
    assert_eq!(strings(&value), ["x".repeat(254), "é".to_owned()]);
    assert_eq!(strings("one"), ["one"]);
}

/// A resource group with a zone.
struct Azure {
    server: MockServer,
    fake: Arc<Mutex<FakeAzureDns>>,
    cloud: AzureCloud,
    private: bool,
}

impl Azure {
    async fn start(cloud: AzureCloud, private: bool) -> Self {
        let fake = FakeAzureDns { zones: vec!["example.com"], private, ..FakeAzureDns::default() };
        let azure =
            Self { server: MockServer::start().await, fake: Arc::new(Mutex::new(fake)), cloud, private };
        azure.mount(cloud).await;
        azure
    }

    async fn mount(&self, cloud: AzureCloud) {
        let token = json!({"access_token": "eyJ.token", "expires_in": 3599, "token_type": "Bearer"});
        Mock::given(path_regex("/oauth2/v2.0/token$"))
            .respond_with(ResponseTemplate::new(200).set_body_json(token))
            .mount(&self.server)
            .await;
        let host = cloud.resource_manager().strip_prefix("https:/").unwrap();
        let fake = self.fake.clone();
        Mock::given(path_regex(format!("^{host}/subscriptions/")))
            .and(header("authorization", "Bearer eyJ.token"))
            .respond_with(move |request: &Request| {
                let url = &request.url;
                let path = url.path().strip_prefix(host).unwrap();
                let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
                let headers = request.headers.iter();
                let headers =
                    headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
                let method = request.method.as_str();
                let (status, body) =
                    fake.lock().answer(method, path, &query, &headers.collect(), &request.body);
                ResponseTemplate::new(status).set_body_json(body)
            })
            .mount(&self.server)
            .await;
    }

    async fn connect(&self, resource_group: &str) -> AzureDns {
        let identity = Identity::of_a_test(Environment::default(), clock::now, &self.server.uri());
        let source = AzureSource::ClientSecret {
            tenant_id: "tenant".to_owned(),
            client_id: "client".to_owned(),
            client_secret: "secret".into(),
        };
        let settings = AzureDnsSettings {
            cloud: self.cloud,
            subscription: "sub-1".to_owned(),
            resource_group: resource_group.to_owned(),
            private: self.private,
        };
        AzureDns::connect(&identity, &source, settings).await.unwrap()
    }

    fn write(&self, name: &str, set: Set) {
        if !set.values.is_empty() {
            self.fake.lock().sets.insert(("example.com".to_owned(), name.to_owned()), set);
        }
    }

    fn read(&self, name: &str) -> Option<Set> {
        self.fake.lock().sets.get(&("example.com".to_owned(), name.to_owned())).cloned()
    }
}

fn set(values: &[&str], version: usize) -> Set {
    let values = values.iter().map(|value| vec![(*value).to_owned()]).collect();
    Set { ttl: 300, values, version, ..Set::default() }
}

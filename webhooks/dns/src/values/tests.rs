use std::sync::Arc;

use certwright_egress::{Egress, Rules};
use futures::future::try_join_all;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::*;
use crate::config;
use crate::identity::Identity;

const NAME: &str = "_acme-challenge.a.example";

#[tokio::test]
async fn values_come_and_go_one_by_one_and_others_stay() {
    let zone = Zone::with(&["foreign"]);
    let webhook = Webhook::at(&zone).await;
    for (action, value, expected) in [
        (Action::Present, "one", vec!["foreign", "one"]),
        (Action::Present, "two", vec!["foreign", "one", "two"]),
        (Action::Present, "two", vec!["foreign", "one", "two"]),
        (Action::CleanUp, "one", vec!["foreign", "two"]),
        (Action::CleanUp, "one", vec!["foreign", "two"]),
        (Action::CleanUp, "two", vec!["foreign"]),
    ] {
        webhook.change(action, value).await.unwrap();
        assert_eq!(zone.values(), expected, "{action:?} {value}");
    }
}

#[tokio::test]
async fn what_is_done_already_is_not_written() {
    let zone = Zone::with(&["one"]);
    let webhook = Webhook::at(&zone).await;
    webhook.change(Action::Present, "one").await.unwrap();
    webhook.change(Action::CleanUp, "two").await.unwrap();
    assert_eq!(zone.0.lock().writes, 0);
}

#[tokio::test]
async fn twenty_values_at_one_name_come_at_once_and_go_at_once() {
    let zone = Zone::with(&["foreign"]);
    let webhook = Webhook::at(&zone).await;
    let values: Vec<_> = (10..30).map(|n| format!("value-{n}")).collect();
    try_join_all(values.iter().map(|value| webhook.change(Action::Present, value))).await.unwrap();
    assert_eq!(zone.values().len(), 21);
    try_join_all(values.iter().map(|value| webhook.change(Action::CleanUp, value))).await.unwrap();
    assert_eq!(zone.values(), ["foreign"]);
    assert_eq!(webhook.values.locks.lock().len(), 1, "locks of the same name are one");
}

#[tokio::test]
async fn an_account_with_a_slow_server_keeps_no_other_from_the_same_name() {
    let slow = Webhook::answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let zone = Zone::with(&[]);
    let quick = Webhook { values: slow.values.clone(), ..Webhook::at(&zone).await };
    tokio::select! {
        biased;
        done = slow.change(Action::Present, "slow") => panic!("{done:?}"),
        done = quick.change(Action::Present, "quick") => done.unwrap(),
    }
    assert_eq!(zone.values(), ["quick"]);
}

#[tokio::test]
async fn a_value_that_another_writer_has_overwritten_is_written_again() {
    let zone = Zone::with(&[]);
    // It writes back what it has read before our value came, twice.
    zone.0.lock().overwritten = 2;
    let webhook = Webhook::at(&zone).await;
    webhook.change(Action::Present, "one").await.unwrap();
    assert_eq!(zone.values(), ["foreign", "one"]);
    assert_eq!(zone.0.lock().writes, 3);
}

#[tokio::test]
async fn a_value_that_never_stays_is_an_error() {
    let zone = Zone::with(&[]);
    zone.0.lock().overwritten = u32::MAX;
    let webhook = Webhook::at(&zone).await;
    let error = webhook.change(Action::Present, "one").await.unwrap_err();
    assert_eq!(
        error.message,
        "adding the TXT record failed: the service accepted the value, but does not list it; check whether another program writes \
         the same name"
    );
    assert_eq!(zone.0.lock().writes, ATTEMPTS);
}

#[tokio::test]
async fn a_write_that_failed_is_repeated_only_if_somebody_else_wrote() {
    let zone = Zone::with(&[]);
    let webhook = Webhook::at(&zone).await;
    zone.0.lock().refused = 1;
    let error = webhook.change(Action::Present, "one").await.unwrap_err().message;
    assert_eq!(error, "adding the TXT record failed: PowerDNS answered HTTP 409");
    zone.0.lock().refused = 1;
    zone.0.lock().other_comes = true;
    webhook.change(Action::Present, "one").await.unwrap();
    assert_eq!(zone.values(), ["foreign", "one"]);
}

#[tokio::test]
async fn a_long_answer_is_not_read() {
    let webhook = Webhook::answering(ResponseTemplate::new(200).set_body_string("x".repeat(2 << 20))).await;
    let error = webhook.change(Action::Present, "one").await.unwrap_err().message;
    assert_eq!(
        error,
        "adding the TXT record failed: PowerDNS sent an answer of more than 1 MiB, which is not read"
    );
}

#[tokio::test]
async fn what_a_service_asked_to_wait_for_is_kept() {
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "90");
    let error = Webhook::answering(limited).await.change(Action::Present, "one").await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn a_zone_that_does_not_contain_the_name_is_refused() {
    let zone = Zone::with(&[]);
    let mut webhook = Webhook::at(&zone).await;
    webhook.config.zone = Some("b.example".to_owned());
    let error = webhook.change(Action::Present, "one").await.unwrap_err().message;
    assert_eq!(error, "config.zone is b.example, but _acme-challenge.a.example is not in it");
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up_in_time() {
    let zone = Zone::with(&[]);
    let webhook = Webhook::at(&zone).await;
    let turn = webhook.values.lock((webhook.account, "a.example".to_owned(), Some(NAME.to_owned())));
    let _taken = turn.lock().await;
    tokio::time::pause();
    let error = webhook.change(Action::CleanUp, "one").await.unwrap_err().message;
    assert_eq!(
        error,
        "removing the TXT record failed: PowerDNS did not complete it within 25 seconds; it may be slow, or limit the rate of \
         requests"
    );
}

/// One record set of PowerDNS's API, and what befalls it.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    values: Vec<String>,
    writes: u32,
    /// How many more writes another writer undoes.
    overwritten: u32,
    /// How many more writes are refused.
    refused: u32,
    /// Whether another writer comes before the next write.
    other_comes: bool,
}

impl Zone {
    fn with(values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self(Arc::new(Mutex::new(State { values, ..State::default() })))
    }

    fn values(&self) -> Vec<String> {
        let mut values = self.0.lock().values.clone();
        values.sort_unstable();
        values
    }
}

impl Respond for Zone {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock();
        if request.method.as_str() == "GET" {
            let records: Vec<_> = state
                .values
                .iter()
                .map(|value| json!({ "content": format!("\"{value}\""), "disabled": false }))
                .collect();
            let rrset = json!({ "name": format!("{NAME}."), "type": "TXT", "ttl": 60, "records": records });
            let rrsets = if records.is_empty() { vec![] } else { vec![rrset] };
            return ResponseTemplate::new(200).set_body_json(json!({ "rrsets": rrsets }));
        }
        if std::mem::take(&mut state.other_comes) {
            state.values.push("foreign".to_owned());
        }
        if state.refused > 0 {
            state.refused -= 1;
            return ResponseTemplate::new(409);
        }
        let body: Value = request.body_json().unwrap();
        let change = &body["rrsets"][0];
        let before = state.values.clone();
        state.values = match change["changetype"].as_str() {
            Some("DELETE") => Vec::new(),
            _ => change["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| record["content"].as_str().unwrap().trim_matches('"').to_owned())
                .collect(),
        };
        state.writes += 1;
        if state.overwritten > 0 {
            state.overwritten -= 1;
            state.values = before;
            if !state.values.contains(&"foreign".to_owned()) {
                state.values.push("foreign".to_owned());
            }
        }
        ResponseTemplate::new(204)
    }
}

struct Webhook {
    values: Arc<Values>,
    config: Config,
    account: Account,
    service: Service,
    _server: MockServer,
}

impl Webhook {
    async fn at(zone: &Zone) -> Self {
        Self::answering(zone.clone()).await
    }

    async fn answering(respond: impl Respond + 'static) -> Self {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(respond).mount(&server).await;
        let config = config::parse(&json!({
            "provider": "powerdns",
            "settings": { "url": server.uri() },
            "credentials": { "apiKey": { "secretRef": { "name": "pdns", "key": "key" } } },
        }))
        .unwrap();
        let secrets = config.secrets().into_iter().map(|at| (at, "secret".into())).collect();
        let egress =
            Egress::new(Rules { allow: vec!["127.0.0.1".parse().unwrap()], ..Rules::default() }, |_| {});
        let identity = Identity::from_env().unwrap();
        let service = config.connect(&secrets, &egress, &identity, false).await.unwrap();
        let account = config.account(&secrets);
        Self { values: Arc::default(), config, account, service, _server: server }
    }

    async fn change(&self, action: Action, value: &str) -> Result<(), ServiceError> {
        let challenge = Challenge {
            action,
            name: NAME.to_owned(),
            zone: "a.example".to_owned(),
            value: value.to_owned(),
            namespace: "default".to_owned(),
            may_use_ambient: false,
            config: Value::Null,
        };
        self.values.carry_out(&challenge, &self.config, self.account, &self.service).await
    }
}

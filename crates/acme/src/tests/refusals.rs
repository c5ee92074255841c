use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, key, order_json, problem};
use crate::{Account, AcmeError, Server, ServerConfig};

#[tokio::test]
async fn everything_that_the_ca_said_is_in_the_text() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| {
        let body = json!({
            "type": "urn:ietf:params:acme:error:compound", "detail": "Some names were refused",
            "instance": "https://ca.example/errors/8f3a", "status": 403,
            "subproblems": [
                { "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "Not \"this\" one",
                  "identifier": { "type": "dns", "value": "a.example" } },
                { "type": "urn:ietf:params:acme:error:caa", "identifier": { "type": "dns", "value": "b.example" } },
            ],
        });
        ResponseTemplate::new(403).set_body_raw(body.to_string(), "application/problem+json")
    })
    .await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the order failed: Some names were refused (urn:ietf:params:acme:error:compound); \
         a.example: Not \"this\" one (urn:ietf:params:acme:error:rejectedIdentifier); \
         b.example: urn:ietf:params:acme:error:caa"
    );
    assert_eq!((error.code(), error.status()), ("compound", Some(403)));
    assert_eq!(error.problem().unwrap().instance.as_deref(), Some("https://ca.example/errors/8f3a"));
}

#[tokio::test]
async fn a_problem_is_recognised_whatever_its_content_type() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(403).set_body_json(json!({ "detail": "OUT_OF_CREDIT" })))
        .await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.code(), "OUT_OF_CREDIT");
    assert_eq!(error.to_string(), "reading the order failed: OUT_OF_CREDIT");
}

#[tokio::test]
async fn a_503_with_html_keeps_status_and_type() {
    let ca = FakeCa::start().await;
    let page = "<html><title>503 Service Unavailable</title><body>Ray ID: 8f3a</body></html>";
    ca.on("/order/1", move |_| ResponseTemplate::new(503).set_body_raw(page, "text/html")).await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert_eq!(error.to_string(), "reading the order failed: 127.0.0.1 answered HTTP 503 (text/html)");
}

#[tokio::test]
async fn a_404_without_a_body_keeps_its_status() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(404)).await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.to_string(), "reading the order failed: 127.0.0.1 answered HTTP 404");
}

/// A directory can name a server that does not belong to its CA.
#[tokio::test]
async fn a_problem_without_any_mark_of_acme_is_not_quoted() {
    let ca = FakeCa::start().await;
    let stranger = wiremock::MockServer::start().await;
    let said = json!({ "type": "about:blank", "title": "secret", "detail": "secret" });
    let answer = ResponseTemplate::new(403).set_body_raw(said.to_string(), "application/problem+json");
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&stranger).await;
    let error = ca.account().order(&format!("{}/order/1", stranger.uri())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the order failed: 127.0.0.1 answered HTTP 403 (application/problem+json)"
    );
    let said = json!({ "type": "about:blank", "detail": "No such order" });
    ca.on("/order/1", move |_| ResponseTemplate::new(404).set_body_json(&said)).await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.to_string(), "reading the order failed: No such order (about:blank)", "it has a nonce");
}

#[tokio::test]
async fn json_without_content_is_not_a_problem_document() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(500).set_body_json(json!({ "trace": "abc" }))).await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert!(matches!(error, AcmeError::Http { status: 500, .. }), "{error}");
}

#[tokio::test]
async fn success_with_something_else_than_the_object_is_malformed() {
    for (body, said) in [
        ("<html>Welcome</html>", "200 text/plain, not JSON"),
        ("{\"status\": \"pend", "it is incomplete"),
        ("", "it is empty"),
        ("{}", "missing field `status`"),
    ] {
        let ca = FakeCa::start().await;
        ca.on("/order/1", move |_| ResponseTemplate::new(200).set_body_string(body)).await;
        let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
        assert!(matches!(&error, AcmeError::Malformed { what, .. } if what == said), "{error:?}");
    }
}

#[tokio::test]
async fn a_429_pauses_the_whole_account_without_a_request_until_it_is_over() {
    static NOW: AtomicI64 = AtomicI64::new(1000);
    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
    }
    let ca = FakeCa::start().await;
    ca.on("/finalize/1", |_| {
        problem(429, "urn:ietf:params:acme:error:rateLimited", "slow down")
            .insert_header("retry-after", "120")
    })
    .await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    let server = Server::new(ServerConfig { clock, ..ca.config() }).unwrap();
    let account = Account::resume(&server, key(), ca.url("/account/1"));

    let error = account.finalize(&ca.url("/finalize/1"), b"csr").await.unwrap_err();
    assert_eq!((error.code(), error.retry_after()), ("rateLimited", Some(Duration::from_secs(120))));

    let until = Timestamp::from_second(1120).unwrap();
    let clone = account.clone();
    NOW.store(1119, Ordering::SeqCst);
    assert_eq!(clone.order(&ca.url("/order/1")).await.unwrap_err(), AcmeError::Paused { until });
    assert_eq!((ca.requests().len(), clone.limiter().paused_until(clock())), (1, Some(until)));

    NOW.store(1120, Ordering::SeqCst);
    clone.order(&ca.url("/order/1")).await.unwrap();
}

#[tokio::test]
async fn a_pause_is_one_of_the_account_through_whichever_server_it_is_asked() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(429)).await;
    let account = ca.account();
    account.order(&ca.url("/order/1")).await.unwrap_err();
    let heir = account.through(&ca.server());
    assert!(matches!(heir.order(&ca.url("/order/1")).await, Err(AcmeError::Paused { .. })));
}

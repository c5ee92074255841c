use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::dns01::tests::record;
use certwright_egress::{Egress, Purpose};

fn accounts() -> Accounts {
    let account = |user: &str| {
        json!({
            "username": user, "password": "hunter2", "subdomain": format!("sub-{user}"),
            "fulldomain": format!("sub-{user}.acme.test"), "allowfrom": [],
        })
    };
    let json = json!({"a.test": account("apex"), "*.b.test": account("wildcard"), "B.test.": account("b")});
    Accounts::from_json(json.to_string().as_bytes()).unwrap()
}

async fn provider(template: ResponseTemplate) -> (MockServer, Provider) {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(template).mount(&server).await;
    let provider = asked_by(Settings { host: server.uri().parse().unwrap(), accounts: accounts() }).unwrap();
    (server, provider)
}

#[tokio::test]
async fn the_value_goes_to_the_account_of_the_domain() {
    let server = MockServer::start().await;
    let record = record("*.a.test");
    Mock::given(path("/base/update"))
        .and(header("x-api-user", "apex"))
        .and(header("x-api-key", "hunter2"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({"subdomain": "sub-apex", "txt": record.value})))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"txt": record.value})))
        .expect(1)
        .mount(&server)
        .await;
    let host = format!("{}/base/", server.uri()).parse().unwrap();
    let provider = asked_by(Settings { host, accounts: accounts() }).unwrap();
    provider.present(&record).await.unwrap();
    // This sends no request.
    provider.clean_up(&record).await.unwrap();
}

#[test]
fn the_account_under_the_exact_name_comes_before_that_of_the_apex() {
    let accounts = accounts();
    let fulldomain = |domain| accounts.of(domain).map(|account| account.fulldomain.as_str());
    assert_eq!(fulldomain("*.b.test"), Some("sub-wildcard.acme.test"));
    assert_eq!(fulldomain("b.test"), Some("sub-b.acme.test"));
    assert_eq!(fulldomain("*.A.test."), Some("sub-apex.acme.test"));
    assert_eq!(fulldomain("www.a.test"), None);
}

#[tokio::test]
async fn a_domain_without_an_account_is_named_with_those_that_have_one() {
    let (server, provider) = provider(ResponseTemplate::new(200)).await;
    let error = provider.present(&record("*.c.test")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no acme-dns account for c.test in acmeDNS.accountSecretRef (*.b.test, a.test, \
         b.test); register one, and store what the server answers under that name"
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_rejection_has_its_own_message() {
    for (status, body, text) in [
        (
            401,
            r#"{"error": "forbidden"}"#,
            "127.0.0.1 rejects the account of a.test: answered HTTP 401 (text/plain); check that the account \
             exists, its password, and that its allowfrom includes the operator's address",
        ),
        (
            400,
            r#"{"error": "bad_subdomain"}"#,
            "127.0.0.1 rejects the update for a.test: answered HTTP 400 (text/plain); check the \
             account's subdomain",
        ),
        (500, "<h1>Oh</h1>", "127.0.0.1 answered HTTP 500 (text/plain)"),
    ] {
        let (_server, provider) = provider(ResponseTemplate::new(status).set_body_string(body)).await;
        let error = provider.present(&record("a.test")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("updating the TXT record failed: {text}"));
    }
}

#[test]
fn invalid_accounts_are_rejected_without_showing_secrets() {
    let start = "the acme-dns accounts are not a JSON object of the form {\"<domain>\": {\"username\", \"password\", \
                 \"fulldomain\", \"subdomain\"}}: ";
    for (json, why) in [
        ("hunter2", "invalid JSON at line 1"),
        ("[\"hunter2\"]", "a value has the wrong type"),
        (r#"{"a.test": "hunter2"}"#, "an account has no username"),
        (r#"{"a.test": {"username": "hunter2"}}"#, "an account has no password"),
        (r#"{"a.test": {"username": "u", "password": "hunter2"}}"#, "an account has no subdomain"),
        (
            r#"{"a.test": {"username": 2, "password": "hunter2", "subdomain": "s"}}"#,
            "a value has the wrong type",
        ),
    ] {
        let error = Accounts::from_json(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, format!("{start}{why}"));
    }
}

#[test]
fn nothing_shows_a_password() {
    assert!(!format!("{:?}", accounts()).contains("hunter2"));
}

#[test]
fn a_url_of_another_kind_is_refused() {
    let settings = Settings { host: "ftp://host/".parse().unwrap(), accounts: accounts() };
    let error = asked_by(settings).unwrap_err().to_string();
    assert_eq!(error, "ftp://host/ is not an http or https URL; correct acmeDNS.host");
}

fn asked_by(settings: Settings) -> Result<Provider, Error> {
    Provider::new(
        settings,
        &Clients::new(Egress::unrestricted(), Purpose::Provider, || jiff::Timestamp::UNIX_EPOCH),
    )
}

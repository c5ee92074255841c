use std::sync::Arc;

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::command::check::Level;
use certwright_acme::ServerConfig;
use certwright_api::Issuer;
use certwright_egress::Egress;
use certwright_runtime::clock;

const OURS: &str = "https://ca.example/account/1";
const OTHER: &str = "https://ca.example/account/2";

#[tokio::test]
async fn a_directory_that_both_understand_alike_is_ok_and_nothing_else_is_sent() {
    let ca = Ca::start(|_| ()).await;
    let finding = ca.finding().await;
    assert_eq!(finding.level, Level::Ok, "{finding:?}");
    assert!(finding.words.contains("sees the same directory"), "{finding:?}");
    assert_eq!(ca.requests().await, ["GET /dir", "GET /dir"], "one for each client");
}

#[tokio::test]
async fn a_directory_that_differs_for_the_second_client_fails_and_quotes_both() {
    let ca = Ca::start(|directory| {
        directory["newOrder"] = json!("https://ca.example/\u{1b}[2Jelsewhere");
        directory["meta"]["externalAccountRequired"] = json!(true);
        directory["meta"]["profiles"]["short"] = json!("x".repeat(1000));
    })
    .await;
    let finding = ca.finding().await;
    assert_eq!((finding.level, finding.advice.as_str()), (Level::Fail, CA_BUG), "{finding:?}");
    for words in [
        "externalAccountRequired is \"false\" for Certwright and \"true\" for instant-acme",
        &format!(
            "newOrder is \"{}/order\" for Certwright and \"https://ca.example/ [2Jelsewhere\"",
            ca.url()
        ),
        "profile short is missing for Certwright",
    ] {
        assert!(finding.words.contains(words), "{words}: {finding:?}");
    }
    assert!(finding.words.len() < 1000, "{} bytes", finding.words.len());
}

#[tokio::test]
async fn an_entry_that_the_second_client_does_not_understand_is_named() {
    let reading = Reading {
        answer: Vec::new(),
        new_nonce: Some("https://ca.example/nonce".to_owned()),
        new_account: None,
        new_order: Some("https://ca.example/order".to_owned()),
        profiles: BTreeMap::new(),
    };
    let finding = compared("https://ca.example/dir", &directory_at("https://ca.example"), Ok(reading));
    assert_eq!((finding.level, finding.advice.as_str()), (Level::Fail, A_BUG));
    let words = "newAccount is \"https://ca.example/account\" for Certwright and missing for instant-acme";
    assert!(finding.words.ends_with(words), "{finding:?}");
}

#[tokio::test]
async fn what_would_make_the_second_client_panic_does_not_reach_it() {
    let ca = Ca::start(|directory| directory["newNonce"] = json!("https://ca.example/a b")).await;
    let finding = ca.finding().await;
    assert_eq!(finding.level, Level::Warn, "{finding:?}");
    assert!(finding.words.contains("cannot use the directory"), "{finding:?}");
}

#[tokio::test]
async fn what_the_second_client_cannot_read_is_not_quoted() {
    let ca =
        Ca::start(|directory| directory["meta"]["profiles"] = json!({ "secret": { "a": "secret" } })).await;
    let finding = ca.finding().await;
    assert_eq!(finding.level, Level::Warn, "{finding:?}");
    assert!(finding.words.ends_with("it cannot read the answer"), "{finding:?}");
}

#[tokio::test]
async fn limits_and_egress_rules_hold_for_the_second_client() {
    let ca = Ca::start(|directory| directory["more"] = json!("x".repeat(65 << 10))).await;
    let finding = ca.finding().await;
    assert!(
        finding.words.ends_with(
            "it is longer than 64 KiB; check the issuer's server URL, or contact the CA's operator"
        ),
        "{finding:?}"
    );
    let error = client::read_directory(&ca.server(Egress::default())).await.err().unwrap();
    assert!(error.contains("the operator's egress rules forbid its address"), "{error}");
}

#[tokio::test]
async fn the_second_client_finds_the_account_of_a_key() {
    let ca = Ca::start(|_| ()).await;
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let server = ca.server(Egress::unrestricted());
    ca.accounts(|| ResponseTemplate::new(200).insert_header("location", OURS).set_body_json(json!({}))).await;
    assert_eq!(client::look_up(&server, &key).await, Ok(Some(OURS.to_owned())));
    assert_eq!(ca.requests().await, ["GET /dir", "HEAD /nonce", "POST /account"]);

    ca.accounts(|| {
        let none = json!({ "type": "urn:ietf:params:acme:error:accountDoesNotExist" });
        ResponseTemplate::new(400).set_body_json(none)
    })
    .await;
    assert_eq!(client::look_up(&server, &key).await, Ok(None));

    ca.accounts(|| ResponseTemplate::new(503).set_body_string("secret")).await;
    assert_eq!(client::look_up(&server, &key).await, Err("it cannot read the answer".to_owned()));

    ca.accounts(|| ResponseTemplate::new(403).set_body_json(json!({ "detail": "secret" }))).await;
    assert_eq!(client::look_up(&server, &key).await, Err("the request was rejected".to_owned()));

    ca.accounts(|| {
        let refusal =
            json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": "not\n\u{1b}[2Jyou" });
        ResponseTemplate::new(403).set_body_json(refusal)
    })
    .await;
    let quoted = "API error: not [2Jyou (urn:ietf:params:acme:error:unauthorized)";
    assert_eq!(client::look_up(&server, &key).await, Err(quoted.to_owned()));

    let other = PrivateKey::generate(KeyAlgorithm::ECDSA_P384).unwrap();
    assert_eq!(client::look_up(&server, &other).await, Err("invalid key bytes".to_owned()));
}

#[test]
fn different_accounts_are_quoted_and_judged() {
    let found = |url: &str| Ok(Some(url.to_owned()));
    let failed = || Err("it took too long".to_owned());
    for (ours, theirs, level, advice) in [
        (found(OTHER), found(OTHER), Level::Fail, "The account has changed at the CA"),
        (Ok(None), Ok(None), Level::Fail, "The account has changed at the CA"),
        (found(OURS), found(OTHER), Level::Fail, "A CA has one account for a key"),
        (found(OURS), Ok(None), Level::Fail, "A CA has one account for a key"),
        (found(OURS), failed(), Level::Warn, "If this repeats"),
        (failed(), failed(), Level::Warn, "If this repeats"),
    ] {
        let finding = judged(&issuer(), OURS, &ours, &theirs);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.advice.starts_with(advice), "{finding:?}");
        assert!(finding.words.ends_with(&format!("the status has \"{OURS}\"")), "{finding:?}");
    }
    let finding = judged(&issuer(), OURS, &found(OURS), &found(OTHER));
    let words = format!(
        "gets the account \"{OURS}\" and a second ACME client (instant-acme) gets the account \"{OTHER}\""
    );
    assert!(finding.words.contains(&words), "{finding:?}");
}

fn issuer() -> IssuerRecord {
    IssuerRecord::from(&Issuer::new("ca", Default::default()))
}

fn directory(base: &str) -> Value {
    json!({
        "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"), "newOrder": format!("{base}/order"),
        "keyChange": format!("{base}/key"), "meta": { "profiles": { "classic": "90 days" } },
    })
}

fn directory_at(base: &str) -> Directory {
    let mut directory = directory(base);
    directory["meta"] = json!({});
    serde_json::from_value(directory).unwrap()
}

/// A CA whose directory can differ for the second client.
struct Ca(MockServer);

impl Ca {
    async fn start(change: impl FnOnce(&mut Value)) -> Self {
        let ca = MockServer::start().await;
        let (ours, mut theirs) = (directory(&ca.uri()), directory(&ca.uri()));
        change(&mut theirs);
        let bodies = Arc::new((ours, theirs));
        let respond = move |request: &Request| {
            let agent =
                request.headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
            let body = if agent.starts_with(NAME) { &bodies.1 } else { &bodies.0 };
            ResponseTemplate::new(200).set_body_json(body)
        };
        Mock::given(method("GET")).and(path("/dir")).respond_with(respond).mount(&ca).await;
        let nonce = ResponseTemplate::new(200).insert_header("replay-nonce", "bm9uY2U");
        Mock::given(method("HEAD")).and(path("/nonce")).respond_with(nonce).mount(&ca).await;
        Self(ca)
    }

    /// The next answer to newAccount.
    async fn accounts(&self, answer: impl FnOnce() -> ResponseTemplate) {
        let next = Mock::given(method("POST")).and(path("/account")).respond_with(answer());
        next.up_to_n_times(1).mount(&self.0).await;
    }

    fn url(&self) -> String {
        self.0.uri()
    }

    fn server(&self, egress: Egress) -> Server {
        let config = ServerConfig::new(format!("{}/dir", self.url()), clock::now);
        Server::new(ServerConfig { egress, ..config }).unwrap()
    }

    /// What the check says about its directory.
    async fn finding(&self) -> Finding {
        let server = self.server(Egress::unrestricted());
        server.directory().await.unwrap();
        super::directory(&server).await.unwrap()
    }

    async fn requests(&self) -> Vec<String> {
        let requests = self.0.received_requests().await.unwrap();
        requests.iter().map(|request| format!("{} {}", request.method, request.url.path())).collect()
    }
}

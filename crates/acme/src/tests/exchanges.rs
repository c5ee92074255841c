use std::sync::{Arc, Mutex};

use base64::engine::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, order_json};
use crate::{
    Account, AcmeError, Exchange, ExternalAccountKey, Identifier, MacAlgorithm, NewOrder, Registration,
    Server,
};
use certwright_pki::{KeyAlgorithm, KeyEncoding, PrivateKey};

const MAC_KEY: &[u8] = b"a MAC key of thirty-two bytes...";

#[tokio::test]
async fn a_recorded_exchange_says_what_was_asked_and_answered_but_cannot_be_used_by_others() {
    let ca = FakeCa::start().await;
    ca.on("/account", |_| {
        let account = json!({ "status": "valid", "orders": "https://ca.example/orders" });
        ResponseTemplate::new(201)
            .set_body_json(account)
            .insert_header("Location", "https://ca.example/account/1")
            .insert_header("Set-Cookie", "session=hunter2")
            .insert_header("X-Request-Id", "4711")
    })
    .await;
    let (server, seen) = recorded(&ca);
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let external = ExternalAccountKey {
        key_id: "kid-1".to_owned(),
        mac_key: MAC_KEY.to_vec().into(),
        algorithm: MacAlgorithm::Hs256,
    };
    let registration = Registration { external_account: Some(external), ..Registration::default() };
    Account::register(&server, key.clone(), &registration).await.unwrap();

    let [directory, nonce, registered] = &seen()[..] else { panic!("{:?}", seen()) };
    assert_eq!((directory.operation.as_str(), directory.status), ("directory", Some(200)));
    assert!(directory.answer.contains("newNonce") && directory.request.is_empty(), "{directory:?}");
    assert_eq!((nonce.operation.as_str(), nonce.status), ("newNonce", Some(200)));
    assert_eq!((registered.operation.as_str(), registered.status), ("newAccount", Some(201)));
    let request: Value = serde_json::from_str(&registered.request).unwrap();
    assert_eq!(request["protected"]["alg"], "ES256");
    let binding = &request["payload"]["externalAccountBinding"];
    assert_eq!(binding["protected"]["kid"], "kid-1");
    assert_eq!(binding["payload"], request["protected"]["jwk"]);
    assert!(registered.headers.contains("location: https://ca.example/account/1"), "{registered:?}");
    assert!(registered.headers.contains("x-request-id: 4711"), "{registered:?}");

    let sent = ca.requests().pop().unwrap();
    let all = format!("{:?}", seen());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(&sent.signature);
    let mac = sent.json()["externalAccountBinding"]["signature"].as_str().unwrap().to_owned();
    let used = sent.header["nonce"].as_str().unwrap().to_owned();
    let pem = key.to_pem(KeyEncoding::Pkcs8).unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with("--")).map(str::to_owned);
    let secrets = [signature, mac, used, "hunter2".to_owned(), BASE64_STANDARD.encode(MAC_KEY)];
    for secret in secrets.into_iter().chain(lines) {
        assert!(!all.contains(&secret), "{secret} is in {all}");
    }
}

#[tokio::test]
async fn an_error_of_the_ca_and_an_answer_that_does_not_come_are_recorded() {
    let ca = FakeCa::start().await;
    ca.on("/order", |_| {
        let problem =
            json!({ "type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it\u{1b}[2J" });
        ResponseTemplate::new(403).set_body_json(problem)
    })
    .await;
    let (server, seen) = recorded(&ca);
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let account = Account::resume(&server, key, ca.url("/account/1"));
    let identifiers = vec![Identifier::dns("www.example.com")];
    let order = NewOrder { identifiers, not_after: None, profile: None, replaces: None };
    assert!(matches!(account.new_order(&order).await, Err(AcmeError::Problem { .. })));
    let refused = seen().pop().unwrap();
    assert_eq!(refused.status, Some(403));
    assert!(refused.request.contains("www.example.com"), "{refused:?}");
    assert!(refused.answer.contains("CAA forbids it") && !refused.answer.contains('\u{1b}'), "{refused:?}");

    assert!(account.order("http://127.0.0.1:1/order/1").await.is_err());
    let unanswered = seen().pop().unwrap();
    assert_eq!((unanswered.status, unanswered.operation.as_str()), (None, "order"));
    assert!(unanswered.answer.contains("127.0.0.1"), "{unanswered:?}");
}

#[tokio::test]
async fn an_exchange_is_bounded_whatever_the_server_sends() {
    let ca = FakeCa::start().await;
    let long = "a".repeat(40_000);
    ca.on("/order/1", move |_| {
        let mut order = order_json();
        order["more"] = json!(long);
        ResponseTemplate::new(200).set_body_json(order).insert_header("Link", "b".repeat(20_000))
    })
    .await;
    let (server, seen) = recorded(&ca);
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    Account::resume(&server, key, ca.url("/account/1")).order(&ca.url("/order/1")).await.unwrap();
    let exchange = seen().pop().unwrap();
    assert!(exchange.answer.starts_with('{') && exchange.answer.ends_with('…'), "{}", exchange.answer);
    assert!(exchange.size() < 10_000, "{}", exchange.size());
}

/// A client that records, and what it has recorded.
fn recorded(ca: &FakeCa) -> (Server, impl Fn() -> Vec<Exchange>) {
    let kept: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let to = kept.clone();
    let server = ca.server().recording(Arc::new(move |exchange| to.lock().unwrap().push(exchange)));
    (server, move || kept.lock().unwrap().clone())
}

use aws_lc_rs::hmac;
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, key, problem};
use crate::{
    Account, AccountStatus, AcmeError, ExternalAccountKey, MacAlgorithm, Registration, parse_mac_key,
};

#[tokio::test]
async fn a_registration_agrees_to_the_terms_and_names_the_contacts() {
    let ca = with_accounts(201).await;
    let contact = vec!["ops@example.com".to_owned(), "mailto:b@example.com".to_owned()];
    let registration = Registration { contact, external_account: None };
    let registered = Account::register(&ca.server(), key(), &registration).await.unwrap();
    assert!(registered.created);
    assert_eq!(registered.account.url(), ca.url("/account/7"));
    assert_eq!(registered.state.status, AccountStatus::Valid);
    let payload = ca.requests().pop().unwrap().json();
    let contact = ["mailto:ops@example.com", "mailto:b@example.com"];
    assert_eq!(payload, json!({ "termsOfServiceAgreed": true, "contact": contact }));
}

#[tokio::test]
async fn the_same_key_registered_again_finds_its_account() {
    let ca = with_accounts(200).await;
    let registered = Account::register(&ca.server(), key(), &Registration::default()).await.unwrap();
    assert!(!registered.created);
    assert_eq!(registered.account.url(), ca.url("/account/7"));
}

#[tokio::test]
async fn a_registration_is_signed_with_the_key_itself() {
    let ca = with_accounts(201).await;
    Account::register(&ca.server(), key(), &Registration::default()).await.unwrap();
    let header = ca.requests().pop().unwrap().header;
    assert_eq!(header["jwk"]["crv"], "P-256");
    assert!(header.get("kid").is_none());
}

#[tokio::test]
async fn the_external_account_is_bound_with_each_mac_algorithm() {
    let algorithms = [
        (MacAlgorithm::Hs256, "HS256", hmac::HMAC_SHA256),
        (MacAlgorithm::Hs384, "HS384", hmac::HMAC_SHA384),
        (MacAlgorithm::Hs512, "HS512", hmac::HMAC_SHA512),
    ];
    let ca = with_accounts(201).await;
    for (algorithm, name, hmac_algorithm) in algorithms {
        let mac_key =
            parse_mac_key(b"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n").unwrap();
        let external = ExternalAccountKey { key_id: "kid-1".to_owned(), mac_key, algorithm };
        let registration = Registration { contact: Vec::new(), external_account: Some(external) };
        Account::register(&ca.server(), key(), &registration).await.unwrap();

        let request = ca.requests().pop().unwrap();
        let binding = request.json()["externalAccountBinding"].clone();
        let part = |name: &str| binding[name].as_str().unwrap().to_owned();
        let decode = |text: String| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let header: Value = serde_json::from_slice(&decode(part("protected"))).unwrap();
        assert_eq!(header, json!({ "alg": name, "kid": "kid-1", "url": ca.url("/account") }));
        let bound: Value = serde_json::from_slice(&decode(part("payload"))).unwrap();
        assert_eq!(bound, request.header["jwk"]);
        let secret = decode("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".to_owned());
        let signed = format!("{}.{}", part("protected"), part("payload"));
        hmac::verify(&hmac::Key::new(hmac_algorithm, &secret), signed.as_bytes(), &decode(part("signature")))
            .unwrap();
    }
}

#[tokio::test]
async fn a_ca_that_wants_external_binding_unannounced_is_heard() {
    let ca = FakeCa::start().await;
    let typ = "urn:ietf:params:acme:error:externalAccountRequired";
    ca.on("/account", move |_| problem(403, typ, "bind it")).await;
    let error = Account::register(&ca.server(), key(), &Registration::default()).await.unwrap_err();
    assert_eq!(error.code(), "externalAccountRequired");
    assert_eq!(error.to_string(), format!("registering the account failed: bind it ({typ})"));
}

#[tokio::test]
async fn looking_up_finds_an_account_or_says_that_there_is_none() {
    let ca = with_accounts(200).await;
    let found = Account::look_up(&ca.server(), key()).await.unwrap().unwrap();
    assert_eq!(found.account.url(), ca.url("/account/7"));
    assert_eq!(ca.requests().pop().unwrap().json(), json!({ "onlyReturnExisting": true }));

    let ca = FakeCa::start().await;
    ca.on("/account", |_| problem(400, "urn:ietf:params:acme:error:accountDoesNotExist", "no")).await;
    assert!(Account::look_up(&ca.server(), key()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_failing_ca_is_not_taken_for_one_without_the_account() {
    let ca = FakeCa::start().await;
    ca.on("/account", |_| ResponseTemplate::new(500)).await;
    assert_eq!(Account::look_up(&ca.server(), key()).await.unwrap_err().status(), Some(500));
}

#[tokio::test]
async fn a_registration_answered_without_a_location_is_malformed() {
    let ca = FakeCa::start().await;
    ca.on("/account", |_| ResponseTemplate::new(201).set_body_json(json!({ "status": "valid" }))).await;
    let error = Account::register(&ca.server(), key(), &Registration::default()).await.unwrap_err();
    assert!(matches!(&error, AcmeError::Malformed { what, .. } if what.contains("Location")), "{error}");
}

#[tokio::test]
async fn the_state_of_an_account_is_read_and_its_contact_changed_and_nothing_else() {
    let ca = FakeCa::start().await;
    let state = json!({ "status": "deactivated", "contact": null, "vendor": 1 });
    ca.on("/account/1", move |_| ResponseTemplate::new(200).set_body_json(&state)).await;
    let account = ca.account();
    assert_eq!(account.state().await.unwrap().status, AccountStatus::Deactivated);
    account.update_contact(&["a@example.com".to_owned()]).await.unwrap();
    let payloads: Vec<String> = ca.requests().into_iter().map(|request| request.payload).collect();
    assert_eq!(payloads, ["", r#"{"contact":["mailto:a@example.com"]}"#]);
}

#[test]
fn the_key_authorization_joins_token_and_thumbprint() {
    let server = crate::Server::new(crate::ServerConfig::new("https://ca.example/d", super::fake_ca::epoch));
    let account = Account::resume(&server.unwrap(), key(), "https://ca.example/account/1");
    assert_eq!(account.key_authorization("tok"), format!("tok.{}", account.thumbprint()));
}

async fn with_accounts(status: u16) -> FakeCa {
    let ca = FakeCa::start().await;
    let url = ca.url("/account/7");
    ca.on("/account", move |_| {
        ResponseTemplate::new(status)
            .insert_header("location", url.as_str())
            .set_body_json(json!({ "status": "valid", "contact": [] }))
    })
    .await;
    ca
}

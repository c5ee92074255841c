use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use super::fake_ca::{FakeCa, key, problem};
use crate::AcmeError;
use certwright_pki::{KeyAlgorithm, PrivateKey};

const DER: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0xff];

#[tokio::test]
async fn the_account_names_itself_and_the_reason() {
    let ca = with_revocation(|| ResponseTemplate::new(200)).await;
    ca.account().revoke_certificate(DER, 4).await.unwrap();
    let request = ca.requests().pop().unwrap();
    assert_eq!(request.header["kid"], ca.url("/account/1"));
    assert_eq!(request.json(), json!({ "certificate": BASE64_URL_SAFE_NO_PAD.encode(DER), "reason": 4 }));
}

#[tokio::test]
async fn no_reason_is_not_sent() {
    let ca = with_revocation(|| ResponseTemplate::new(200)).await;
    ca.account().revoke_certificate(DER, 0).await.unwrap();
    assert_eq!(ca.requests().pop().unwrap().json()["reason"], Value::Null);
}

#[tokio::test]
async fn the_certificates_own_key_signs_as_itself() {
    let ca = with_revocation(|| ResponseTemplate::new(200)).await;
    let keys = [key(), PrivateKey::generate(KeyAlgorithm::Rsa(2048)).unwrap()];
    for (key, algorithm) in keys.into_iter().zip(["ES256", "RS256"]) {
        ca.server().revoke_certificate_with_its_key(key, DER, 1).await.unwrap();
        let header = ca.requests().pop().unwrap().header;
        assert_eq!(header["alg"], algorithm);
        assert!(header["jwk"].is_object() && header.get("kid").is_none(), "{header:#}");
    }
}

#[tokio::test]
async fn revoking_a_revoked_certificate_is_not_an_error() {
    let ca =
        with_revocation(|| problem(400, "urn:ietf:params:acme:error:alreadyRevoked", "done before")).await;
    ca.account().revoke_certificate(DER, 4).await.unwrap();
    ca.server().revoke_certificate_with_its_key(key(), DER, 4).await.unwrap();
}

#[tokio::test]
async fn a_refusal_has_the_words_of_the_ca() {
    let typ = "urn:ietf:params:acme:error:badRevocationReason";
    let ca = with_revocation(move || problem(400, typ, "only 1")).await;
    let error = ca.account().revoke_certificate(DER, 4).await.unwrap_err();
    assert_eq!(error.to_string(), format!("revoking the certificate failed: only 1 ({typ})"));
}

#[tokio::test]
async fn a_ca_without_revoke_cert_gets_no_request() {
    let ca = FakeCa::start().await;
    let error = ca.account().revoke_certificate(DER, 4).await.unwrap_err();
    assert!(matches!(error, AcmeError::NotOffered { entry: "revokeCert", .. }), "{error}");
    assert!(error.to_string().ends_with("has no revokeCert"), "{error}");
    assert_eq!(ca.count("POST").await, 0);
}

async fn with_revocation(answer: impl Fn() -> ResponseTemplate + Send + Sync + 'static) -> FakeCa {
    let ca = FakeCa::start().await;
    let directory = json!({
        "newNonce": ca.url("/nonce"), "newAccount": ca.url("/account"), "newOrder": ca.url("/order"),
        "revokeCert": ca.url("/revoke"),
    });
    Mock::given(method("GET"))
        .and(path("/directory"))
        .respond_with(ResponseTemplate::new(200).set_body_json(directory))
        .mount(ca.http())
        .await;
    ca.on("/revoke", move |_| answer()).await;
    ca
}

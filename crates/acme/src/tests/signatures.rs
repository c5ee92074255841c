use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, order_json};
use crate::Account;
use certwright_pki::{KeyAlgorithm, PrivateKey};

#[tokio::test]
async fn each_kind_of_key_signs_with_its_own_algorithm() {
    let kinds: [(KeyAlgorithm, &str, &'static dyn VerificationAlgorithm); 4] = [
        (KeyAlgorithm::ECDSA_P256, "ES256", &ECDSA_P256_SHA256_FIXED),
        (KeyAlgorithm::ECDSA_P384, "ES384", &ECDSA_P384_SHA384_FIXED),
        (KeyAlgorithm::ECDSA_P521, "ES512", &ECDSA_P521_SHA512_FIXED),
        (KeyAlgorithm::Rsa(3072), "RS256", &RSA_PKCS1_2048_8192_SHA256),
    ];
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    for (algorithm, name, verification) in kinds {
        let key = PrivateKey::generate(algorithm).unwrap();
        let account = Account::resume(&ca.server(), key.clone(), ca.url("/account/1"));
        account.order(&ca.url("/order/1")).await.unwrap();
        let request = ca.requests().pop().unwrap();
        assert_eq!(request.header["alg"], name);
        let public_key = ParsedPublicKey::new(verification, key.public_key_der()).unwrap();
        public_key.verify_sig(request.signed.as_bytes(), &request.signature).unwrap();
    }
}

#[tokio::test]
async fn a_request_names_the_account_and_carries_no_key() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    ca.account().order(&ca.url("/order/1")).await.unwrap();
    let request = ca.requests().pop().unwrap();
    assert_eq!(request.header["kid"], ca.url("/account/1"));
    assert!(request.header.get("jwk").is_none());
}

#[tokio::test]
async fn a_request_says_who_we_are_and_in_what_language_we_read() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    ca.account().order(&ca.url("/order/1")).await.unwrap();
    let headers = ca.requests().pop().unwrap().headers;
    assert_eq!(headers["user-agent"], concat!("certwright/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers["accept-language"], "en");
}

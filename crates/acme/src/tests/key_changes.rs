use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, Jws, key, order_json, problem};
use crate::{Account, AcmeError, Operation, jwk_thumbprint};

#[tokio::test]
async fn a_key_change_is_signed_by_the_old_key_and_within_it_by_the_next() {
    let ca = with_key_change(|_| ResponseTemplate::new(200)).await;
    let (old, next) = (key(), key());
    let account = Account::resume(&ca.server(), old.clone(), ca.url("/account/1"));
    account.change_key(&next).await.unwrap().answer.unwrap();

    let request = ca.requests().pop().unwrap();
    assert_eq!(request.header["kid"], ca.url("/account/1"));
    assert!(request.header.get("jwk").is_none());
    verify(&request.signed, &request.signature, &jwk_of(&old));
    let inner = request.json();
    let part = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(inner[name].as_str().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&part("protected")).unwrap();
    let payload: Value = serde_json::from_slice(&part("payload")).unwrap();
    assert_eq!(header["url"], request.header["url"]);
    assert!(header.get("nonce").is_none() && header.get("kid").is_none(), "{header}");
    assert_eq!(payload["account"], ca.url("/account/1"));
    assert_eq!(payload["oldKey"], jwk_of(&old));
    assert_eq!(header["jwk"], jwk_of(&next));
    let signed = format!("{}.{}", inner["protected"].as_str().unwrap(), inner["payload"].as_str().unwrap());
    verify(&signed, &part("signature"), &header["jwk"]);
}

#[tokio::test]
async fn nothing_is_signed_before_it_is_known_which_key_the_account_has() {
    for answer in [200, 409, 500] {
        let ca = with_key_change(move |_| ResponseTemplate::new(answer)).await;
        let (account, next) = (ca.account(), key());
        let clone = account.clone();
        let change = account.change_key(&next).await.unwrap();
        assert_eq!(change.answer.is_ok(), answer == 200);
        drop(change);
        let sent = ca.requests().len();
        assert_eq!(clone.order(&ca.url("/order/1")).await.unwrap_err(), AcmeError::KeyInDoubt);
        assert_eq!(account.change_key(&next).await.map(drop).unwrap_err(), AcmeError::KeyInDoubt);
        assert_eq!((ca.requests().len(), account.is_in_doubt()), (sent, true));

        account.settle(&next);
        clone.order(&ca.url("/order/1")).await.unwrap();
        let request = ca.requests().pop().unwrap();
        verify(&request.signed, &request.signature, &jwk_of(&next));
        assert_eq!(clone.thumbprint(), jwk_thumbprint(&next), "clones follow");
        assert_eq!(clone.key_authorization("t"), format!("t.{}", jwk_thumbprint(&next)));
    }
}

#[tokio::test]
async fn requests_wait_until_the_change_is_over_and_then_have_the_new_key() {
    let ca = with_key_change(|_| ResponseTemplate::new(200)).await;
    let (account, next) = (ca.account(), key());
    let change = account.change_key(&next).await.unwrap();
    let waiting = tokio::spawn({
        let (account, url) = (account.clone(), ca.url("/order/1"));
        async move { account.order(&url).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert_eq!(ca.requests().len(), 1, "only the change was sent");
    account.settle(&next);
    drop(change);
    waiting.await.unwrap().unwrap();
    let request = ca.requests().pop().unwrap();
    verify(&request.signed, &request.signature, &jwk_of(&next));
}

#[tokio::test]
async fn a_directory_without_key_change_leaves_the_key_as_it_is() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    let account = ca.account();
    let error = account.change_key(&key()).await.map(drop).unwrap_err();
    assert!(matches!(error, AcmeError::NotOffered { operation: Operation::KeyChange, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "changing the account key is not possible: the directory of 127.0.0.1 has no keyChange"
    );
    assert!(!account.is_in_doubt());
    account.order(&ca.url("/order/1")).await.unwrap();
}

#[tokio::test]
async fn a_ca_that_pauses_the_account_is_not_asked_for_a_change() {
    let ca = with_key_change(|_| problem(429, "urn:ietf:params:acme:error:rateLimited", "slow")).await;
    let (account, next) = (ca.account(), key());
    let change = account.change_key(&next).await.unwrap();
    assert_eq!(change.answer.as_ref().unwrap_err().code(), "rateLimited");
    account.settle(&next);
    drop(change);
    assert!(matches!(account.change_key(&next).await, Err(AcmeError::Paused { .. })));
    assert!(!account.is_in_doubt(), "nothing was sent");
}

async fn with_key_change(answer: impl Fn(&Jws) -> ResponseTemplate + Send + Sync + 'static) -> FakeCa {
    let ca = FakeCa::start_with(|directory, base| {
        directory["keyChange"] = json!(format!("{base}/key-change"));
    })
    .await;
    ca.on("/key-change", answer).await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    ca
}

/// The public key as JSON.
fn jwk_of(key: &certwright_pki::PrivateKey) -> Value {
    let certwright_pki::PublicNumbers::Ec { curve, x, y } = key.public_numbers() else { panic!("an EC key") };
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    json!({ "kty": "EC", "crv": curve.to_string(), "x": encode(&x), "y": encode(&y) })
}

fn verify(signed: &str, signature: &[u8], jwk: &Value) {
    let coordinate = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), signature).unwrap();
}

use futures::future::join_all;
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, order_json};
use crate::{Account, AcmeError, Limiter};

#[tokio::test]
async fn one_nonce_is_fetched_and_then_each_answer_brings_the_next() {
    let ca = with_orders().await;
    let account = ca.account();
    for _ in 0..10 {
        account.order(&ca.url("/order/1")).await.unwrap();
    }
    assert_eq!((ca.count("HEAD").await, ca.count("POST").await), (1, 10));
}

#[tokio::test]
async fn a_new_account_object_needs_no_nonce_of_its_own() {
    let ca = with_orders().await;
    let server = ca.server();
    for _ in 0..3 {
        let account = Account::resume(&server, super::fake_ca::key(), ca.url("/account/1"));
        account.order(&ca.url("/order/1")).await.unwrap();
    }
    assert_eq!(ca.count("HEAD").await, 1);
}

#[tokio::test]
async fn an_error_brings_a_nonce_too() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(500)).await;
    let account = ca.account();
    for _ in 0..5 {
        account.order(&ca.url("/order/1")).await.unwrap_err();
    }
    assert_eq!((ca.count("HEAD").await, ca.count("POST").await), (1, 5));
}

#[tokio::test]
async fn requests_get_through_when_nine_nonces_in_ten_are_refused() {
    let ca = with_orders().await;
    ca.refuse_nonces(|tried| tried % 10 != 9);
    let account = ca.account();
    let url = ca.url("/order/1");
    for outcome in join_all((0..20).map(|_| account.order(&url))).await {
        outcome.unwrap();
    }
    assert_eq!((ca.requests().len(), ca.refused_nonces()), (20, 180));
    assert!(ca.count("HEAD").await <= Limiter::DEFAULT_IN_FLIGHT, "the nonce of each error is used");
}

#[tokio::test]
async fn a_ca_that_refuses_every_nonce_is_given_up_in_the_end() {
    let ca = with_orders().await;
    ca.refuse_nonces(|_| true);
    let account = ca.account();
    let errors = [account.order(&ca.url("/order/1")).await, account.order(&ca.url("/order/1")).await]
        .map(Result::unwrap_err);
    assert_eq!((errors[0].code(), ca.refused_nonces()), ("badNonce", 128));
    assert_eq!(errors[0].to_string(), errors[1].to_string(), "the nonce is not in the text");
}

#[tokio::test]
async fn a_new_nonce_without_a_nonce_is_malformed() {
    let ca = FakeCa::start().await;
    wiremock::Mock::given(wiremock::matchers::method("HEAD"))
        .respond_with(ResponseTemplate::new(200))
        .mount(ca.http())
        .await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert!(matches!(&error, AcmeError::Malformed { what, .. } if what.contains("Replay-Nonce")), "{error}");
}

async fn with_orders() -> FakeCa {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    ca
}

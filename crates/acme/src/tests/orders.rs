use std::time::Duration;

use serde_json::json;
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, order_json};
use crate::{AcmeError, AuthorizationStatus, ChallengeStatus, Identifier, NewOrder, OrderStatus};

#[tokio::test]
async fn a_new_order_has_its_url_from_the_location() {
    let ca = FakeCa::start().await;
    ca.on("/order", |_| {
        ResponseTemplate::new(201).insert_header("location", "/order/1").set_body_json(order_json())
    })
    .await;
    let names = vec![Identifier::dns("a.example"), Identifier::ip("2001:db8::1".parse().unwrap())];
    let order = NewOrder {
        identifiers: names,
        not_after: None,
        profile: Some("tlsserver".to_owned()),
        replaces: None,
    };
    let answer = ca.account().new_order(&order).await.unwrap();
    assert_eq!(answer.location, Some(ca.url("/order/1")));
    assert_eq!(answer.value.status, OrderStatus::Pending);
    let identifiers =
        json!([{ "type": "dns", "value": "a.example" }, { "type": "ip", "value": "2001:db8::1" }]);
    let payload = ca.requests().pop().unwrap().json();
    assert_eq!(payload, json!({ "identifiers": identifiers, "profile": "tlsserver" }));
}

/// RFC 9773 section 5.
#[tokio::test]
async fn only_a_ca_with_renewal_information_is_told_what_an_order_replaces() {
    for (has_it, told) in [(true, json!("id.AQ")), (false, json!(null))] {
        let ca = FakeCa::start_with(|directory, base| {
            if has_it {
                directory["renewalInfo"] = json!(format!("{base}/renewal-info"));
            }
        })
        .await;
        ca.on("/order", |_| {
            ResponseTemplate::new(201).insert_header("location", "/order/1").set_body_json(order_json())
        })
        .await;
        let order = NewOrder { replaces: Some("id.AQ".to_owned()), ..one_name() };
        ca.account().new_order(&order).await.unwrap();
        assert_eq!(ca.requests().pop().unwrap().json()["replaces"], told);
    }
}

#[tokio::test]
async fn the_location_is_kept_character_for_character() {
    let ca = FakeCa::start().await;
    let url = "https://CA.example:443/acme/../order/%7e1";
    ca.on("/order", move |_| {
        ResponseTemplate::new(201).insert_header("location", url).set_body_json(order_json())
    })
    .await;
    assert_eq!(ca.account().new_order(&one_name()).await.unwrap().location.as_deref(), Some(url));
}

#[tokio::test]
async fn a_new_order_without_a_location_is_malformed() {
    let ca = FakeCa::start().await;
    ca.on("/order", |_| ResponseTemplate::new(201).set_body_json(order_json())).await;
    let error = ca.account().new_order(&one_name()).await.unwrap_err();
    assert!(matches!(&error, AcmeError::Malformed { what, .. } if what.contains("Location")), "{error}");
}

#[tokio::test]
async fn objects_are_read_with_an_empty_payload() {
    let ca = FakeCa::start().await;
    let authorization = json!({
        "status": "valid", "identifier": { "type": "dns", "value": "a.example" }, "challenges": null,
    });
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    ca.on("/authz/1", move |_| ResponseTemplate::new(200).set_body_json(&authorization)).await;
    let account = ca.account();
    account.order(&ca.url("/order/1")).await.unwrap();
    let answer = account.authorization(&ca.url("/authz/1")).await.unwrap();
    assert_eq!(answer.value.status, AuthorizationStatus::Valid);
    assert!(ca.requests().iter().all(|request| request.payload.is_empty()), "POST-as-GET");
}

#[tokio::test]
async fn an_order_that_is_processing_says_when_to_look_again() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| {
        ResponseTemplate::new(200)
            .insert_header("retry-after", "7")
            .set_body_json(json!({ "status": "processing", "finalize": "https://ca.example/f" }))
    })
    .await;
    let answer = ca.account().order(&ca.url("/order/1")).await.unwrap();
    assert_eq!(answer.value.status, OrderStatus::Processing);
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_challenge_is_answered_with_an_empty_object() {
    let ca = FakeCa::start().await;
    let challenge = json!({ "type": "http-01", "url": "u", "status": "processing", "token": "t" });
    ca.on("/challenge/1", move |_| ResponseTemplate::new(200).set_body_json(&challenge)).await;
    let answer = ca.account().answer(&ca.url("/challenge/1")).await.unwrap();
    assert_eq!(answer.value.status, ChallengeStatus::Processing);
    assert_eq!(ca.requests().pop().unwrap().payload, "{}");
}

#[tokio::test]
async fn an_authorization_is_given_up() {
    let ca = FakeCa::start().await;
    let gone = json!({ "status": "deactivated", "identifier": { "type": "dns", "value": "a.example" } });
    ca.on("/authz/1", move |_| ResponseTemplate::new(200).set_body_json(&gone)).await;
    let answer = ca.account().deactivate_authorization(&ca.url("/authz/1")).await.unwrap();
    assert_eq!(answer.value.status, AuthorizationStatus::Deactivated);
    assert_eq!(ca.requests().pop().unwrap().json(), json!({ "status": "deactivated" }));
}

#[tokio::test]
async fn the_signing_request_goes_out_as_base64url_der() {
    let ca = FakeCa::start().await;
    ca.on("/finalize/1", |_| ResponseTemplate::new(200).set_body_json(order_json())).await;
    ca.account().finalize(&ca.url("/finalize/1"), &[0xfb, 0xff, 0xbf, 0x01]).await.unwrap();
    assert_eq!(ca.requests().pop().unwrap().json(), json!({ "csr": "-_-_AQ" }));
}

#[tokio::test]
async fn a_certificate_comes_with_the_urls_of_its_alternates() {
    let ca = FakeCa::start().await;
    ca.on("/cert/1", |_| {
        ResponseTemplate::new(200)
            .append_header("link", "</cert/1/1>;rel=\"alternate\"")
            .append_header("link", "<https://ca.example/directory>;rel=\"index\"")
            .append_header("link", "<https://ca.example/cert/1/2>; rel=\"alternate\"")
            .set_body_raw(CHAIN, "application/pem-certificate-chain")
    })
    .await;
    let chain = ca.account().certificate(&ca.url("/cert/1")).await.unwrap().value;
    assert_eq!(chain.pem, CHAIN);
    assert_eq!(chain.alternates, [ca.url("/cert/1/1"), "https://ca.example/cert/1/2".to_owned()]);
    assert_eq!(ca.requests().pop().unwrap().headers["accept"], "application/pem-certificate-chain");
}

#[tokio::test]
async fn an_answer_without_a_certificate_is_malformed() {
    let ca = FakeCa::start().await;
    ca.on("/cert/1", |_| ResponseTemplate::new(200).set_body_string("<html>please log in</html>")).await;
    let error = ca.account().certificate(&ca.url("/cert/1")).await.unwrap_err();
    assert!(matches!(&error, AcmeError::Malformed { what, .. } if what.contains("certificate")), "{error}");
}

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

fn one_name() -> NewOrder {
    NewOrder {
        identifiers: vec![Identifier::dns("a.example")],
        not_after: None,
        profile: None,
        replaces: None,
    }
}

#[tokio::test]
async fn an_authorization_ahead_of_an_order_names_subdomains_only_to_a_ca_that_knows_them() {
    for (knows, subdomains) in [(false, true), (true, false), (true, true)] {
        let ca = FakeCa::start_with(|directory, base| {
            directory["newAuthz"] = json!(format!("{base}/new-authz"));
            directory["meta"]["subdomainAuthAllowed"] = json!(knows);
        })
        .await;
        let authorization = json!({
            "status": "valid", "identifier": { "type": "dns", "value": "a.example" }, "challenges": [],
            "subdomainAuthAllowed": knows && subdomains,
        });
        ca.on("/new-authz", move |_| {
            ResponseTemplate::new(201).insert_header("location", "/authz/1").set_body_json(&authorization)
        })
        .await;
        let answer = ca.account().new_authorization("a.example", subdomains).await.unwrap().unwrap();
        assert_eq!(answer.location, Some(ca.url("/authz/1")));
        assert_eq!(answer.value.covers_subdomains, knows && subdomains);
        let mut identifier = json!({ "type": "dns", "value": "a.example" });
        if knows && subdomains {
            identifier["subdomainAuthAllowed"] = json!(true);
        }
        assert_eq!(ca.requests().pop().unwrap().json(), json!({ "identifier": identifier }));
    }
}

#[tokio::test]
async fn a_ca_without_new_authz_is_not_asked_for_an_authorization() {
    let ca = FakeCa::start().await;
    assert_eq!(ca.account().new_authorization("a.example", true).await.unwrap(), None);
    assert!(ca.requests().is_empty());
}

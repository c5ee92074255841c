use serde_json::{Value, json};

use super::*;

#[test]
fn a_ready_certificate_says_until_when_and_from_whom() {
    let row = certificate(json!({
        "conditions": [condition("Ready", "True", "Ready")],
        "notAfter": "2026-03-01T00:00:00Z", "renewalTime": "2026-01-30T00:00:00Z",
    }));
    let expected = json!({
        "kind": "certificate", "key": "certificate/shop/www", "namespace": "shop", "name": "www", "state": "ready",
        "ready": true, "since": 1_767_225_600, "reason": null, "message": null, "next": "renews",
        "nextAt": 1_769_731_200, "issuer": "issuer/shop/ca", "fallback": true, "names": ["www.example.com"],
        "moreNames": 0, "secret": "www-tls", "notAfter": 1_772_323_200, "renewal": 1_769_731_200,
    });
    assert_eq!(row, expected);
}

#[test]
fn a_renewal_that_fails_is_told_though_the_certificate_is_ready() {
    let failed = |ready: &str| {
        certificate(json!({
            "conditions": [condition("Ready", ready, "Ready"), condition("Issuing", "False", "CAA")], "failedIssuanceAttempts": 2,
            "lastFailureTime": "2026-01-01T00:04:00Z", "nextAttemptTime": "2026-01-01T01:07:00Z",
        }))
    };
    assert_eq!(failed("False")["since"], 1_767_225_600, "since it is not ready");
    let row = failed("True");
    assert_eq!((&row["state"], &row["ready"]), (&json!("failing"), &json!(true)));
    assert_eq!((&row["reason"], &row["message"]), (&json!("CAA"), &json!("of the CA")));
    assert_eq!((&row["next"], &row["since"]), (&json!("retries"), &json!(1_767_225_840)));
}

#[test]
fn what_goes_on_by_itself_is_told_from_what_waits() {
    for (reason, state) in [
        ("Ordering", "working"),
        ("WaitingForSelfCheck", "working"),
        ("Queued", "working"),
        ("NoSolver", "waiting"),
        ("SecretNotOurs", "waiting"),
        ("IssuerNotReady", "waiting"),
        ("RateLimited", "waiting"),
    ] {
        let conditions = [condition("Ready", "False", reason), condition("Issuing", "True", reason)];
        assert_eq!(certificate(json!({ "conditions": conditions }))["state"], state, "{reason}");
    }
    assert_eq!(certificate(json!(null))["state"], "unseen");
}

#[test]
fn text_of_an_object_is_bounded_and_has_nothing_invisible() {
    let mut condition = condition("Ready", "False", "Failed");
    condition["message"] = json!(format!("<b>no</b>\n\u{202e}{}", "x".repeat(5000)));
    let row = certificate(json!({ "conditions": [condition] }));
    let message = row["message"].as_str().unwrap();
    assert!(message.starts_with("<b>no</b> xxx") && message.chars().count() == LONGEST + 1, "{message}");
}

#[test]
fn a_certificate_with_many_names_shows_the_first() {
    let names: Vec<String> = (0..100).map(|number| format!("{number}.example.com")).collect();
    let mut object = object(json!(null));
    object["spec"]["dnsNames"] = json!(names);
    let row = row_of::<Certificate>(object);
    assert_eq!((row["names"].as_array().unwrap().len(), &row["moreNames"]), (NAMES, &json!(80)));
}

#[test]
fn an_object_that_cannot_be_read_says_why() {
    let mut object = object(json!(null));
    object["spec"]["dnsNames"] = json!(7);
    let row = row_of::<Certificate>(object);
    assert_eq!((&row["state"], &row["key"]), (&json!("unreadable"), &json!("certificate/shop/www")));
    assert!(row["message"].as_str().unwrap().contains("dnsNames"), "{row}");
}

#[test]
fn an_issuer_says_which_ca_it_is_of_and_what_is_wrong() {
    let object = |kind: &str, namespace: Option<&str>, ready: &str| {
        json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": kind,
            "metadata": { "name": "ca", "namespace": namespace, "generation": 1 },
            "spec": { "acme": { "server": "https://acme.example:8443/dir" } },
            "status": { "conditions": [condition("Ready", ready, "OUT_OF_CREDIT")], "acme": {
                "uri": "https://acme.example/account/1", "server": "https://acme.example:8443/dir", "keyThumbprint": "",
                "keyAlgorithm": "",
            } },
        })
    };
    let row = row_of::<ClusterIssuer>(object("ClusterIssuer", None, "False"));
    assert_eq!((&row["key"], &row["ca"]), (&json!("clusterissuer/ca"), &json!("acme.example")));
    assert_eq!((&row["state"], &row["called"]), (&json!("failing"), &json!("ClusterIssuer")));
    assert_eq!((&row["reason"], &row["message"]), (&json!("OUT_OF_CREDIT"), &json!("of the CA")));
    let row = row_of::<Issuer>(object("Issuer", Some("shop"), "True"));
    assert_eq!((&row["key"], &row["state"]), (&json!("issuer/shop/ca"), &json!("ready")));
    assert_eq!((&row["kind"], &row["account"]), (&json!("issuer"), &json!("https://acme.example/account/1")));
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": "of the CA", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn object(status: Value) -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
        "metadata": { "name": "www", "namespace": "shop", "generation": 1 },
        "spec": {
            "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": { "name": "ca" },
            "fallbackIssuerRefs": [{ "name": "other" }],
        },
        "status": status,
    })
}

fn certificate(status: Value) -> Value {
    row_of::<Certificate>(object(status))
}

fn row_of<K: Shown>(object: Value) -> Value {
    let (key, row) = of(serde_json::from_value::<Reading<K>>(object).unwrap(), Timestamp::UNIX_EPOCH);
    let row = serde_json::to_value(row).unwrap();
    assert_eq!(row["key"], key.to_string());
    row
}

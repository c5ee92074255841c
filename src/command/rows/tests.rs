use serde_json::{Value, json};

use super::*;

#[test]
fn what_goes_on_by_itself_is_told_from_what_waits() {
    for (reason, standing) in [
        ("Ordering", Standing::Working),
        ("WaitingForSelfCheck", Standing::Working),
        ("Queued", Standing::Working),
        ("NoSolver", Standing::Waiting),
        ("SecretNotOurs", Standing::Waiting),
        ("IssuerNotReady", Standing::Waiting),
        ("CAUnavailable", Standing::Waiting),
        ("RateLimited", Standing::Waiting),
    ] {
        let conditions = [condition("Ready", "False", reason), condition("Issuing", "True", reason)];
        assert_eq!(certificate(json!({ "conditions": conditions })).standing, standing, "{reason}");
    }
    assert_eq!(certificate(json!(null)).standing, Standing::Unseen);
    let ready = json!({ "conditions": [condition("Ready", "True", "Ready")] });
    assert_eq!(certificate(ready).standing, Standing::Ready);
    let failed = json!({ "conditions": [condition("Ready", "False", "CAA")] });
    assert_eq!(certificate(failed).standing, Standing::Failing);
}

#[test]
fn a_ready_certificate_that_is_not_served_is_a_problem_and_is_renewed_as_usual() {
    let of = |ready: &str, served: &str| {
        let conditions =
            [condition("Ready", ready, "Ready"), condition("Served", served, "OldCertificateServed")];
        certificate(json!({ "conditions": conditions, "renewalTime": "2026-03-01T00:00:00Z" }))
    };
    let row = of("True", "False");
    let problem = row.outlook.problem().unwrap();
    assert_eq!((row.standing, problem.reason.as_str()), (Standing::Unserved, "OldCertificateServed"));
    assert_eq!(problem.message, "of the CA");
    assert!(row.renews().is_some());
    assert_eq!(of("False", "False").standing, Standing::Failing);
    assert_eq!(
        (of("True", "Unknown").standing, of("True", "True").standing),
        (Standing::Ready, Standing::Ready)
    );
}

#[test]
fn text_of_an_object_is_bounded_and_has_nothing_invisible() {
    let mut condition = condition("Ready", "False", "Failed");
    condition["message"] = json!(format!("<b>no</b>\n\u{202e}{}", "x".repeat(5000)));
    let row = certificate(json!({ "conditions": [condition] }));
    let message = row.outlook.trouble.as_ref().unwrap().message.clone();
    assert!(message.starts_with("<b>no</b> xxx") && message.chars().count() == LONGEST + 1, "{message}");
}

#[test]
fn a_certificate_with_many_names_shows_the_first() {
    let names: Vec<String> = (0..100).map(|number| format!("{number}.example.com")).collect();
    let mut object = object(json!(null));
    object["spec"]["dnsNames"] = json!(names);
    let row = row_of::<Certificate>(object);
    let facts = row.certificate().unwrap();
    assert_eq!((facts.names.len(), facts.more_names), (NAMES, 80));
}

#[test]
fn an_object_that_cannot_be_read_says_why() {
    let mut object = object(json!(null));
    object["spec"]["dnsNames"] = json!(7);
    let row = row_of::<Certificate>(object);
    assert_eq!((row.standing, row.key.to_string().as_str()), (Standing::Unreadable, "certificate/shop/www"));
    let trouble = row.outlook.trouble.unwrap();
    assert!(trouble.message.starts_with("It cannot be read: spec.dnsNames"), "{}", trouble.message);
}

#[test]
fn an_issuer_says_which_ca_and_account_it_has_and_how_many_orders_at_a_time() {
    let object = |kind: &str, namespace: Option<&str>, ready: &str| {
        json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": kind,
            "metadata": { "name": "ca", "namespace": namespace, "generation": 1 },
            "spec": { "acme": { "server": "https://acme.example:8443/dir" } },
            "status": { "conditions": [condition("Ready", ready, "OUT_OF_CREDIT")], "acme": {
                "uri": "https://acme.example/account/1", "server": "https://acme.example:8443/dir", "keyThumbprint": "",
                "keyAlgorithm": "", "maxConcurrentOrders": 50,
            } },
        })
    };
    let row = row_of::<ClusterIssuer>(object("ClusterIssuer", None, "False"));
    assert_eq!((row.key.to_string().as_str(), row.standing), ("clusterissuer/ca", Standing::Failing));
    let expected = IssuerFacts {
        server: "https://acme.example:8443/dir".to_owned(),
        ca: "acme.example".to_owned(),
        account: Some("https://acme.example/account/1".to_owned()),
        most_orders: Some(50),
    };
    assert_eq!(row.issuer(), Some(&expected));
    let row = row_of::<Issuer>(object("Issuer", Some("shop"), "True"));
    assert_eq!((row.key.to_string().as_str(), row.standing), ("issuer/shop/ca", Standing::Ready));
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
        "spec": { "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": { "name": "ca" } },
        "status": status,
    })
}

fn certificate(status: Value) -> Row {
    row_of::<Certificate>(object(status))
}

fn row_of<K: Shown>(object: Value) -> Row {
    Row::of(&serde_json::from_value::<Reading<K>>(object).unwrap(), Timestamp::UNIX_EPOCH)
}

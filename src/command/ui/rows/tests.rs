use serde_json::{Value, json};

use super::*;
use certwright_api::{Certificate, ClusterIssuer};
use certwright_core::reading::Reading;

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
    assert_eq!(serde_json::to_value(shown(&row)).unwrap(), expected);
}

#[test]
fn a_renewal_that_fails_is_told_though_the_certificate_is_ready() {
    let failed = |ready: &str| {
        let row = certificate(json!({
            "conditions": [condition("Ready", ready, "Ready"), condition("Issuing", "False", "CAA")], "failedIssuanceAttempts": 2,
            "lastFailureTime": "2026-01-01T00:04:00Z", "nextAttemptTime": "2026-01-01T01:07:00Z",
        }));
        serde_json::to_value(shown(&row)).unwrap()
    };
    assert_eq!(failed("False")["since"], 1_767_225_600, "since it is not ready");
    let row = failed("True");
    assert_eq!((&row["state"], &row["ready"]), (&json!("failing"), &json!(true)));
    assert_eq!((&row["reason"], &row["message"]), (&json!("CAA"), &json!("of the CA")));
    assert_eq!((&row["next"], &row["since"]), (&json!("retries"), &json!(1_767_225_840)));
}

#[test]
fn an_issuer_says_which_ca_it_is_of_and_what_is_wrong() {
    let issuer = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "ClusterIssuer", "metadata": { "name": "ca", "generation": 1 },
        "spec": { "acme": { "server": "https://acme.example:8443/dir" } },
        "status": { "conditions": [condition("Ready", "False", "OUT_OF_CREDIT")] },
    });
    let reading: Reading<ClusterIssuer> = serde_json::from_value(issuer).unwrap();
    let row = Row::of(&reading, Timestamp::UNIX_EPOCH);
    let expected = json!({
        "kind": "issuer", "key": "clusterissuer/ca", "namespace": null, "name": "ca", "state": "failing", "ready": false,
        "since": 1_767_225_600, "reason": "OUT_OF_CREDIT", "message": "of the CA",
        "next": "nothing until something changes", "nextAt": null, "called": "ClusterIssuer",
        "server": "https://acme.example:8443/dir", "ca": "acme.example", "account": null,
    });
    assert_eq!(serde_json::to_value(shown(&row)).unwrap(), expected);
}

#[test]
fn the_board_has_what_the_cluster_has_and_how_the_watches_are() {
    let board = Board::default();
    let row = certificate(json!(null));
    let key = row.key.clone();
    board.put("certificate/shop/old".to_owned(), "{}".to_owned());
    board.put("clusterissuer/ca".to_owned(), "{}".to_owned());
    take(Change::All(Kind::Certificate, vec![row]), &board);
    let fault = Some("no route".to_owned());
    take(Change::Watch(Kind::Certificate, Health { is_listed: true, fault, is_forbidden: false }), &board);
    let rows = board.since(None).rows;
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let watch = json!({
        "kind": "watch", "key": "watch/Certificates", "name": "Certificates", "listed": true, "fault": "no route",
        "forbidden": false,
    });
    assert_eq!((&rows[0], &rows[1]["key"], &rows[2]), (&json!({}), &json!(key.to_string()), &watch));
    take(Change::Gone(key), &board);
    assert_eq!(board.since(None).rows.len(), 2);
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": "of the CA", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn certificate(status: Value) -> Row {
    let object = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
        "metadata": { "name": "www", "namespace": "shop", "generation": 1 },
        "spec": {
            "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": { "name": "ca" },
            "fallbackIssuerRefs": [{ "name": "other" }],
        },
        "status": status,
    });
    Row::of(&serde_json::from_value::<Reading<Certificate>>(object).unwrap(), Timestamp::UNIX_EPOCH)
}

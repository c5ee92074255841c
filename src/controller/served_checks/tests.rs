use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use certwright_core::served::Verdict;

const MINUTE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(6 * 3600);

#[tokio::test(start_paused = true)]
async fn a_certificate_is_checked_two_minutes_after_its_issuance_and_its_spec_cannot_put_that_off() {
    let checks = checks();
    checks.see(&certificate("web", 1, "01", json!(null)));
    assert_eq!(wait(&checks, "web"), Some(2 * MINUTE));
    for generation in 2..12 {
        advance(MINUTE / 2).await;
        checks.see(&certificate("web", generation, "01", json!(null)));
    }
    assert_eq!(wait(&checks, "web"), Some(Duration::ZERO));
    // A new certificate is another matter: servers must have time to read it.
    checks.see(&certificate("web", 12, "02", json!(null)));
    assert_eq!(wait(&checks, "web"), Some(2 * MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_changes_all_the_time_is_checked_every_two_minutes_at_most() {
    let checks = checks();
    checks.see(&certificate("web", 1, "01", json!(null)));
    let mut checked = 0;
    for generation in 2..602 {
        advance(Duration::from_secs(1)).await;
        let (subject, wait) = checks.due("web").unwrap();
        checks.see(&certificate("web", generation, "01", json!(null)));
        if wait.is_zero() {
            checked += 1;
            checks.checked("web", &subject, Some(finding(&subject, Some(true))));
        }
    }
    assert_eq!(checked, 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_spreads_its_first_checks_over_an_hour() {
    let checks = checks();
    let served = json!({ "type": "Served", "status": "True", "reason": "Served", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z" });
    for number in 0..1000 {
        checks.see(&certificate(&format!("served-{number}"), 1, "01", json!([served])));
        checks.see(&certificate(&format!("new-{number}"), 1, "01", json!(null)));
    }
    // Another replica leads.
    advance(24 * 60 * MINUTE).await;
    assert_eq!(checks.connect().take(2000).count().await, 2000);
    let due_within = |kind: &str, minutes: u32| {
        let waits = (0..1000).filter_map(|number| wait(&checks, &format!("{kind}-{number}")));
        waits.filter(|wait| *wait <= minutes * MINUTE).count()
    };
    assert!((80..120).contains(&due_within("served", 6)), "{}", due_within("served", 6));
    assert!((400..600).contains(&due_within("served", 30)), "{}", due_within("served", 30));
    assert_eq!((due_within("served", 60), due_within("new", 2), due_within("new", 12)), (1000, 0, 1000));
    assert!((400..600).contains(&due_within("new", 7)), "{}", due_within("new", 7));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_looked_at_again_soon_and_what_is_served_after_the_interval() {
    let checks = checks();
    checks.see(&certificate("web", 1, "01", json!(null)));
    let (subject, _) = checks.due("web").unwrap();
    let mut waits = Vec::new();
    for is in [Some(false), None, Some(true), Some(false)] {
        waits.extend(checks.checked("web", &subject, Some(finding(&subject, is))));
    }
    // A failure says nothing about the servers.
    waits.extend(checks.checked("web", &subject, None));
    assert_eq!(waits, [5 * MINUTE, 10 * MINUTE, INTERVAL, 5 * MINUTE, 10 * MINUTE]);
    assert_eq!(checks.finding("web").unwrap().verdict.is, Some(false));
    checks.begin();
    assert!(checks.finding("web").is_none(), "another replica may have found something else");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_checked_is_forgotten_also_if_that_is_during_a_check() {
    let checks = checks();
    let web = certificate("web", 1, "01", json!(null));
    let mut off = web.clone();
    off.spec.served = None;
    let mut deleted = web.clone();
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    for gone in [&off, &deleted] {
        checks.see(&web);
        let (subject, _) = checks.due("web").unwrap();
        checks.see(gone);
        assert_eq!(checks.checked("web", &subject, Some(finding(&subject, Some(true)))), None);
        let known = checks.known.lock();
        assert!(known.certificates.is_empty() && known.findings.is_empty());
    }
}

fn checks() -> ServedChecks {
    ServedChecks::new(ServedConfig { by_default: false, interval: INTERVAL, ports: vec![443] })
}

fn wait(checks: &ServedChecks, uid: &str) -> Option<Duration> {
    checks.due(uid).map(|(_, wait)| wait)
}

fn finding(subject: &Subject, is: Option<bool>) -> Finding {
    let verdict = Verdict { is, reason: "Served", message: String::new() };
    Finding { serial_number: subject.serial_number.clone(), generation: subject.generation, verdict }
}

/// A Certificate whose uid is its name.
fn certificate(name: &str, generation: i64, serial_number: &str, conditions: Value) -> Certificate {
    let conditions = if conditions.is_null() { json!([]) } else { conditions };
    serde_json::from_value(json!({
        "apiVersion": "certwright.dev/v1alpha1",
        "kind": "Certificate",
        "metadata": { "name": name, "namespace": "shop", "uid": name, "generation": generation },
        "spec": { "secretName": name, "issuerRef": { "name": "ca" }, "served": { "check": true } },
        "status": { "serialNumber": serial_number, "conditions": conditions },
    }))
    .unwrap()
}

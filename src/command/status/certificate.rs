//! One screen about a Certificate.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use super::{field, headline, optional, rendered_events, trouble, what_to_do};
use crate::command::handbook::Chapter;
use crate::command::outlook::{self, Outlook, condition, time};
use crate::command::output::{moment, table};
use certwright_api::{
    CONDITION_IGNORED_FIELDS, CONDITION_RENEWAL_WINDOW, CONDITION_REVOCATION, CONDITION_REVOKED,
    CONDITION_SERVED, Certificate, CertificateStatus, certificate_reason as reason,
};
use certwright_core::issuers::{Issuers, in_words};
use certwright_core::spec::names;

/// The screen. `issuer` is the state of its issuer, if it is known.
pub(super) fn rendered(
    certificate: &Certificate,
    outlook: &Outlook,
    issuer: Option<&Outlook>,
    events: &[Event],
    now: Timestamp,
) -> String {
    let status = certificate.status.clone().unwrap_or_default();
    let mut text = headline(&outlook::certificate_named(certificate), outlook, now);
    text.push_str(&trouble(outlook, Chapter::Certificates, now));
    let awaits_issuer =
        outlook.trouble.as_ref().is_some_and(|trouble| trouble.reason == reason::ISSUER_NOT_READY);
    if let Some(of_issuer) = issuer.filter(|_| awaits_issuer) {
        text.push_str(&field("Its issuer", &of_issuer.next.sentence(now)));
        let why = of_issuer.trouble.as_ref().map(|trouble| trouble.reason.as_str());
        text.push_str(&why.map_or(String::new(), |why| what_to_do(Chapter::Issuers, why)));
    }
    text.push('\n');
    text.push_str(&facts(certificate, &status, issuer, now));
    text.push_str(&challenges(&status));
    text.push_str(&rendered_events(events, now));
    text
}

fn facts(
    certificate: &Certificate,
    status: &CertificateStatus,
    issuer: Option<&Outlook>,
    now: Timestamp,
) -> String {
    let spec = &certificate.spec;
    let stands = match issuer.map(|issuer| issuer.ready) {
        Some(Some(true)) => "ready",
        Some(Some(false)) => "not ready",
        Some(None) => "not processed yet",
        None => "cannot be read",
    };
    let at = |field: Option<_>| time(field).map(|time| moment(time, now));
    let failure = status.failed_issuance_attempts.map(|attempts| {
        let last =
            at(status.last_failure_time.as_ref()).map_or(String::new(), |last| format!(", last {last}"));
        format!("{attempts} in a row{last}")
    });
    let order = status
        .order
        .as_ref()
        .map(|order| format!("{}, placed {}; {}", order.state, moment(order.created.0, now), order.url));
    [
        field("Names", &names::requested(spec).join(", ")),
        field("Issuer", &format!("{}: {stands}", outlook::issuer_named(certificate))),
        optional("Instead of", instead_of(certificate, status)),
        field("Secret", &spec.secret_name),
        optional("Expires", at(status.not_after.as_ref())),
        optional("Renewal", at(status.renewal_time.as_ref())),
        optional("Record ends", at(status.persist_until.as_ref())),
        optional("Serial", status.serial_number.clone()),
        optional("Failures", failure),
        optional("Order", order),
        remark("Served", status, CONDITION_SERVED),
        remark("Revoked", status, CONDITION_REVOKED),
        optional("Proved until", at(status.authorization_expires.as_ref())),
        remark("Revocation", status, CONDITION_REVOCATION),
        to_be_revoked(status, now),
        remark("Windows", status, CONDITION_RENEWAL_WINDOW),
        remark("Ignored", status, CONDITION_IGNORED_FIELDS),
        to_be_removed(status, now),
    ]
    .concat()
}

/// The issuer in `issuerRef`, and why it is not used.
fn instead_of(certificate: &Certificate, status: &CertificateStatus) -> Option<String> {
    let (spec, generation) = (&certificate.spec, certificate.metadata.generation.unwrap_or_default());
    let issuers = Issuers::of(spec, Some(status), generation);
    let first = in_words(issuers.first);
    if issuers.rehearsal.is_some() {
        return Some(format!("{first}, until all names are validated in a rehearsal"));
    }
    let attempt = status.attempt.as_ref().and_then(|attempt| attempt.message.as_ref());
    let issued_by = status.issued_by.as_ref().map(|by| &by.message);
    let why = attempt.or(issued_by).map_or("", String::as_str);
    (issuers.tried != issuers.first).then(|| format!("{first}, which could not issue: {why}"))
}

/// A condition other than the main ones.
fn remark(name: &str, status: &CertificateStatus, type_: &str) -> String {
    optional(name, condition(&status.conditions, type_).map(|one| format!("{}: {}", one.reason, one.message)))
}

/// Certificates that are still to be revoked, and why they are not revoked yet.
fn to_be_revoked(status: &CertificateStatus, now: Timestamp) -> String {
    let held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    let lines = held.filter_map(|held| {
        let open = held.open()?;
        let why = open.message.as_deref().map_or(String::new(), |why| format!(": {why}"));
        let again = time(open.next_attempt_time.as_ref());
        let again = again.map_or(String::new(), |again| format!("; next attempt at {}", moment(again, now)));
        let reason = open.reason.as_str();
        Some(field("To revoke", &format!("{} ({reason}){why}{again}", held.serial_number)))
    });
    lines.collect()
}

/// TXT records that are still to be removed, and why they are not removed yet.
fn to_be_removed(status: &CertificateStatus, now: Timestamp) -> String {
    let removals = status.dns_records.iter().filter_map(|record| Some((record, record.removal.as_ref()?)));
    let lines = removals.map(|(record, removal)| {
        let why = removal.reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
        let again = moment(removal.next_attempt_time.0, now);
        field("TXT record", &format!("{} is still to be removed{why}; next attempt at {again}", record.fqdn))
    });
    lines.collect()
}

fn challenges(status: &CertificateStatus) -> String {
    if status.challenges.is_empty() {
        return String::new();
    }
    let row = |challenge: &certwright_api::ChallengeStatus| {
        let reason = challenge.reason.clone().unwrap_or_else(|| "-".to_owned());
        vec![challenge.name.clone(), challenge.type_.clone(), challenge.state.clone(), reason]
    };
    let rows: Vec<_> = status.challenges.iter().map(row).collect();
    format!("\n{}", table(&["CHALLENGE", "TYPE", "STATE", "WAITS FOR"], &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-01-01T00:05:00Z";

    #[test]
    fn what_it_waits_for_since_when_and_what_to_do_come_first() {
        let text = shown(json!({
            "conditions": [
                condition("Ready", "False", "WaitingForSelfCheck"), condition("Issuing", "True", "WaitingForSelfCheck"),
            ],
            "order": { "url": "https://ca.test/order/1", "state": "pending", "created": "2026-01-01T00:02:00Z", "account": "a" },
            "challenges": [{
                "name": "www.example.com", "type": "http-01", "state": "pending", "token": "t", "url": "u", "authorization": "z",
                "reason": "www.example.com has no address",
            }],
        }));
        let begins = "Certificate shop/www is not ready, since 2026-01-01T00:00:00Z (5m ago)\n\n\
             Waits for     WaitingForSelfCheck, in progress since 2026-01-01T00:00:00Z (5m ago)\n\
             \x20             www.example.com has no address\n\
             Next          checks again at least every ten seconds, and tells the CA to validate if the\n\
             \x20             self-check takes too long\n\
             What to do    The challenges are presented";
        assert!(text.starts_with(begins), "{text}");
        assert!(text.contains("Issuer        Issuer shop/ca: cannot be read\n"), "{text}");
        assert!(
            text.contains(
                "Order         pending, placed 2026-01-01T00:02:00Z (3m ago); https://ca.test/order/1\n"
            ),
            "{text}"
        );
        assert!(
            text.ends_with("www.example.com   http-01   pending   www.example.com has no address\n"),
            "{text}"
        );
    }

    #[test]
    fn a_failure_shows_the_time_of_the_next_attempt() {
        let text = shown(json!({
            "conditions": [condition("Ready", "False", "CAA"), condition("Issuing", "False", "CAA")],
            "failedIssuanceAttempts": 2, "lastFailureTime": "2026-01-01T00:04:00Z", "nextAttemptTime": "2026-01-01T01:07:00Z",
        }));
        for words in [
            "Problem       CAA, failed 2026-01-01T00:04:00Z (1m ago)\n",
            "Next          retries at 2026-01-01T01:07:00Z (in 1h2m)\n",
            "What to do    Add a CAA record that allows this CA",
            "More: certwright explain CAA\n",
            "Failures      2 in a row, last 2026-01-01T00:04:00Z (1m ago)\n",
        ] {
            assert!(text.contains(words), "it lacks {words:?}: {text}");
        }
    }

    #[test]
    fn a_certificate_that_the_operator_has_not_processed_says_so() {
        let text = shown(json!(null));
        assert!(
            text.starts_with(
                "Certificate shop/www is not processed yet\n\nNext          waits for the operator"
            ),
            "{text}"
        );
    }

    fn condition(type_: &str, status: &str, reason: &str) -> serde_json::Value {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "www.example.com has no address",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    fn shown(status: serde_json::Value) -> String {
        let certificate: Certificate = serde_json::from_value(json!({
            "metadata": { "name": "www", "namespace": "shop", "generation": 1 },
            "spec": { "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": { "name": "ca" } },
            "status": status,
        }))
        .unwrap();
        let now = NOW.parse().unwrap();
        let outlook = outlook::of_certificate(&certificate, now);
        anstream::adapter::strip_str(&rendered(&certificate, &outlook, None, &[], now)).to_string()
    }
}

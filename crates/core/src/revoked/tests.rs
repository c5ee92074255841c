use std::collections::BTreeSet;

use super::*;
use certwright_api::{
    Base64, CertificateRevocation, IssuerKind, LastRevocation, RevocableCertificate, RevocationCause,
    RevocationStatus,
};

const SERIAL: &str = "01";
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[test]
fn the_ca_has_a_certificate_replaced_unless_it_is_on_hold_or_the_spec_says_otherwise() {
    for reason in ListedReason::ALL {
        let status = found(*reason);
        let replaced = Some(Revoked::ByCa(*reason)).filter(|_| *reason != ListedReason::CertificateHold);
        assert_eq!(why(&status, &secret(SERIAL), RevokedPolicy::Reissue), replaced, "{reason:?}");
        assert_eq!(why(&status, &secret(SERIAL), RevokedPolicy::Report), None);
        assert_eq!(why(&status, &secret("02"), RevokedPolicy::Reissue), None, "another certificate");
        assert_eq!(needs_new_key(&status, &secret(SERIAL)), replaced.is_some(), "whatever the policy");
        assert!(!needs_new_key(&status, &secret("02")));
    }
}

#[test]
fn what_the_operator_revokes_keeps_its_own_reason_and_key() {
    let mut status = found(ListedReason::KeyCompromise);
    status.revocation = Some(ledger(RevocationReason::Superseded));
    let secret = secret(SERIAL);
    assert_eq!(
        why(&status, &secret, RevokedPolicy::Reissue),
        Some(Revoked::ByOperator(RevocationReason::Superseded))
    );
    assert!(!needs_new_key(&status, &secret));
    status.revocation = Some(ledger(RevocationReason::KeyCompromise));
    assert!(needs_new_key(&status, &secret));
}

#[test]
fn a_finding_is_news_once_and_again_if_it_changes() {
    let on_hold = finding(Some(ListedReason::CertificateHold));
    let compromised = finding(Some(ListedReason::KeyCompromise));
    let nothing = finding(None);
    let status = CertificateStatus::default();
    assert!(is_news(&status, SERIAL, &compromised));
    assert!(!is_news(&status, "02", &compromised), "it is about another certificate");
    assert!(!is_news(&status, SERIAL, &nothing));
    let status = found(ListedReason::CertificateHold);
    assert!(!is_news(&status, SERIAL, &on_hold));
    assert!(is_news(&status, SERIAL, &compromised));
    assert!(is_news(&status, SERIAL, &nothing), "the hold is lifted");
    let status = found(ListedReason::KeyCompromise);
    assert!(!is_news(&status, SERIAL, &compromised));
    assert!(!is_news(&status, SERIAL, &nothing), "a revocation is final");
    let elsewhere = Finding { list_url: "http://other.test/".to_owned(), ..compromised };
    assert!(!is_news(&status, SERIAL, &elsewhere));
}

#[test]
fn a_revocation_by_the_operator_is_no_news() {
    let compromised = finding(Some(ListedReason::KeyCompromise));
    let mut status = CertificateStatus {
        revocation: Some(ledger(RevocationReason::Superseded)),
        ..CertificateStatus::default()
    };
    assert!(!is_news(&status, SERIAL, &compromised));
    let last = |result| LastRevocation {
        serial_number: SERIAL.to_owned(),
        reason: RevocationReason::Superseded,
        cause: RevocationCause::Requested,
        result,
        time: Time(begin()),
    };
    let ended = |result| RevocationStatus { last: Some(last(result)), ..RevocationStatus::default() };
    status.revocation = Some(ended(RevocationResult::Revoked));
    assert!(!is_news(&status, SERIAL, &compromised));
    status.revocation = Some(ended(RevocationResult::GivenUp));
    assert!(is_news(&status, SERIAL, &compromised));
}

#[test]
fn early_revocations_in_a_row_are_counted_and_delay_the_next_order() {
    let lifetime = DAY * 90;
    let mut known = None;
    let mut issued = begin();
    for (number, hours) in [(1, 0), (2, 2), (3, 12), (4, 72)] {
        let now = issued + SignedDuration::from_hours(1);
        known = record(known.as_ref(), &leaf(issued), &at(issued), now);
        let record = known.as_ref().unwrap();
        assert_eq!(record.early_revocations, Some(number));
        issued = replaced_at(record, lifetime);
        assert_eq!(issued.duration_since(now), SignedDuration::from_hours(hours));
    }
    // The same certificate again.
    let again = record(
        known.as_ref(),
        &leaf(issued),
        &finding_of(&known.as_ref().unwrap().serial_number, ListedReason::Superseded),
        issued,
    )
    .unwrap();
    assert_eq!(again.early_revocations, Some(4));
    assert_eq!(
        (again.found, again.reason),
        (known.as_ref().unwrap().found.clone(), ListedReason::Superseded)
    );
    // One that was in use for long.
    let later = Finding { entry: Some((issued + DAY * 9, ListedReason::Superseded)), ..at(issued) };
    let later = Finding { serial_number: "next".to_owned(), ..later };
    let late = record(known.as_ref(), &leaf(issued), &later, issued + DAY * 10).unwrap();
    assert_eq!((late.early_revocations, replaced_at(&late, lifetime)), (None, issued + DAY * 10));
    // Others were in use meanwhile.
    let next_year = issued + DAY * 365;
    let alone = Finding { serial_number: "next".to_owned(), ..at(next_year) };
    assert_eq!(
        record(known.as_ref(), &leaf(next_year), &alone, next_year).unwrap().early_revocations,
        Some(1)
    );
}

#[test]
fn a_lifted_hold_leaves_no_record() {
    let before = found(ListedReason::CertificateHold).revoked;
    assert_eq!(record(before.as_ref(), &leaf(begin()), &finding(None), begin()), None);
}

fn begin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The certificate that was issued then is revoked immediately.
fn at(issued: Timestamp) -> Finding {
    let entry = Some((issued, ListedReason::CessationOfOperation));
    Finding { serial_number: issued.to_string(), list_url: "http://crl.test/".to_owned(), entry }
}

fn finding(reason: Option<ListedReason>) -> Finding {
    let entry = reason.map(|reason| (begin(), reason));
    Finding { serial_number: SERIAL.to_owned(), list_url: "http://crl.test/".to_owned(), entry }
}

fn finding_of(serial: &str, reason: ListedReason) -> Finding {
    Finding { serial_number: serial.to_owned(), ..finding(Some(reason)) }
}

fn found(reason: ListedReason) -> CertificateStatus {
    let revoked = RevokedStatus {
        serial_number: SERIAL.to_owned(),
        reason,
        revocation_time: Time(begin()),
        list_url: "http://crl.test/".to_owned(),
        found: Time(begin()),
        early_revocations: None,
    };
    CertificateStatus { revoked: Some(revoked), ..CertificateStatus::default() }
}

fn ledger(reason: RevocationReason) -> RevocationStatus {
    let revocation = CertificateRevocation {
        reason,
        cause: RevocationCause::Requested,
        since: Time(begin()),
        failed_attempts: None,
        next_attempt_time: None,
        result: None,
        message: None,
    };
    let held = RevocableCertificate {
        serial_number: SERIAL.to_owned(),
        not_after: Time(begin() + DAY),
        certificate: Base64(vec![1]),
        issuer_kind: IssuerKind::Issuer,
        issuer_name: "ca".to_owned(),
        account: None,
        revocation: Some(revocation),
        seal: None,
    };
    RevocationStatus { certificates: vec![held], ..RevocationStatus::default() }
}

fn secret(serial: &str) -> SecretView {
    let leaf = Leaf { serial_number: serial.to_owned(), ..leaf(begin()) };
    SecretView { exists: true, leaf: Some(Ok(leaf)), ..SecretView::default() }
}

fn leaf(issued: Timestamp) -> Leaf {
    Leaf {
        not_before: issued,
        not_after: issued + DAY * 90,
        serial_number: issued.to_string(),
        common_name: None,
        dns_names: BTreeSet::new(),
        ip_addresses: BTreeSet::new(),
        public_key_der: vec![1],
        public_key_algorithm: None,
        issuer_name: "Intermediate".to_owned(),
        certificate_id: None,
        revocation_list_url: None,
        der: vec![1],
    }
}

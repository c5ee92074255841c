use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::derive::{self, Known};
use super::*;
use certwright_acme::txt_value;
use certwright_api::{
    Base64, CertificateRevocation, ChallengeWay, Dns01HttpRequest, Dns01SecretKeySelector, Dns01Solver,
    Dns01Webhook, DnsRecordRemoval, Http01Ingress, Http01Solver, IssuerKind, RevocationCause,
    RevocationReason, RevocationStatus, Solver,
};

mod issuer;
mod unverified;

const OWNER: Owner<'_> = Owner { namespace: "shop", uid: "uid" };

#[test]
fn what_was_sealed_is_known_again() {
    let mut status = sealed();
    let before = status.clone();
    assert!(keys().take_unverified(OWNER, &mut status).is_empty());
    assert_eq!(status, before);
}

#[test]
fn what_was_sealed_is_known_again_after_the_api_server_had_it() {
    let mut status = ledger();
    let webhook =
        json!({ "z": 1.0, "a": { "y": null, "b": [1, 2.5, null] }, "big": 9_007_199_254_740_993_i64 });
    status.dns_records[0].solver.webhook =
        Some(Dns01Webhook { config: Some((&webhook).into()), ..Dns01Webhook::default() });
    keys().seal(OWNER, &mut status);
    let as_stored = json!({ "a": { "b": [1, 2.5, null] }, "big": 9_007_199_254_740_993_i64, "z": 1 });
    status.dns_records[0].solver.webhook.as_mut().unwrap().config = Some((&as_stored).into());
    assert!(keys().take_unverified(OWNER, &mut status).is_empty());
}

#[test]
fn a_challenge_is_known_if_it_is_sealed_and_something_that_was_removed_is_reported() {
    let mut status = sealed();
    assert!(keys().knows(OWNER, &status.challenges[0]));
    status.challenges[0].token.push('x');
    assert!(!keys().knows(OWNER, &status.challenges[0]));
    assert!(!keys().take_unverified(OWNER, &mut status).is_empty());
}

#[test]
fn a_number_in_the_settings_of_a_solver_is_sealed_exactly() {
    for (sealed, changed) in [(2.5, 2.25), (2.5, 2.0), (1e300, 2e300), (1.0, 2.0)] {
        let with = |number: f64| {
            let config = Some((&json!({ "ttl": number })).into());
            Some(Dns01Webhook { config, ..Dns01Webhook::default() })
        };
        let mut status = ledger();
        status.dns_records[0].solver.webhook = with(sealed);
        keys().seal(OWNER, &mut status);
        status.dns_records[0].solver.webhook = with(changed);
        assert_eq!(keys().take_unverified(OWNER, &mut status).dns_records.len(), 1, "{changed}");
    }
}

/// Each entry, changed in each field that the operator acts on.
#[test]
fn whatever_is_changed_in_an_entry_breaks_its_seal() {
    type Change = fn(&mut CertificateStatus);
    let changes: [Change; 23] = [
        |status| status.order.as_mut().unwrap().url.push('x'),
        |status| status.order.as_mut().unwrap().account.push('x'),
        |status| status.challenges[0].name.push('x'),
        |status| status.challenges[0].token.push('x'),
        |status| status.challenges[0].url.push('x'),
        |status| status.challenges[0].authorization.push('x'),
        |status| status.challenges[0].way = ChallengeWay::EditedIngress,
        |status| status.challenges[0].ingress = Some("other".to_owned()),
        |status| status.dns_records[0].name.push('x'),
        |status| status.dns_records[0].fqdn.push('x'),
        |status| status.dns_records[0].zone.push('x'),
        |status| status.dns_records[0].value.push('x'),
        |status| status.dns_records[0].key_authorization.push('x'),
        |status| status.dns_records[0].solver.http_request.as_mut().unwrap().url.push('x'),
        |status| status.dns_records[0].secrets_namespace.push('x'),
        |status| status.dns_records[0].allow_ambient_credentials = true,
        |status| held(status).serial_number.push('x'),
        |status| held(status).certificate.0.push(0),
        |status| held(status).issuer_kind = IssuerKind::ClusterIssuer,
        |status| held(status).issuer_name.push('x'),
        |status| held(status).account = Some("another".to_owned()),
        |status| held(status).revocation = None,
        |status| held(status).revocation.as_mut().unwrap().reason = RevocationReason::KeyCompromise,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut status = sealed();
        change(&mut status);
        let unverified = keys().take_unverified(OWNER, &mut status);
        let taken = usize::from(unverified.order.is_some())
            + unverified.challenges.len()
            + unverified.dns_records.len()
            + unverified.certificates.len();
        assert_eq!(taken, 1, "change {number}: {unverified:?}");
    }
}

#[test]
fn when_something_is_tried_again_may_be_anything() {
    let mut status = sealed();
    let time = Time(Timestamp::UNIX_EPOCH);
    status.dns_records[0].removal =
        Some(DnsRecordRemoval { since: time.clone(), next_attempt_time: time, reason: None });
    status.challenges[0].reason = Some("it waits".to_owned());
    held(&mut status).revocation.as_mut().unwrap().failed_attempts = Some(7);
    assert!(keys().take_unverified(OWNER, &mut status).is_empty());
}

#[test]
fn the_entries_of_one_certificate_are_worth_nothing_in_another() {
    for owner in [Owner { uid: "another", ..OWNER }, Owner { namespace: "another", ..OWNER }] {
        let mut status = sealed();
        let unverified = keys().take_unverified(owner, &mut status);
        assert!(unverified.order.is_some(), "{owner:?}");
        assert_eq!(
            (unverified.challenges.len(), unverified.dns_records.len(), unverified.certificates.len()),
            (1, 1, 1)
        );
        assert_eq!((status.order, status.challenges, status.dns_records), (None, Vec::new(), Vec::new()));
        assert_eq!(status.revocation, Some(RevocationStatus::default()));
    }
}

#[test]
fn a_seal_of_one_kind_of_entry_is_none_of_another() {
    let mut status = sealed();
    status.challenges[0].seal = status.dns_records[0].seal.clone();
    assert_eq!(keys().take_unverified(OWNER, &mut status).challenges.len(), 1);
}

#[test]
fn a_key_that_was_replaced_still_verifies_and_no_longer_seals() {
    let mut status = sealed();
    let rotated = LedgerKeys::new(&[9; KEY_LENGTH], [[1; KEY_LENGTH].as_slice()]);
    assert!(rotated.take_unverified(OWNER, &mut status).is_empty());
    rotated.seal(OWNER, &mut status);
    assert!(keys().take_unverified(OWNER, &mut status).order.is_some(), "the old key alone does not know it");
}

proptest! {
    #[test]
    fn no_seal_can_be_made_up(seal in "\\PC{0,60}") {
        let mut status = sealed();
        prop_assume!(status.order.as_ref().unwrap().seal.as_ref() != Some(&seal));
        status.order.as_mut().unwrap().seal = Some(seal);
        prop_assert!(keys().take_unverified(OWNER, &mut status).order.is_some());
    }
}

#[test]
fn a_record_without_a_seal_is_confirmed_by_what_would_put_it_there_now_and_by_nothing_else() {
    let names = BTreeSet::from(["*.a.test".to_owned()]);
    let solvers = [Solver { dns01: Some(ledger().dns_records[0].solver.clone()), ..Solver::default() }];
    let known = Known { names, solvers: &solvers, secrets_namespace: "shop", ambient: false };
    let record = &ledger().dns_records[0];
    assert!(known.confirms_record(record));
    type Change = fn(&mut DnsRecordStatus);
    let changes: [Change; 7] = [
        |record| record.secrets_namespace = "kube-system".to_owned(),
        |record| record.allow_ambient_credentials = true,
        |record| record.solver.http_request.as_mut().unwrap().url = "https://evil.test".to_owned(),
        |record| record.fqdn = "_acme-challenge.other.test.".to_owned(),
        |record| record.name = "other.test".to_owned(),
        |record| record.value = "of-somebody-else".to_owned(),
        |record| record.key_authorization = "of-somebody-else".to_owned(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut record = record.clone();
        change(&mut record);
        assert!(!known.confirms_record(&record), "change {number}");
    }
}

#[test]
fn a_challenge_without_a_seal_is_confirmed_if_its_ingress_is_the_one_that_the_issuer_names() {
    let names = BTreeSet::from(["a.test".to_owned()]);
    let ingress = Http01Ingress { name: Some("shop".to_owned()), ..Http01Ingress::default() };
    let http01 = Http01Solver { ingress: Some(ingress), ..Http01Solver::default() };
    let solvers = [Solver { http01: Some(http01), ..Solver::default() }];
    let known = Known { names, solvers: &solvers, secrets_namespace: "shop", ambient: false };
    let of = |name: &str, ingress: Option<&str>| ChallengeStatus {
        name: name.to_owned(),
        ingress: ingress.map(str::to_owned),
        ..ChallengeStatus::default()
    };
    assert!(known.confirms_challenge(&of("a.test", None)));
    assert!(known.confirms_challenge(&of("a.test", Some("shop"))));
    assert!(!known.confirms_challenge(&of("a.test", Some("of-somebody-else"))));
    assert!(!known.confirms_challenge(&of("b.test", Some("shop"))));
}

#[test]
fn of_certificates_to_be_revoked_only_the_one_in_the_secret_is_confirmed() {
    let mut status = ledger();
    let entry = held(&mut status).clone();
    let current = RevocableCertificate { revocation: None, account: None, ..entry.clone() };
    assert!(derive::is_current(&entry, &current));
    assert!(!derive::is_current(
        &RevocableCertificate { serial_number: "02".to_owned(), ..entry.clone() },
        &current
    ));
    assert!(!derive::is_current(&entry, &RevocableCertificate { certificate: Base64(vec![7]), ..current }));
}

fn keys() -> LedgerKeys {
    LedgerKeys::new(&[1; KEY_LENGTH], [])
}

fn sealed() -> CertificateStatus {
    let mut status = ledger();
    keys().seal(OWNER, &mut status);
    status
}

fn held(status: &mut CertificateStatus) -> &mut RevocableCertificate {
    &mut status.revocation.as_mut().unwrap().certificates[0]
}

fn ledger() -> CertificateStatus {
    let request = Dns01HttpRequest {
        url: "https://dns.test".to_owned(),
        bearer_token_secret_ref: Some(Dns01SecretKeySelector { name: "token".to_owned(), key: None }),
        ..Dns01HttpRequest::default()
    };
    let time = Time(Timestamp::UNIX_EPOCH);
    CertificateStatus {
        order: Some(OrderStatus {
            url: "https://ca.test/order/1".to_owned(),
            state: "pending".to_owned(),
            expires: None,
            created: time.clone(),
            account: "https://ca.test/account/1".to_owned(),
            seal: None,
        }),
        challenges: vec![ChallengeStatus { name: "a.test".to_owned(), ..ChallengeStatus::default() }],
        dns_records: vec![DnsRecordStatus {
            name: "a.test".to_owned(),
            fqdn: "_acme-challenge.a.test.".to_owned(),
            zone: "a.test.".to_owned(),
            value: txt_value("token.thumbprint"),
            key_authorization: "token.thumbprint".to_owned(),
            solver: Dns01Solver { http_request: Some(request), ..Dns01Solver::default() },
            secrets_namespace: "shop".to_owned(),
            ..DnsRecordStatus::default()
        }],
        revocation: Some(RevocationStatus {
            certificates: vec![RevocableCertificate {
                serial_number: "01".to_owned(),
                not_after: time.clone(),
                certificate: Base64(vec![1, 2, 3]),
                issuer_kind: IssuerKind::Issuer,
                issuer_name: "ca".to_owned(),
                account: Some("https://ca.test/account/1".to_owned()),
                revocation: Some(CertificateRevocation {
                    reason: RevocationReason::Superseded,
                    cause: RevocationCause::Replaced,
                    since: time,
                    failed_attempts: None,
                    next_attempt_time: None,
                    result: None,
                    message: None,
                }),
                seal: None,
            }],
            ..RevocationStatus::default()
        }),
        ..CertificateStatus::default()
    }
}

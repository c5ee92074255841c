mod revocation_day;
mod urgency;

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::*;
use certwright_api::{CertificatePrivateKey, CertificateSpec, IssuerRef, PrivateKeyAlgorithm};

#[test]
fn a_secret_as_the_spec_asks_for_is_left_alone() {
    assert_eq!(Case::default().due(), None);
}

#[test]
fn each_fault_has_its_reason_and_its_sentence() {
    for (fault, reason, message) in faults() {
        let mut case = Case::default();
        fault(&mut case);
        let due = case.due().unwrap_or_else(|| panic!("{reason} is not seen"));
        assert_eq!((due.reason, due.message.as_str()), (reason, message));
    }
}

#[test]
fn the_earlier_check_gives_the_reason() {
    let faults = faults();
    for (place, (first, reason, message)) in faults.iter().enumerate() {
        for (second, second_reason, _) in &faults[place + 1..] {
            if reason == second_reason {
                continue;
            }
            // The later one first, so that it does not undo the earlier one.
            let mut case = Case::default();
            second(&mut case);
            first(&mut case);
            let due = case.due().unwrap();
            assert_eq!((due.reason, due.message.as_str()), (*reason, *message), "beside {second_reason}");
        }
    }
}

#[test]
fn names_that_nobody_can_have_asked_for_are_said_on_one_line_of_bounded_length() {
    let mut case = Case::default();
    let names = (0..500).map(|number| format!("{number}\n.test"));
    case.secret.requested_names = Some(names.collect());
    let message = case.due().unwrap().message;
    assert!(message.contains("0 .test, 1 .test") && message.chars().count() < 1200, "{message}");
    assert!(!message.contains(char::is_control), "{message}");
}

#[test]
fn both_files_missing_are_said_at_once_and_the_certificate_is_read_first() {
    let mut case = Case::default();
    case.secret.key = None;
    case.secret.leaf = None;
    assert_eq!(case.due().unwrap().message, "Secret tls has neither tls.crt nor tls.key");
    let mut case = Case::default();
    case.secret.key = Some(Err("bad key".to_owned()));
    case.secret.leaf = Some(Err("bad certificate".to_owned()));
    assert_eq!(case.due().unwrap().message, "Secret tls: tls.crt: bad certificate");
}

#[test]
fn missing_and_surplus_names_are_told_apart() {
    let said = |dns: &[&str], ips: &[&str]| {
        let mut case = Case::default();
        let leaf = case.leaf();
        leaf.dns_names = dns.iter().map(|name| (*name).to_owned()).collect();
        leaf.ip_addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        case.due().map(|due| due.message)
    };
    assert_eq!(said(&["a.test", "b.test"], &["192.0.2.1"]), None);
    assert_eq!(said(&["a.test"], &[]).unwrap(), "the certificate lacks b.test, 192.0.2.1");
    assert_eq!(
        said(&["a.test", "b.test", "c.test"], &["192.0.2.1", "192.0.2.2"]).unwrap(),
        "the certificate has 192.0.2.2, c.test, which the spec does not list"
    );
    assert_eq!(
        said(&["a.test", "c.test"], &["192.0.2.1"]).unwrap(),
        "the certificate lacks b.test and has c.test, which the spec does not list"
    );
}

#[test]
fn a_name_added_by_the_ca_does_not_cause_another_order() {
    let mut case = Case::default();
    case.leaf().dns_names.insert("www.a.test".to_owned());
    case.secret.requested_names = Some(case.wanted.names());
    assert_eq!(case.due(), None);
    case.secret.requested_names.as_mut().unwrap().insert("c.test".to_owned());
    assert_eq!(case.due().unwrap().message, "the certificate has c.test, which the spec does not list");
}

#[test]
fn an_issuer_of_the_same_name_and_another_kind_is_another() {
    let mut case = Case::default();
    case.secret.issuer = Some(("ca".to_owned(), "ClusterIssuer".to_owned()));
    assert_eq!(
        case.due().unwrap().message,
        "the certificate was issued by ClusterIssuer ca, but the spec names Issuer ca"
    );
    case.secret.issuer = None;
    assert_eq!(
        case.due().unwrap().message,
        "the Secret does not say that its certificate was issued by Issuer ca"
    );
}

#[test]
fn a_certificate_is_renewed_at_its_renewal_time_and_not_before() {
    let mut case = Case::default();
    let time = case.current().renewal_time().unwrap();
    case.now = time - SignedDuration::from_secs(1);
    assert_eq!(case.due(), None);
    case.now = time;
    assert_eq!(case.due().unwrap().reason, reason::RENEWAL_DUE);
}

#[test]
fn a_certificate_is_valid_in_its_last_second() {
    let mut case = Case::default();
    case.now = case.leaf().not_after;
    assert_eq!(case.due().unwrap().reason, reason::RENEWAL_DUE);
    case.now += SignedDuration::from_nanos(1);
    assert_eq!(case.due().unwrap().reason, reason::EXPIRED);
}

#[test]
fn without_renewal_an_expired_certificate_is_left_alone_but_its_faults_are_not() {
    let mut case = Case::default();
    case.wanted.renews = false;
    case.now = case.leaf().not_after + SignedDuration::from_secs(1);
    assert_eq!(case.due(), None);
    case.secret.exists = false;
    assert_eq!(case.due().unwrap().reason, reason::SECRET_MISSING);
}

#[test]
fn a_request_is_answered_once() {
    let mut case = Case { renew_request: Some("1".to_owned()), ..Case::default() };
    assert_eq!(case.due().unwrap().reason, reason::RENEWAL_REQUESTED);
    case.observed_renew_request = Some("1".to_owned());
    assert_eq!(case.due(), None);
    case.renew_request = Some("2".to_owned());
    assert_eq!(case.due().unwrap().reason, reason::RENEWAL_REQUESTED);
    case.renew_request = None;
    assert_eq!(case.due(), None);
}

#[test]
fn only_a_renewal_leaves_the_certificate_ready() {
    for (fault, reason, _) in faults() {
        let mut case = Case::default();
        fault(&mut case);
        let renewal = [reason::RENEWAL_DUE, reason::RENEWAL_REQUESTED].contains(&reason);
        assert_eq!(case.due().unwrap().leaves_ready(), renewal, "{reason}");
        assert_eq!(unready(&case.current()).map(|due| due.reason), (!renewal).then_some(reason));
    }
}

#[test]
fn two_certificates_of_one_day_have_different_renewal_times() {
    let case = Case::default();
    let mine = case.current().renewal_time();
    let theirs = Current { uid: "another", ..case.current() }.renewal_time();
    assert_ne!(mine, theirs);
}

#[test]
fn a_key_is_used_again_only_if_the_spec_says_so_and_it_fits() {
    let mut case = Case::default();
    assert!(!reuses_key(&case.wanted, &case.secret, false));
    case.wanted.rotation = RotationPolicy::Never;
    assert!(reuses_key(&case.wanted, &case.secret, false));
    assert!(!reuses_key(&case.wanted, &case.secret, true));
    for unfit in [None, Some(Err("damaged".to_owned())), Some(Ok((KeyAlgorithm::ECDSA_P384, vec![1])))] {
        case.secret.key = unfit;
        assert!(!reuses_key(&case.wanted, &case.secret, false), "{:?}", case.secret.key);
    }
}

type Fault = fn(&mut Case);

/// Each fault that a check looks for, in the order of the checks.
fn faults() -> Vec<(Fault, &'static str, &'static str)> {
    vec![
        (|case| case.secret = SecretView::default(), reason::SECRET_MISSING, "Secret tls does not exist"),
        (|case| case.secret.leaf = None, reason::SECRET_INVALID, "Secret tls has no tls.crt"),
        (|case| case.secret.key = None, reason::SECRET_INVALID, "Secret tls has no tls.key"),
        (
            |case| case.secret.leaf = Some(Err("not PEM".to_owned())),
            reason::SECRET_INVALID,
            "Secret tls: tls.crt: not PEM",
        ),
        (
            |case| case.secret.key = Some(Err("not PEM".to_owned())),
            reason::SECRET_INVALID,
            "Secret tls: tls.key: not PEM",
        ),
        (
            |case| case.leaf().public_key_der = vec![2],
            reason::KEY_MISMATCH,
            "Secret tls: tls.key does not match tls.crt",
        ),
        (
            |case| case.revoked = Some(RevocationReason::Superseded),
            reason::REVOKED,
            "the certificate is revoked: superseded",
        ),
        (
            |case| case.leaf().dns_names.retain(|name| name == "a.test"),
            reason::NAMES_CHANGED,
            "the certificate lacks b.test",
        ),
        (
            |case| case.wanted.key = KeyAlgorithm::Rsa(3072),
            reason::KEY_ALGORITHM_CHANGED,
            "the private key is ECDSA P-256, but the spec requires RSA 3072",
        ),
        (
            |case| {
                case.wanted.issuer_name = "other".to_owned();
                case.wanted.first_issuer.name = "other".to_owned();
                case.wanted.tried_issuer.name = "other".to_owned();
            },
            reason::ISSUER_CHANGED,
            "the certificate was issued by Issuer ca, but the spec names Issuer other",
        ),
        (
            |case| case.now = "2026-04-01T00:00:01Z".parse().unwrap(),
            reason::EXPIRED,
            "the certificate expired at 2026-04-01T00:00:00Z",
        ),
        (
            |case| case.now = case.now.max("2026-03-15T00:00:00Z".parse().unwrap()),
            reason::RENEWAL_DUE,
            "its renewal time was 2026-02-26T10:45:38Z",
        ),
        (
            |case| case.renew_request = Some("now".to_owned()),
            reason::RENEWAL_REQUESTED,
            "the annotation certwright.dev/renew requests it",
        ),
    ]
}

/// What the checks look at; by default nothing is wrong.
#[derive(Clone)]
struct Case {
    wanted: ValidatedCertificate,
    secret: SecretView,
    revoked: Option<RevocationReason>,
    renew_request: Option<String>,
    observed_renew_request: Option<String>,
    suggestion: Option<RenewalInfoStatus>,
    now: Timestamp,
}

impl Case {
    fn due(&self) -> Option<Due> {
        due(&self.current())
    }

    fn current(&self) -> Current<'_> {
        Current {
            wanted: &self.wanted,
            secret: &self.secret,
            revoked: self.revoked.map(Revoked::ByOperator),
            uid: "uid",
            suggestion: self.suggestion.as_ref(),
            under_way: false,
            renew_request: self.renew_request.as_deref(),
            observed_renew_request: self.observed_renew_request.as_deref(),
            now: self.now,
        }
    }

    /// The certificate in the Secret; an unused one if there is none.
    fn leaf(&mut self) -> &mut Leaf {
        match self.secret.leaf.as_mut() {
            Some(Ok(leaf)) => leaf,
            _ => Box::leak(Box::new(leaf())),
        }
    }
}

impl Default for Case {
    fn default() -> Self {
        Self {
            wanted: ValidatedCertificate::new(
                &CertificateSpec {
                    secret_name: "tls".to_owned(),
                    dns_names: vec!["a.test".to_owned(), "b.test".to_owned()],
                    ip_addresses: vec!["192.0.2.1".to_owned()],
                    issuer_ref: IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() },
                    private_key: Some(CertificatePrivateKey {
                        algorithm: Some(PrivateKeyAlgorithm::Ecdsa),
                        size: Some(256),
                        ..CertificatePrivateKey::default()
                    }),
                    ..CertificateSpec::default()
                },
                None,
            )
            .unwrap(),
            secret: SecretView {
                type_: None,
                requested_names: None,
                as_written: true,
                exists: true,
                version: None,
                certificate_name: Some("cert".to_owned()),
                issuer: Some(("ca".to_owned(), "Issuer".to_owned())),
                key: Some(Ok((KeyAlgorithm::ECDSA_P256, vec![1]))),
                leaf: Some(Ok(leaf())),
            },
            revoked: None,
            renew_request: None,
            observed_renew_request: None,
            suggestion: None,
            now: "2026-01-10T00:00:00Z".parse().unwrap(),
        }
    }
}

fn leaf() -> Leaf {
    Leaf {
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2026-04-01T00:00:00Z".parse().unwrap(),
        serial_number: "01".to_owned(),
        common_name: None,
        dns_names: BTreeSet::from(["a.test".to_owned(), "b.test".to_owned()]),
        ip_addresses: BTreeSet::from(["192.0.2.1".parse().unwrap()]),
        public_key_der: vec![1],
        public_key_algorithm: Some(KeyAlgorithm::ECDSA_P256),
        issuer_name: "Intermediate".to_owned(),
        certificate_id: Some("aYhb.AQ".to_owned()),
        revocation_list_url: None,
        der: vec![1],
    }
}

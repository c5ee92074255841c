use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::backoff::Backoff;
use crate::issuance::{Snapshot, State};
use crate::reissue::SecretView;
use crate::renewal::Asking;
use crate::spec::{InvalidSpec, ValidatedCertificate};
use certwright_pki::KeyAlgorithm;

const OLD: &str = "01";
const NEW: &str = "02";

#[test]
fn nothing_is_kept_unless_somebody_asks_for_it() {
    let case = Case::holding(OLD);
    assert_eq!(case.next(), None);
}

#[test]
fn a_certificate_is_on_record_while_it_is_in_the_secret() {
    for asked in [on_delete(), on_replace()] {
        let mut case = Case::holding(OLD);
        case.asked = asked;
        case.keeps_ledger(None);
        assert_eq!(case.states(), [(OLD, "held")]);
        assert_eq!(case.ledger().certificates[0].account.as_deref(), Some("account/1"));
        assert_eq!(case.next(), None, "it is not revoked for that");
        assert!(holds(&case.state.status));
    }
}

#[test]
fn a_replaced_certificate_is_revoked_once_the_next_is_in_the_secret_and_not_before() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.secret = SecretView::default();
    assert_eq!(case.next(), None, "nothing has taken its place yet");
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(OLD, "open"), (NEW, "held")]);
    assert_eq!(case.next(), Some(Chore::Revoke(OLD.to_owned())));
    case.ends(OLD, RevocationResult::Revoked);
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(NEW, "held")]);
    assert_eq!(case.next(), None);
    let last = case.ledger().last.unwrap();
    assert_eq!((last.serial_number.as_str(), last.cause), (OLD, RevocationCause::Replaced));
}

#[test]
fn a_replaced_certificate_is_forgotten_if_only_a_deletion_revokes() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.keeps_ledger(None);
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(NEW, "held")]);
}

#[test]
fn a_certificate_beside_another_key_is_never_revoked() {
    let mut case = Case::holding(OLD);
    case.asked = Asked { request: Some("keyCompromise"), ..on_delete() };
    case.secret.key = Some(Ok((KeyAlgorithm::ECDSA_P256, vec![9])));
    case.keeps_ledger(Some(Remark::NothingToRevoke));
    assert_eq!(case.states(), []);
    assert_eq!(case.next(), None);
}

#[test]
fn a_certificate_in_the_secret_of_somebody_else_is_never_revoked() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.secret.certificate_name = Some("other".to_owned());
    assert_eq!(case.next(), None);
}

#[test]
fn a_request_is_answered_once_and_its_certificate_stays_marked_until_it_is_replaced() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert_eq!(case.next(), Some(Chore::Revoke(OLD.to_owned())));
    assert_eq!(reason_of(&case.state.status, OLD), Some(RevocationReason::KeyCompromise));
    case.ends(OLD, RevocationResult::Revoked);
    assert_eq!(case.next(), None);
    case.secret = SecretView::default();
    assert_eq!(case.next(), None, "it could come back");
    assert_eq!(reason_of(&case.state.status, OLD), Some(RevocationReason::KeyCompromise));
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    assert_eq!(case.states(), []);
    assert_eq!(case.next(), None, "the annotation, which still stands, is not for the new one");
    assert_eq!(reason_of(&case.state.status, NEW), None);
}

#[test]
fn a_request_that_is_withdrawn_and_repeated_is_answered_again() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    case.ends(OLD, RevocationResult::Revoked);
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    case.asked.request = None;
    case.keeps_ledger(Some(Remark::TakenBack));
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    assert_eq!(case.next(), Some(Chore::Revoke(NEW.to_owned())));
}

#[test]
fn a_request_for_a_reason_that_there_is_not_revokes_nothing() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("KeyCompromise");
    case.keeps_ledger(Some(Remark::InvalidReason("KeyCompromise".to_owned())));
    assert_eq!(case.states(), []);
    assert_eq!(case.next(), None);
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(OLD, "open")]);
}

#[test]
fn a_request_after_the_secret_was_lost_is_for_what_was_in_it() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.secret = SecretView::default();
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert_eq!(case.next(), Some(Chore::Revoke(OLD.to_owned())));
}

#[test]
fn a_request_with_a_worse_reason_overrides_one_that_is_not_answered_yet() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert_eq!(reason_of(&case.state.status, OLD), Some(RevocationReason::KeyCompromise));
}

#[test]
fn a_deletion_revokes_what_was_in_the_secret_although_it_is_gone_first() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.keeps_ledger(None);
    case.secret = SecretView::default();
    case.delete();
    case.keeps_ledger(None);
    assert_eq!(case.next(), Some(Chore::Revoke(OLD.to_owned())));
    case.ends(OLD, RevocationResult::Revoked);
    assert!(!holds(&case.state.status));
    assert_eq!(case.next(), None);
    case.secret = secret(OLD);
    assert_eq!(case.next(), None, "it is revoked once");
}

#[test]
fn a_deletion_lets_go_what_is_revoked_only_when_replaced() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.delete();
    case.keeps_ledger(None);
    assert!(!holds(&case.state.status));
}

#[test]
fn a_deletion_does_not_wait_for_an_attempt_that_is_far_off() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    case.now += SignedDuration::from_hours(1);
    case.fails(OLD, &stumble()).unwrap();
    assert_eq!(case.next(), None);
    assert!(next_attempt(&case.state.status).unwrap() > case.now);
    case.delete();
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(OLD, "open")]);
    assert_eq!(case.next(), Some(Chore::Revoke(OLD.to_owned())));
    let mut attempts = 0;
    while case.fails(OLD, &stumble()).is_some() {
        attempts += 1;
        assert_eq!(case.next(), None);
        case.now = next_attempt(&case.state.status).unwrap();
    }
    assert!((3..=40).contains(&attempts), "{attempts}");
    let waited = case.now.duration_since(case.asked.deleted.unwrap().since);
    assert!(waited <= SignedDuration::from_secs(61), "{waited}");
}

#[test]
fn a_ca_that_fails_is_asked_again_ever_more_slowly_for_a_week() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    let begin = case.now;
    let mut attempts = 0;
    while case.fails(OLD, &stumble()).is_some() {
        attempts += 1;
        case.now = next_attempt(&case.state.status).unwrap();
    }
    assert!((20..60).contains(&attempts), "{attempts}");
    assert!(case.now.duration_since(begin) >= GIVEN_UP_AFTER);
}

#[test]
fn a_refusal_that_would_be_the_same_each_time_is_not_asked_for_again() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    assert_eq!(case.fails(OLD, &Refusal { is_final: true, ..stumble() }), None);
    assert!(
        is_final("badRevocationReason", 400, About::Order)
            && is_final("unauthorized", 403, About::Order)
            && is_final("malformed", 404, About::Order)
    );
    assert!(
        !is_final("rateLimited", 429, About::Order)
            && !is_final("serverInternal", 500, About::Order)
            && !is_final("unexpectedStatus", 503, About::Order)
    );
}

#[test]
fn an_expired_certificate_is_not_revoked_any_more() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    case.now = "2026-04-01T00:00:01Z".parse().unwrap();
    case.keeps_ledger(None);
    assert_eq!(case.states(), []);
}

#[test]
fn when_the_policy_is_taken_back_nothing_is_kept() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.keeps_ledger(None);
    case.asked = Asked::default();
    case.keeps_ledger(None);
    assert!(!holds(&case.state.status));
}

#[test]
fn of_more_than_an_object_can_hold_the_oldest_is_given_up() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    let mut given_up = 0;
    for serial in 10..200 {
        case.secret = secret(&serial.to_string());
        if let Some(Ok(leaf)) = &mut case.secret.leaf {
            leaf.der = vec![0; 8 * 1024];
        }
        while let Some(chore) = case.next() {
            match chore {
                Chore::KeepLedger(ledger, _) => case.state.status.revocation = Some(*ledger),
                Chore::Revoke(serial) => drop(case.fails(&serial, &stumble()).unwrap()),
                Chore::GiveUp(serial, _) => {
                    given_up += 1;
                    case.ends(&serial, RevocationResult::GivenUp);
                }
            }
        }
        let size: usize = case.ledger().certificates.iter().map(|held| held.certificate.0.len()).sum();
        assert!(size <= LARGEST_LEDGER + 16 * 1024, "{size}");
    }
    assert!(given_up > 100, "{given_up}");
}

#[test]
fn the_account_is_passed_over_where_it_may_not_and_only_there() {
    for (code, status) in [
        ("unauthorized", 403),
        ("accountDoesNotExist", 400),
        ("DEACTIVATED_ACCOUNT", 401),
        ("unexpectedStatus", 403),
    ] {
        assert!(account_may_not(code, Some(status), About::Order), "{code}");
        assert!(
            !account_may_not(code, Some(status), About::Server),
            "{code}: nobody has spoken of the account"
        );
    }
    for (code, status) in [("badRevocationReason", 400), ("serverInternal", 500), ("rateLimited", 429)] {
        assert!(!account_may_not(code, Some(status), About::Order), "{code}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Holds(u8),
    IsLost,
    OnReplace(bool),
    OnDelete(bool),
    Request(Option<&'static str>),
    Passes(i64),
    Succeeds(bool),
    Deleted,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1..6u8).prop_map(Event::Holds),
        Just(Event::IsLost),
        any::<bool>().prop_map(Event::OnReplace),
        any::<bool>().prop_map(Event::OnDelete),
        prop_oneof![
            Just(None),
            Just(Some("superseded")),
            Just(Some("keyCompromise")),
            Just(Some("nonsense"))
        ]
        .prop_map(Event::Request),
        (0..100_000i64).prop_map(Event::Passes),
        any::<bool>().prop_map(Event::Succeeds),
        Just(Event::Deleted),
    ]
}

proptest! {
    /// Whatever happens: the decisions come to rest; the certificate in the Secret is revoked only on request or on deletion;
    /// none is revoked again after a success; and a deletion ends in time.
    #[test]
    fn after_any_events_it_comes_to_rest_and_a_deletion_ends(events in prop::collection::vec(event(), 1..40)) {
        let mut case = Case::holding(OLD);
        let mut succeeds = true;
        let mut revoked = std::collections::BTreeSet::new();
        for event in events.into_iter().chain([Event::Deleted]) {
            match event {
                Event::Holds(serial) => case.secret = secret(&serial.to_string()),
                Event::IsLost => case.secret = SecretView::default(),
                Event::OnReplace(is) => case.asked.on_replace = is.then_some(RevocationReason::Superseded),
                Event::OnDelete(is) => case.asked.on_delete = is.then_some(RevocationReason::CessationOfOperation),
                Event::Request(request) => case.asked.request = request,
                Event::Passes(seconds) => case.now += SignedDuration::from_secs(seconds),
                Event::Succeeds(does) => succeeds = does,
                Event::Deleted => { case.asked.deleted.get_or_insert(deleted_at(case.now)); }
            }
            let mut steps = 0;
            while let Some(chore) = case.next() {
                steps += 1;
                prop_assert!(steps < 60, "no rest: {chore:?}");
                match chore {
                    Chore::KeepLedger(ledger, _) => case.state.status.revocation = Some(*ledger),
                    Chore::GiveUp(serial, _) => case.ends(&serial, RevocationResult::GivenUp),
                    Chore::Revoke(serial) => {
                        let held = case.entry(&serial);
                        let cause = held.open().unwrap().cause;
                        let in_secret = case.secret.leaf().is_some_and(|leaf| leaf.serial_number == serial);
                        // One that reappears in the Secret is still revoked: that was decided.
                        prop_assert!(!in_secret || cause != RevocationCause::Replaced || !revoked.contains(&serial));
                        match succeeds {
                            true => {
                                revoked.insert(serial.clone());
                                case.ends(&serial, RevocationResult::Revoked);
                            }
                            false if case.fails(&serial, &stumble()).is_none() => {
                                case.ends(&serial, RevocationResult::GivenUp);
                            }
                            false => {}
                        }
                    }
                }
            }
            if let Some(next) = next_attempt(&case.state.status) {
                prop_assert!(next > case.now);
            }
        }
        let deleted = case.asked.deleted.unwrap().since;
        let bound = deleted + DELETION_TIMEOUT + SignedDuration::from_secs(2);
        while holds(&case.state.status) {
            case.now = next_attempt(&case.state.status).expect("something to wait for");
            prop_assert!(case.now <= bound, "it waits until {} and was deleted at {deleted}", case.now);
            while let Some(chore) = case.next() {
                match chore {
                    Chore::KeepLedger(ledger, _) => case.state.status.revocation = Some(*ledger),
                    Chore::GiveUp(serial, _) => case.ends(&serial, RevocationResult::GivenUp),
                    Chore::Revoke(serial) => if case.fails(&serial, &stumble()).is_none() {
                        case.ends(&serial, RevocationResult::GivenUp);
                    },
                }
            }
        }
    }
}

struct Case {
    wanted: Result<ValidatedCertificate, InvalidSpec>,
    secret: SecretView,
    issuer: IssuerView,
    state: State,
    labels: std::collections::BTreeMap<String, String>,
    asked: Asked<'static>,
    now: Timestamp,
}

impl Case {
    fn holding(serial: &str) -> Self {
        let spec = certwright_api::CertificateSpec {
            secret_name: "tls".to_owned(),
            dns_names: vec!["a.test".to_owned()],
            issuer_ref: certwright_api::IssuerRef {
                name: "ca".to_owned(),
                ..certwright_api::IssuerRef::default()
            },
            ..certwright_api::CertificateSpec::default()
        };
        Self {
            wanted: ValidatedCertificate::new(&spec),
            secret: secret(serial),
            issuer: IssuerView::Ready { account: "account/1".to_owned(), solvers: Vec::new(), profile: None },
            state: State::default(),
            labels: std::collections::BTreeMap::new(),
            asked: Asked::default(),
            now: "2026-01-10T00:00:00Z".parse().unwrap(),
        }
    }

    fn next(&self) -> Option<Chore> {
        let seen = Snapshot {
            uid: "uid",
            generation: 1,
            labels: &self.labels,
            renew_request: None,
            wanted: &self.wanted,
            claimed_by: None,
            kept_by: None,
            secret: &self.secret,
            backup: None,
            duplicate_limit: 0,
            min_interval: Duration::ZERO,
            ca_ahead: None,
            password_missing: None,
            next_key: None,
            not_allowed: None,
            issuer: &self.issuer,
            recorded: None,
            asks_lifetime: false,
            backoff: Backoff::default(),
            self_check_timeout: Duration::from_secs(60),
            name: "cert",
            held: true,
            asking: Asking { wanted: false, asked: None, began: self.now },
            revocation: self.asked,
        };
        next(&seen.with(&self.state), self.now)
    }

    /// The next chore is to keep the ledger; it is done.
    fn keeps_ledger(&mut self, expected: Option<Remark>) {
        let Some(Chore::KeepLedger(ledger, remark)) = self.next() else { panic!("{:?}", self.next()) };
        assert_eq!(remark, expected);
        self.state.status.revocation = Some(*ledger);
        assert!(!matches!(self.next(), Some(Chore::KeepLedger(..))), "it is not at rest: {:?}", self.next());
    }

    fn ledger(&self) -> RevocationStatus {
        self.state.status.revocation.clone().unwrap_or_default()
    }

    fn entry(&self, serial: &str) -> RevocableCertificate {
        self.ledger().certificates.into_iter().find(|held| held.serial_number == serial).unwrap()
    }

    fn states(&self) -> Vec<(&str, &'static str)> {
        let held = self.state.status.revocation.iter().flat_map(|ledger| &ledger.certificates);
        held.map(|held| {
            let state = match (&held.revocation, held.open()) {
                (None, _) => "held",
                (Some(_), Some(_)) => "open",
                (Some(_), None) => "ended",
            };
            (held.serial_number.as_str(), state)
        })
        .collect()
    }

    fn ends(&mut self, serial: &str, result: RevocationResult) {
        end(self.state.status.revocation.as_mut().unwrap(), serial, result, None, self.now);
    }

    fn fails(&mut self, serial: &str, refusal: &Refusal) -> Option<CertificateRevocation> {
        let next = after_refusal(&self.entry(serial), refusal, &self.asked, Backoff::default(), self.now)?;
        let mut held = self.state.status.revocation.as_mut().unwrap().certificates.iter_mut();
        held.find(|held| held.serial_number == serial).unwrap().revocation = Some(next.clone());
        Some(next)
    }

    fn delete(&mut self) {
        self.asked.deleted = Some(deleted_at(self.now));
    }
}

fn on_delete() -> Asked<'static> {
    Asked { on_delete: Some(RevocationReason::CessationOfOperation), ..Asked::default() }
}

fn on_replace() -> Asked<'static> {
    Asked { on_replace: Some(RevocationReason::Superseded), ..Asked::default() }
}

fn stumble() -> Refusal {
    Refusal { words: "the CA stumbled".to_owned(), is_final: false, retry_after: None }
}

fn secret(serial: &str) -> SecretView {
    SecretView {
        exists: true,
        certificate_name: Some("cert".to_owned()),
        issuer: Some(("ca".to_owned(), "Issuer".to_owned())),
        as_written: true,
        key: Some(Ok((KeyAlgorithm::ECDSA_P256, vec![1]))),
        leaf: Some(Ok(Leaf {
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2026-04-01T00:00:00Z".parse().unwrap(),
            serial_number: serial.to_owned(),
            common_name: None,
            dns_names: std::collections::BTreeSet::from(["a.test".to_owned()]),
            ip_addresses: std::collections::BTreeSet::new(),
            public_key_der: vec![1],
            public_key_algorithm: Some(KeyAlgorithm::ECDSA_P256),
            issuer_name: "Intermediate".to_owned(),
            certificate_id: None,
            der: serial.as_bytes().to_vec(),
        })),
        ..SecretView::default()
    }
}

fn deleted_at(since: Timestamp) -> Deletion {
    Deletion { since, with_namespace: false }
}

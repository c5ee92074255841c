use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::account::Recorded;
use crate::account::next_step::decide;
use crate::account::tests::snapshot;
use certwright_api::{AcmeAccountStatus, AcmeIssuer, DeactivationStatus, IssuerStatus};

const URL: &str = "https://acme.test/account/1";
const OLD: &str = "https://acme.test/account/0";
const SERVER: &str = "https://acme.test/dir";

#[test]
fn an_account_is_deactivated_only_if_its_url_is_given() {
    let mut case = Case::registered();
    assert_eq!(case.step(), AccountStep::Rest);
    for other in ["", " ", "yes", "https://acme.test/account/2"] {
        case.deactivate = Some(other.to_owned());
        assert_eq!(case.step(), AccountStep::Rest, "{other}");
    }
    for url in [URL.to_owned(), format!(" {URL}\n")] {
        case.deactivate = Some(url);
        assert_eq!(case.step(), deactivate(URL));
    }
    let acme = case.status.acme.take();
    assert_eq!(case.step(), deactivate(URL), "the Secret tells that it is ours");
    case.key_secret = KeySecret::Key { thumbprint: "mine".to_owned(), ours: true, account: None };
    case.status.acme = acme;
    assert_eq!(case.step(), deactivate(URL), "the status does");
    case.history = vec![previous()];
    case.deactivate = Some(OLD.to_owned());
    assert_eq!(case.step(), deactivate(OLD));
}

#[test]
fn an_account_that_cannot_be_used_can_be_deactivated() {
    let mut case = Case::registered();
    case.status.failed_attempts = Some(1);
    case.status.conditions = vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
        type_: "Ready".to_owned(),
        status: "False".to_owned(),
        reason: reason::ACCOUNT_UNUSABLE.to_owned(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(now()),
    }];
    assert_eq!(case.step(), AccountStep::Hold { until: None });
    case.deactivate = Some(URL.to_owned());
    assert_eq!(case.step(), deactivate(URL));
}

#[test]
fn a_failed_deactivation_is_tried_again_at_its_time_and_the_account_is_used_until_then() {
    let mut case = Case { deactivate: Some(URL.to_owned()), ..Case::registered() };
    let later = now() + SignedDuration::from_mins(1);
    case.status.deactivation = Some(failed(URL, now(), later));
    assert_eq!(case.step(), AccountStep::Rest);
    assert_eq!(case.with(next_attempt_asked_for), Some(later));
    assert_eq!(case.step_at(later), deactivate(URL));
    case.status.deactivation = Some(failed(OLD, now(), later));
    assert_eq!(case.step(), deactivate(URL), "what has failed was another");
}

#[test]
fn a_deactivated_account_is_not_registered_again_whatever_is_lost() {
    let ended = Recorded { deactivated: Some(now()), ..recorded() };
    let key = |account| KeySecret::Key { thumbprint: "mine".to_owned(), ours: true, account };

    let mut lost_status = Case { key_secret: key(Some(ended.clone())), ..Case::registered() };
    lost_status.status = IssuerStatus::default();
    assert_eq!(lost_status.step(), AccountStep::NoteEnd(ended.clone()));
    let another_issuer = Case { key_secret: key(Some(ended.clone())), ..Case::registered() };
    assert_eq!(another_issuer.step(), AccountStep::NoteEnd(ended));

    for key_secret in [key(None), key(Some(recorded())), KeySecret::Missing] {
        let mut case = Case { key_secret, looked_up: true, ..Case::registered() };
        case.status.acme.as_mut().unwrap().deactivation_time = Some(Time(now()));
        for generation in [1, 2] {
            case.generation = generation;
            let AccountStep::Wait { until: None, reason, message } = case.step() else {
                panic!("{:?}", case.step())
            };
            assert_eq!(reason, reason::DEACTIVATED);
            assert!(message.contains(URL) && message.contains("Secret account"), "{message}");
        }
    }
}

#[test]
fn the_condition_says_what_becomes_of_the_request() {
    let mut case = Case::registered();
    assert_eq!(case.with(asked), Asked::Nothing);
    case.deactivate = Some(URL.to_owned());
    assert_eq!(case.with(asked), Asked::Pending);
    case.status.acme.as_mut().unwrap().deactivation_time = Some(Time(now()));
    assert_eq!(case.with(asked), Asked::Done(format!("The account {URL} is deactivated")));
    case.deactivate = Some("account/1".to_owned());
    case.history = vec![previous()];
    let Asked::Unknown(message) = case.with(asked) else { panic!() };
    assert!(message.contains("account/1") && message.contains(URL) && message.contains(OLD), "{message}");
    case.status.acme = None;
    assert_eq!(case.with(asked), Asked::Nothing, "not before the account is known");
}

#[test]
fn a_deletion_waits_for_us_only_while_there_is_something_to_deactivate() {
    let mut case = Case::registered();
    assert_eq!(case.step(), AccountStep::Rest);
    case.policy(AccountOnDelete::Deactivate);
    assert_eq!(case.step(), AccountStep::SetFinalizer);
    case.has_finalizer = true;
    assert_eq!(case.step(), AccountStep::Rest);
    case.policy(AccountOnDelete::Retain);
    assert_eq!(case.step(), AccountStep::DropFinalizer);
    case.policy(AccountOnDelete::Deactivate);
    case.status.acme.as_mut().unwrap().deactivation_time = Some(Time(now()));
    assert_eq!(case.step(), AccountStep::DropFinalizer);
    case.key_secret = KeySecret::Key { thumbprint: "new".to_owned(), ours: true, account: None };
    assert_eq!(case.step(), AccountStep::LookUp, "another key will have another account");

    let mut unregistered = Case { looked_up: true, ..Case::registered() };
    unregistered.key_secret = KeySecret::Key { thumbprint: "mine".to_owned(), ours: true, account: None };
    unregistered.status.acme = None;
    unregistered.policy(AccountOnDelete::Deactivate);
    assert_eq!(unregistered.step(), AccountStep::SetFinalizer, "before the account is there");
    unregistered.has_finalizer = true;
    assert_eq!(unregistered.step(), AccountStep::Register);
    unregistered.key_secret = KeySecret::Missing;
    assert_eq!(unregistered.step(), AccountStep::MakeKey, "it does not come and go");
}

#[test]
fn the_last_step_deactivates_what_the_policy_says() {
    let mut case = Case { has_finalizer: true, ..Case::registered() };
    assert_eq!(case.last(None), LastStep::Release);
    case.policy(AccountOnDelete::Deactivate);
    let deactivate = LastStep::Deactivate { url: Some(URL.to_owned()), patience: Duration::from_secs(120) };
    assert_eq!(case.last(None), deactivate);
    assert_eq!(case.last(Some("Issuer other")), LastStep::Retain("Issuer other".to_owned()));
    case.status.acme = None;
    assert_eq!(case.last(None), deactivate, "the Secret tells which it is");
    case.key_secret = KeySecret::Key { thumbprint: "mine".to_owned(), ours: true, account: None };
    assert!(matches!(case.last(None), LastStep::Deactivate { url: None, .. }), "the CA is asked for it");
    case.key_secret = KeySecret::Missing;
    assert_eq!(case.last(None), LastStep::Release, "there is nothing to end, and nothing to end it with");
    let mut case = Case::registered();
    case.policy(AccountOnDelete::Deactivate);
    case.status.acme.as_mut().unwrap().deactivation_time = Some(Time(now()));
    assert_eq!(case.last(None), LastStep::Release);
}

#[test]
fn a_deletion_ends_in_bounded_time() {
    let mut case = Case { has_finalizer: true, ..Case::registered() };
    case.policy(AccountOnDelete::Deactivate);
    // A failure from before the deletion, of a requested deactivation, does not delay the first attempt.
    let hour = SignedDuration::from_hours(1);
    case.status.deactivation = Some(failed(URL, now() - hour, now() + hour));
    assert!(matches!(case.last(None), LastStep::Deactivate { .. }));
    let mut at = now();
    let mut attempts = 0;
    loop {
        match case.last_at(None, at) {
            LastStep::Deactivate { patience, .. } => {
                attempts += 1;
                assert!(attempts < 20 && patience <= Duration::from_secs(120), "{attempts} {patience:?}");
                let next = BACKOFF_OF_DELETION.next_attempt(attempts, None, at, "uid");
                case.status.deactivation = Some(failed(URL, at, next));
            }
            LastStep::Wait(until) => {
                assert!(until > at);
                at = until;
            }
            LastStep::GiveUp => break,
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(at, now() + DEACTIVATION_TIMEOUT);
    assert!(attempts > 3, "{attempts}");
    // If the operator was down until after the timeout, it makes one attempt.
    case.status.deactivation = None;
    let late = now() + hour;
    let once = case.last_at(None, late);
    assert_eq!(once, LastStep::Deactivate { url: Some(URL.to_owned()), patience: LEAST_PATIENCE });
    case.status.deactivation = Some(failed(URL, late, late + hour));
    assert_eq!(case.last_at(None, late), LastStep::GiveUp);
}

struct Case {
    spec: AcmeIssuer,
    generation: i64,
    status: IssuerStatus,
    key_secret: KeySecret,
    history: Vec<PreviousAccount>,
    deactivate: Option<String>,
    has_finalizer: bool,
    looked_up: bool,
}

impl Case {
    fn registered() -> Self {
        let acme = AcmeAccountStatus {
            uri: URL.to_owned(),
            server: SERVER.to_owned(),
            key_thumbprint: "mine".to_owned(),
            ..AcmeAccountStatus::default()
        };
        Self {
            spec: AcmeIssuer { server: SERVER.to_owned(), ..AcmeIssuer::default() },
            generation: 1,
            status: IssuerStatus { acme: Some(acme), ..IssuerStatus::default() },
            key_secret: KeySecret::Key {
                thumbprint: "mine".to_owned(),
                ours: true,
                account: Some(recorded()),
            },
            history: Vec::new(),
            deactivate: None,
            has_finalizer: false,
            looked_up: false,
        }
    }

    fn policy(&mut self, on_delete: AccountOnDelete) {
        self.spec.account_policy =
            Some(AccountPolicy { on_delete: Some(on_delete), deactivation_timeout: None });
    }

    fn with<T>(&self, look: impl FnOnce(&Situation<'_>) -> T) -> T {
        let seen = Snapshot {
            generation: self.generation,
            deactivate: self.deactivate.as_deref(),
            has_finalizer: self.has_finalizer,
            ..snapshot(&self.spec, &self.key_secret)
        };
        let state = State {
            status: self.status.clone(),
            history: self.history.clone(),
            looked_up: self.looked_up,
            ..State::default()
        };
        look(&seen.with(&state))
    }

    fn step(&self) -> AccountStep {
        self.step_at(now())
    }

    fn step_at(&self, at: Timestamp) -> AccountStep {
        self.with(|situation| decide(situation, at))
    }

    fn last(&self, shared_with: Option<&str>) -> LastStep {
        self.last_at(shared_with, now())
    }

    fn last_at(&self, shared_with: Option<&str>, at: Timestamp) -> LastStep {
        self.with(|situation| decide_last(situation, shared_with, deleted(), at))
    }
}

fn deactivate(url: &str) -> AccountStep {
    AccountStep::Deactivate { url: url.to_owned(), patience: Duration::from_secs(120) }
}

fn recorded() -> Recorded {
    Recorded { url: URL.to_owned(), server: SERVER.to_owned(), key_id: None, deactivated: None }
}

fn previous() -> PreviousAccount {
    PreviousAccount {
        uri: OLD.to_owned(),
        server: SERVER.to_owned(),
        key_thumbprint: "old".to_owned(),
        secret_key: Some("tls.key.old".to_owned()),
        ..PreviousAccount::default()
    }
}

fn failed(account: &str, at: Timestamp, next: Timestamp) -> DeactivationStatus {
    DeactivationStatus {
        account: account.to_owned(),
        failed_attempts: 1,
        last_failure_time: Some(Time(at)),
        next_attempt_time: Some(Time(next)),
    }
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}

fn deleted() -> Deletion {
    Deletion { since: now(), with_namespace: false }
}

#[test]
fn an_issuer_that_stays_at_the_same_ca_keeps_the_account() {
    let other = |name, server, is_deleted| OtherIssuer { kind: IssuerKind::Issuer, name, server, is_deleted };
    let others = [
        other("deleted", "https://ca.test/a", true),
        other("elsewhere", "https://ca.test/b", false),
        other("second", "https://ca.test/a", false),
        other("first", "https://ca.test/a", false),
    ];
    assert_eq!(shared_with("https://ca.test/a", others).as_deref(), Some("Issuer first"));
    assert_eq!(shared_with("https://ca.test/a", others.into_iter().take(2)), None);
}

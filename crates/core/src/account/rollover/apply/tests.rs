use jiff::SignedDuration;

use super::*;
use crate::account::outcome::CaAccount;
use crate::account::rollover::{Keys, NextKey, RolloverStep};
use crate::account::tests::snapshot;
use crate::account::{AccountStep, KeySecret, next_step};
use crate::conditions::{is_true, set_condition};
use certwright_acme::{AccountStatus, Problem};
use certwright_api::{AcmeIssuer, CONDITION_ACCOUNT_DEACTIVATED, CONDITION_READY, IssuerStatus};
use certwright_pki::KeyAlgorithm;

const SERVER: &str = "https://acme.test/dir";
const ACCOUNT: &str = "https://acme.test/account/1";
const OTHER: &str = "https://acme.test/account/2";

#[test]
fn a_next_key_that_was_just_stored_is_used_without_asking_which_key_the_account_has() {
    let mut case = Case::default();
    case.apply(Outcome::NextKeyStored);
    assert_eq!(case.step(), AccountStep::Rollover(change_key()));
}

#[test]
fn the_ca_says_whose_the_next_key_is() {
    for (url, expected) in
        [(ACCOUNT, RolloverStep::PromoteKey(recorded())), (OTHER, RolloverStep::DiscardNextKey)]
    {
        let mut case = Case::default();
        case.apply(Outcome::NextKeyLookedUp(recorded(), Ok(Some(url.to_owned()))));
        assert_eq!(case.step(), AccountStep::Rollover(expected));
    }
}

#[test]
fn a_key_that_is_not_changed_is_reported_with_its_cause_and_not_twice() {
    let (operation, host) = (Operation::KeyChange, "acme.test".to_owned());
    let not_offered = AcmeError::NotOffered { operation, host: host.clone(), entry: "keyChange" };
    let refused = |error| (Outcome::KeyNotChanged(error), "");
    let (shared, keeps) = ("Issuer other also uses it", ". The account keeps its current key");
    let directory =
        format!(": the CA at {SERVER} does not support key changes: its directory has no keyChange{keeps}");
    for ((outcome, message), reason) in [
        ((Outcome::KeyChangeNotOffered, directory.as_str()), reason::KEY_CHANGE_NOT_OFFERED),
        (
            (
                Outcome::KeyChangeRefused { reason: reason::ACCOUNT_KEY_SHARED, message: shared.to_owned() },
                shared,
            ),
            reason::ACCOUNT_KEY_SHARED,
        ),
        (refused(not_offered), reason::KEY_CHANGE_NOT_OFFERED),
        (refused(problem(404)), reason::KEY_CHANGE_NOT_OFFERED),
        (refused(problem(405)), reason::KEY_CHANGE_NOT_OFFERED),
        (refused(problem(501)), reason::KEY_CHANGE_NOT_OFFERED),
        (refused(problem(429)), reason::RATE_LIMITED),
        (refused(problem(403)), reason::KEY_CHANGE_REFUSED),
        (refused(problem(503)), reason::CA_UNAVAILABLE),
        (refused(AcmeError::Timeout { operation, host }), reason::CA_UNAVAILABLE),
    ] {
        let mut case = Case::default();
        let end = if message.is_empty() { keeps } else { message };
        let reports = case.apply(outcome).reports;
        let said = case.condition(CONDITION_KEY_ROLLOVER);
        assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", reason));
        assert!(said.message.ends_with(end), "{}", said.message);
        let [Report::KeyNotChanged { attempts: 1, .. }, Report::Write, Report::Event(event)] = &reports[..]
        else {
            panic!("{reports:?}")
        };
        assert_eq!(*event, Event::warning(reason, "RollOver", said.message.clone()));
        assert!(case.state.status.acme.as_ref().unwrap().failed_key_rollover.is_some());
    }
    let mut case = Case::default();
    case.apply(Outcome::KeyNotChanged(problem(403)));
    let again = case.apply(Outcome::KeyNotChanged(problem(403))).reports;
    assert!(matches!(again[..], [Report::KeyNotChanged { attempts: 2, .. }, Report::Write]), "{again:?}");
    let other = case.apply(Outcome::KeyChangeNotOffered).reports;
    assert!(matches!(other[..], [_, _, Report::Event(_)]), "{other:?}");
}

#[test]
fn a_rollover_that_waits_has_not_failed_and_the_account_is_used_meanwhile() {
    let until = now() + SignedDuration::from_secs(20);
    let paused = Outcome::KeyNotChanged(AcmeError::Paused { until });
    for outcome in [Outcome::WaitedForValidations { until }, paused] {
        let mut case = Case::default();
        assert_eq!(case.apply(outcome).next, Next::Wait(Some(until)));
        let acme = case.state.status.acme.as_ref().unwrap();
        assert_eq!(acme.failed_key_rollover, None);
        assert!(is_true(&case.state.status.conditions, CONDITION_READY));
    }
}

#[test]
fn a_key_that_is_changed_is_reported_with_its_thumbprint() {
    let mut case = Case { thumbprint: "new", last_rollover: Some(now()), ..Case::default() };
    case.apply(Outcome::NextKeyLookedUp(recorded(), Ok(Some(ACCOUNT.to_owned()))));
    let reports = case.apply(Outcome::KeyPromoted).reports;
    let message = "The account key was changed; the thumbprint of the new one is new";
    let event = Event::normal(reason::KEY_ROLLED_OVER, "RollOver", message.to_owned());
    assert!(reports.contains(&Report::Event(event)), "{reports:?}");
    let changed = Report::KeyChanged { url: ACCOUNT.to_owned(), thumbprint: "new".to_owned() };
    assert!(reports.contains(&changed), "{reports:?}");
    let said = case.condition(CONDITION_KEY_ROLLOVER);
    assert_eq!((said.status.as_str(), said.message.as_str()), ("True", message));
    let acme = case.state.status.acme.as_ref().unwrap();
    assert_eq!(acme.observed_rollover_request.as_deref(), Some("1"));
}

#[test]
fn a_next_key_of_another_account_is_a_failure_only_if_the_ca_was_asked_for_the_change() {
    let no = "changing the account key failed: no (urn:ietf:params:acme:error:unknown):";
    for (change, said) in [
        (None, None),
        (Some(Ok(())), Some("the CA reported success, but")),
        (Some(Err(problem(403))), Some(no)),
    ] {
        let mut case = Case::default();
        case.state.change = change;
        let reports = case.apply(Outcome::NextKeyDiscarded).reports;
        assert_eq!(reports.is_empty(), said.is_none(), "{reports:?}");
        let Some(said) = said else { continue };
        assert_eq!(
            case.condition(CONDITION_KEY_ROLLOVER).message,
            format!(
                "The account key was not changed: {said} the next key belongs to another account. It is discarded, and the \
                 next attempt generates another. The account keeps its current key"
            )
        );
    }
}

/// Another issuer with the same key has had it changed, or nobody has, or the issuer has another account.
#[test]
fn a_request_is_fulfilled_by_a_new_key_whoever_had_it_made() {
    let earlier = now() - SignedDuration::from_hours(1);
    for (uri, last_rollover, is_fulfilled) in [
        (ACCOUNT, Some(now()), true),
        (ACCOUNT, Some(earlier), false),
        (ACCOUNT, None, false),
        (OTHER, Some(earlier), true),
    ] {
        let mut case = Case { last_rollover, ..Case::default() };
        let failed =
            FailedKeyRollover { attempts: 3, time: Time(earlier), generation: 1, request: Some("1".into()) };
        let acme = case.state.status.acme.as_mut().unwrap();
        acme.uri = uri.to_owned();
        acme.last_key_rollover = Some(Time(earlier));
        acme.failed_key_rollover = Some(failed.clone());
        let account = CaAccount {
            url: ACCOUNT.to_owned(),
            status: AccountStatus::Valid,
            contact: Vec::new(),
            terms_of_service: None,
        };
        case.apply(Outcome::Adopted { recorded: recorded(), answer: Ok(account) });
        let acme = case.state.status.acme.as_ref().unwrap();
        let case = format!("{uri}, {last_rollover:?}");
        assert_eq!(acme.observed_rollover_request.as_deref(), is_fulfilled.then_some("1"), "{case}");
        assert_eq!(acme.failed_key_rollover, (!is_fulfilled).then_some(failed), "{case}");
    }
}

#[test]
fn a_failure_of_what_nobody_wants_any_more_is_forgotten_and_nothing_else_is() {
    let mut case = Case::default();
    case.apply(Outcome::KeyNotChanged(problem(403)));
    let conditions = &mut case.state.status.conditions;
    set_condition(conditions, CONDITION_ACCOUNT_DEACTIVATED, false, "Reason", "the CA is down", 1, now());
    case.request = None;
    case.apply(Outcome::Rested);
    let types: Vec<_> = case.state.status.conditions.iter().map(|one| one.type_.as_str()).collect();
    assert_eq!(types, [CONDITION_ACCOUNT_DEACTIVATED, CONDITION_READY]);
    assert_eq!(case.state.status.acme.as_ref().unwrap().failed_key_rollover, None);
}

/// An issuer with an account, for which a rollover is requested, and with a next key.
struct Case {
    state: State,
    thumbprint: &'static str,
    request: Option<&'static str>,
    last_rollover: Option<Timestamp>,
}

impl Default for Case {
    fn default() -> Self {
        let acme = AcmeAccountStatus {
            uri: ACCOUNT.to_owned(),
            server: SERVER.to_owned(),
            key_thumbprint: "mine".to_owned(),
            ..AcmeAccountStatus::default()
        };
        let status = IssuerStatus { acme: Some(acme), ..IssuerStatus::default() };
        let state = State { status, ..State::default() };
        Self { state, thumbprint: "mine", request: Some("1"), last_rollover: None }
    }
}

impl Case {
    fn look<T>(&mut self, look: impl FnOnce(&mut State, &Snapshot<'_>) -> T) -> T {
        let spec = AcmeIssuer { server: SERVER.to_owned(), ..AcmeIssuer::default() };
        let key_secret = KeySecret::Key { thumbprint: self.thumbprint.to_owned(), ours: true, account: None };
        let next = NextKey { algorithm: KeyAlgorithm::ECDSA_P256, created: Some(now()) };
        let keys = Keys {
            algorithm: Some(KeyAlgorithm::ECDSA_P256),
            last_rollover: self.last_rollover,
            next: Some(&next),
            request: self.request,
            ..Keys::default()
        };
        look(&mut self.state, &Snapshot { keys, ..snapshot(&spec, &key_secret) })
    }

    fn apply(&mut self, outcome: Outcome) -> Consequence {
        self.look(|state, seen| state.apply(seen, outcome, now()))
    }

    fn step(&mut self) -> AccountStep {
        self.look(|state, seen| next_step(state, seen, now()))
    }

    fn condition(&self, type_: &str) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
        condition(&self.state.status.conditions, type_).unwrap().clone()
    }
}

fn change_key() -> RolloverStep {
    RolloverStep::ChangeKey { account: ACCOUNT.to_owned() }
}

fn recorded() -> Recorded {
    Recorded { url: ACCOUNT.to_owned(), server: SERVER.to_owned(), key_id: None, deactivated: None }
}

fn problem(status: u16) -> AcmeError {
    let typ = "urn:ietf:params:acme:error:unknown".to_owned();
    let problem = Box::new(Problem { typ, detail: "no".to_owned(), ..Problem::default() });
    AcmeError::Problem { operation: Operation::KeyChange, status, problem, retry_after: None }
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::*;
use crate::account::tests::snapshot;
use crate::account::{self, KeySecret, Snapshot, State};
use certwright_api::{
    AccountKey, AccountKeyAlgorithm, AcmeAccountStatus, AcmeIssuer, FailedKeyRollover, IssuerStatus,
    RolloverInterval,
};

const SERVER: &str = "https://acme.test/dir";
const ACCOUNT: &str = "https://acme.test/account/1";
const P256: KeyAlgorithm = KeyAlgorithm::ECDSA_P256;
const P384: KeyAlgorithm = KeyAlgorithm::ECDSA_P384;

#[test]
fn nothing_is_changed_unless_somebody_wants_it() {
    let mut case = Case::default();
    assert_eq!((case.step(), case.due()), (account::AccountStep::Rest, None));
    case.account_key = Some(AccountKey { rollover_interval: Some(hours(24)), ..AccountKey::default() });
    assert_eq!(
        (case.step(), case.due()),
        (account::AccountStep::Rest, Some(now() + SignedDuration::from_hours(23)))
    );
}

#[test]
fn a_rollover_stores_asks_finds_out_and_promotes() {
    let mut case = Case { request: Some("1"), ..Case::default() };
    assert_eq!(case.rollover(), RolloverStep::StoreNextKey(P256));
    case.next = Some(P256);
    assert_eq!(case.rollover(), change_key());
    case.known = None;
    assert_eq!(case.rollover(), RolloverStep::AskWhichKey(recorded()));
    case.known = Some(Known::Next);
    assert_eq!(case.rollover(), RolloverStep::PromoteKey(recorded()));
    case.next = None;
    case.observed = Some("1");
    assert_eq!(case.step(), account::AccountStep::Rest);
}

#[test]
fn no_other_key_is_put_into_a_secret_of_somebody_else() {
    let why = "was not created by Certwright; hand it over";
    let mut case = Case { request: Some("1"), must_stay: Some(why), ..Case::default() };
    let RolloverStep::Refuse { reason, message } = case.rollover() else { panic!("{:?}", case.rollover()) };
    assert_eq!(reason, reason::ACCOUNT_KEY_NOT_OURS);
    assert!(message.ends_with(why), "{message}");
    // A rollover that has already begun is completed. Otherwise the account would be lost.
    (case.next, case.known) = (Some(P256), None);
    assert_eq!(case.rollover(), RolloverStep::AskWhichKey(recorded()));
    case.known = Some(Known::Next);
    assert_eq!(case.rollover(), RolloverStep::PromoteKey(recorded()));
}

#[test]
fn which_key_the_account_has_is_found_out_before_anything_else() {
    for known in [None, Some(Known::NextIsTaken), Some(Known::Next)] {
        let case = Case { next: Some(P256), known, email: Some("a@test"), ..Case::default() };
        let expected = match known {
            None => RolloverStep::AskWhichKey(recorded()),
            Some(Known::Next) => RolloverStep::PromoteKey(recorded()),
            _ => RolloverStep::DiscardNextKey,
        };
        assert_eq!(case.rollover(), expected, "{known:?}");
    }
    let case = Case { next: Some(P256), email: Some("a@test"), ..Case::default() };
    assert_eq!(
        case.step(),
        account::AccountStep::UpdateContact { account: ACCOUNT.to_owned() },
        "the next key is only kept for the next attempt"
    );
}

#[test]
fn a_next_key_without_an_account_is_nobodys() {
    let mut case = Case { next: Some(P256), known: None, ..Case::default() };
    case.registered = false;
    assert_eq!(case.step(), account::AccountStep::LookUp);
    let replaced = Case { thumbprint: "of another key", ..Case { registered: true, ..case } };
    assert_eq!(replaced.step(), account::AccountStep::LookUp, "somebody has put another key there");
    let elsewhere = Recorded { server: "https://other.test/dir".to_owned(), ..recorded() };
    let case = Case { next: Some(P256), known: None, registered: false, ..Case::default() };
    let case = Case { on_secret: Some(elsewhere), ..case };
    assert_eq!(case.step(), account::AccountStep::LookUp, "the account is at another CA");
    let ended = Recorded { deactivated: Some(now()), ..recorded() };
    let case = Case { on_secret: Some(ended.clone()), ..case };
    assert_eq!(case.step(), account::AccountStep::NoteEnd(ended));
}

#[test]
fn a_key_of_another_kind_than_the_spec_states_is_changed_if_we_made_it() {
    let rsa = || Some(AccountKey { algorithm: Some(AccountKeyAlgorithm::Rsa), ..AccountKey::default() });
    let case = Case { account_key: rsa(), ..Case::default() };
    assert_eq!(case.rollover(), RolloverStep::StoreNextKey(KeyAlgorithm::Rsa(3072)));
    let size = Some(AccountKey { size: Some(384), ..AccountKey::default() });
    assert_eq!(Case { account_key: size, ..Case::default() }.rollover(), RolloverStep::StoreNextKey(P384));
    let of_the_users = Case { account_key: rsa(), ours: false, ..Case::default() };
    assert_eq!(of_the_users.step(), account::AccountStep::Rest);
    let asked_for = Case { request: Some("1"), ..of_the_users };
    assert_eq!(asked_for.rollover(), RolloverStep::StoreNextKey(KeyAlgorithm::Rsa(3072)));
    let nothing_stated = Case { algorithm: KeyAlgorithm::Rsa(4096), ..Case::default() };
    assert_eq!(nothing_stated.step(), account::AccountStep::Rest);
}

#[test]
fn a_key_is_followed_by_one_of_its_kind_unless_the_spec_states_another() {
    for (present, next) in [
        (P256, P256),
        (P384, P384),
        (KeyAlgorithm::Rsa(2048), KeyAlgorithm::Rsa(2048)),
        (KeyAlgorithm::Rsa(3000), KeyAlgorithm::Rsa(3072)),
        (KeyAlgorithm::Rsa(4096), KeyAlgorithm::Rsa(4096)),
    ] {
        let case = Case { algorithm: present, request: Some("1"), ours: false, ..Case::default() };
        assert_eq!(case.rollover(), RolloverStep::StoreNextKey(next));
    }
}

#[test]
fn a_next_key_of_another_kind_than_wanted_is_replaced() {
    let case = Case { request: Some("1"), next: Some(P384), ..Case::default() };
    assert_eq!(case.rollover(), RolloverStep::StoreNextKey(P256));
}

#[test]
fn a_failure_is_repeated_when_its_time_has_come_or_something_has_changed() {
    let mut case = Case { request: Some("1"), next: Some(P256), ..Case::default() };
    case.failed = Some(FailedKeyRollover {
        attempts: 3,
        time: Time(now()),
        generation: 1,
        request: Some("1".to_owned()),
    });
    case.retry = Some(now() + SignedDuration::from_hours(2));
    assert_eq!((case.step(), case.due(), case.failures()), (account::AccountStep::Rest, case.retry, 3));
    case.retry = Some(now() - SignedDuration::from_secs(31));
    assert_eq!((case.rollover(), case.failures()), (change_key(), 3));
    case.retry = Some(now() + SignedDuration::from_hours(2));
    case.request = Some("2");
    assert_eq!((case.rollover(), case.failures()), (change_key(), 0), "asked for anew");
    case.request = Some("1");
    case.generation = 2;
    assert_eq!((case.rollover(), case.failures()), (change_key(), 0), "another spec");
}

#[test]
fn a_failure_of_what_nobody_wants_any_more_is_stale() {
    let failed =
        Some(FailedKeyRollover { attempts: 1, time: Time(now()), generation: 1, request: Some("1".into()) });
    let mut case = Case { failed, request: Some("1"), ..Case::default() };
    assert!(!case.stale());
    case.request = None;
    assert!(case.stale());
    assert_eq!(case.step(), account::AccountStep::Rest);
    case.account_key = Some(AccountKey { rollover_interval: Some(hours(24)), ..AccountKey::default() });
    assert!(case.stale(), "not before the key is old");
    case.created = now() - SignedDuration::from_hours(24);
    assert!(!case.stale());
}

#[test]
fn challenges_that_are_looked_at_are_waited_for_but_not_for_long() {
    let mut case = Case { request: Some("1"), next: Some(P256), validating: true, ..Case::default() };
    let until = now() + LONGEST_VALIDATION;
    assert_eq!(case.rollover(), RolloverStep::WaitForValidations { until });
    case.next_created = now() - LONGEST_VALIDATION;
    assert_eq!(case.rollover(), change_key());
    case.failed =
        Some(FailedKeyRollover { attempts: 1, time: Time(now()), generation: 1, request: Some("1".into()) });
    case.retry = Some(now());
    assert_eq!(case.rollover(), RolloverStep::WaitForValidations { until }, "each attempt waits");
}

#[test]
fn issuers_that_share_a_key_have_to_agree() {
    let peer = |server: &str, algorithm| Peer {
        name: "Issuer other".to_owned(),
        server: server.to_owned(),
        algorithm,
    };
    let case = |peer| Case { request: Some("1"), peers: vec![peer], ..Case::default() };
    assert_eq!(case(peer(SERVER, None)).rollover(), RolloverStep::StoreNextKey(P256));
    assert_eq!(case(peer(SERVER, Some(P256))).rollover(), RolloverStep::StoreNextKey(P256));
    for (peer, words) in [
        (peer("https://other.test/dir", None), "at https://other.test/dir, where it would not be changed"),
        (peer(SERVER, Some(P384)), "its accountKey specifies a different key"),
    ] {
        let RolloverStep::Refuse { reason, message } = case(peer).rollover() else { panic!("not refused") };
        assert_eq!(reason, reason::ACCOUNT_KEY_SHARED);
        assert!(
            message.contains("Issuer other also uses the key in Secret account") && message.contains(words),
            "{message}"
        );
    }
    let nobody_asks = Case { peers: vec![peer("https://other.test/dir", Some(P384))], ..Case::default() };
    assert_eq!(nobody_asks.step(), account::AccountStep::Rest);
}

proptest! {
    /// Whatever the age of the key and the time of a retry, there is nothing to do before the due time, and something to do
    /// then.
    #[test]
    fn the_time_of_the_next_look_is_the_time_at_which_there_is_something_to_do(
        interval in 1_i64..10_000, age in 0_i64..20_000, retry in proptest::option::of(-1000_i64..1000),
    ) {
        let case = Case {
            account_key: Some(AccountKey { rollover_interval: Some(hours(interval)), ..AccountKey::default() }),
            created: now() - SignedDuration::from_hours(age),
            failed: retry.map(|_| FailedKeyRollover { attempts: 1, time: Time(now()), generation: 1, request: None }),
            retry: retry.map(|hours| now() + SignedDuration::from_hours(hours)),
            ..Case::default()
        };
        let due = case.due().unwrap();
        prop_assert_eq!(case.step() == account::AccountStep::Rest, due > now());
        prop_assert!(case.with(|situation| next_step(situation, due)).is_some());
    }
}

#[derive(Clone)]
struct Case {
    account_key: Option<AccountKey>,
    email: Option<&'static str>,
    generation: i64,
    registered: bool,
    on_secret: Option<Recorded>,
    thumbprint: &'static str,
    ours: bool,
    algorithm: KeyAlgorithm,
    created: Timestamp,
    next: Option<KeyAlgorithm>,
    next_created: Timestamp,
    known: Option<Known>,
    request: Option<&'static str>,
    observed: Option<&'static str>,
    failed: Option<FailedKeyRollover>,
    retry: Option<Timestamp>,
    peers: Vec<Peer>,
    validating: bool,
    must_stay: Option<&'static str>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            account_key: None,
            email: None,
            generation: 1,
            registered: true,
            on_secret: None,
            thumbprint: "mine",
            ours: true,
            algorithm: P256,
            created: now() - SignedDuration::from_hours(1),
            next: None,
            next_created: now(),
            known: Some(Known::Current),
            request: None,
            observed: None,
            failed: None,
            retry: None,
            peers: Vec::new(),
            validating: false,
            must_stay: None,
        }
    }
}

impl Case {
    fn with<T>(&self, look: impl FnOnce(&Situation<'_>) -> T) -> T {
        let spec = AcmeIssuer {
            server: SERVER.to_owned(),
            email: self.email.map(str::to_owned),
            account_key: self.account_key.clone(),
            ..AcmeIssuer::default()
        };
        let acme = AcmeAccountStatus {
            uri: ACCOUNT.to_owned(),
            server: SERVER.to_owned(),
            key_thumbprint: "mine".to_owned(),
            observed_rollover_request: self.observed.map(str::to_owned),
            failed_key_rollover: self.failed.clone(),
            next_key_rollover: self.retry.map(Time),
            ..AcmeAccountStatus::default()
        };
        let status = IssuerStatus { acme: self.registered.then_some(acme), ..IssuerStatus::default() };
        let next = self.next.map(|algorithm| NextKey { algorithm, created: Some(self.next_created) });
        let key_secret = KeySecret::Key {
            thumbprint: self.thumbprint.to_owned(),
            ours: self.ours,
            account: self.on_secret.clone(),
        };
        let keys = Keys {
            algorithm: Some(self.algorithm),
            created: Some(self.created),
            last_rollover: None,
            next: next.as_ref(),
            request: self.request,
            peers: &self.peers,
            validating: self.validating,
            must_stay: self.must_stay,
        };
        let seen = Snapshot { generation: self.generation, keys, ..snapshot(&spec, &key_secret) };
        look(&seen.with(&State { status, known: self.known, ..State::default() }))
    }

    fn step(&self) -> account::AccountStep {
        self.with(|situation| account::next_step::decide(situation, now()))
    }

    fn rollover(&self) -> RolloverStep {
        match self.step() {
            account::AccountStep::Rollover(step) => step,
            step => panic!("{step:?}"),
        }
    }

    fn due(&self) -> Option<Timestamp> {
        self.with(due)
    }

    fn failures(&self) -> i32 {
        self.with(failures)
    }

    fn stale(&self) -> bool {
        self.with(|situation| has_stale_failure(situation, now()))
    }
}

fn change_key() -> RolloverStep {
    RolloverStep::ChangeKey { account: ACCOUNT.to_owned() }
}

fn recorded() -> Recorded {
    Recorded { url: ACCOUNT.to_owned(), server: SERVER.to_owned(), key_id: None, deactivated: None }
}

fn hours(hours: i64) -> RolloverInterval {
    format!("{hours}h").parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}

//! What follows from an error of the CA.

use jiff::SignedDuration;

use super::*;
use crate::backoff::Backoff;
use crate::conditions::condition;
use crate::disposition::Disposition;
use certwright_acme::{AccountStatus, AcmeError, Operation, Problem};

/// What follows from an outcome, for an issuer with an account key.
struct Applied {
    state: State,
    consequence: Consequence,
}

impl Applied {
    fn new(mut state: State, outcome: Outcome, refusal: Option<&AccountRefusal>) -> Self {
        let case = Case::registered();
        let snapshot = snapshot(&case, refusal, None);
        let consequence = state.apply(&snapshot, outcome, now());
        Self { state, consequence }
    }

    fn failed(error: AcmeError) -> Self {
        Self::new(registered(), Outcome::LookedUp(Err(error)), None)
    }

    /// Status, reason and message of `Ready`.
    fn said(&self) -> (&str, &str, &str) {
        let ready = condition(&self.state.status.conditions, CONDITION_READY).expect("a condition");
        (&ready.status, &ready.reason, &ready.message)
    }

    /// The wait until the next attempt, in seconds.
    fn wait(&self) -> Option<i64> {
        let next = self.state.status.next_attempt_time.as_ref()?;
        Some(next.0.duration_since(now()).as_secs())
    }
}

fn snapshot<'a>(
    case: &'a Case,
    refusal: Option<&'a AccountRefusal>,
    next: Option<&'a rollover::NextKey>,
) -> Snapshot<'a> {
    Snapshot {
        spec: &case.spec,
        name: "ca",
        uid: "uid",
        generation: 1,
        key_secret_name: ("account", "tls.key"),
        secrets_namespace: None,
        key_secret: &case.key_secret,
        key_id: &case.key_id,
        mac_key: &case.mac_key,
        external_account_version: Some("7"),
        deactivate: None,
        rebind: None,
        retry_request: None,
        deleted: None,
        has_finalizer: false,
        keys: rollover::Keys {
            algorithm: Some(KeyAlgorithm::ECDSA_P256),
            created: None,
            last_rollover: None,
            next,
            request: None,
            peers: &[],
            validating: false,
            must_stay: None,
        },
        refusal,
        latest_terms: None,
        backoff: Backoff::default(),
        orders_per_account: 50,
    }
}

fn registered() -> State {
    State { status: Case::registered().status, ..State::default() }
}

fn problem(status: u16, code: &str) -> AcmeError {
    let typ = format!("urn:ietf:params:acme:error:{code}");
    let problem = Box::new(Problem { typ, detail: "no".to_owned(), ..Problem::default() });
    AcmeError::Problem { operation: Operation::LookUpAccount, status, problem, retry_after: None }
}

fn http(status: u16) -> AcmeError {
    let (operation, host) = (Operation::LookUpAccount, "acme.test".to_owned());
    AcmeError::Http { operation, host, status, kind: String::new(), retry_after: None }
}

#[test]
fn the_reason_says_who_has_to_act_and_decides_when_the_next_attempt_is_made() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    let (operation, host) = (Operation::LookUpAccount, "acme.test".to_owned());
    let out_of_bounds = AcmeError::OutOfBounds { operation, host: host.clone(), what: "too much".to_owned() };
    let cases = [
        (AcmeError::DirectoryUrl("ftp://acme.test".to_owned()), reason::INVALID_SPEC, Some(HOUR)),
        (AcmeError::Bundle, reason::INVALID_SPEC, Some(HOUR)),
        (AcmeError::Client("no".to_owned()), reason::INVALID_SPEC, Some(HOUR)),
        (problem(403, "unknown"), reason::REGISTRATION_REFUSED, Some(HOUR)),
        (problem(403, "OUT_OF_CREDIT"), "OUT_OF_CREDIT", Some(HOUR)),
        (problem(403, "REVOKED_ACCOUNT"), "REVOKED_ACCOUNT", None),
        (problem(401, "unauthorized"), "Unauthorized", None),
        (http(404), reason::REGISTRATION_REFUSED, Some(HOUR)),
        (http(429), reason::RATE_LIMITED, Some(MINUTE)),
        (http(503), reason::CA_UNAVAILABLE, Some(MINUTE)),
        (AcmeError::Paused { until: now() }, reason::RATE_LIMITED, Some(MINUTE)),
        (out_of_bounds, reason::ANSWER_REFUSED, Some(MINUTE)),
        (AcmeError::Timeout { operation, host }, reason::CA_UNAVAILABLE, Some(MINUTE)),
    ];
    for (error, reason, wait) in cases {
        let applied = Applied::failed(error.clone());
        let (status, said, message) = applied.said();
        assert_eq!((status, said), ("False", reason), "{error}");
        assert_eq!(message.contains("Nothing is sent to the CA until"), wait.is_none(), "{message}");
        let waits = applied.wait();
        let fits = waits.zip(wait).is_some_and(|(waits, least)| (least..=least * 6 / 5 + 1).contains(&waits));
        assert!(fits || waits == wait, "{error}: {waits:?} s");
        assert_eq!(applied.state.status.failed_attempts, Some(1));
        assert!(matches!(applied.consequence.reports[..], [Report::Write, Report::Event(_)]), "{error}");
    }
}

#[test]
fn an_account_that_is_no_longer_valid_cannot_be_used() {
    let revoked = CaAccount {
        url: "https://acme.test/account/1".to_owned(),
        status: AccountStatus::Revoked,
        contact: Vec::new(),
        terms_of_service: None,
    };
    let adopted = Outcome::Adopted { recorded: Case::recorded(), answer: Ok(revoked.clone()) };
    for outcome in [adopted, Outcome::LookedUp(Ok(Some(revoked)))] {
        let applied = Applied::new(registered(), outcome, None);
        let (status, reason, message) = applied.said();
        assert_eq!((status, reason), ("False", reason::ACCOUNT_UNUSABLE));
        assert!(message.starts_with("The CA says that the account https://acme.test/account/1 is revoked"));
        assert_eq!(applied.wait(), None);
    }
}

#[test]
fn what_the_ca_said_to_a_certificate_counts_until_the_wait_after_it_is_over() {
    let refusal = AccountRefusal {
        generation: 1,
        disposition: Disposition::CaOperatorMustAct,
        reason: None,
        message: "The account is suspended".to_owned(),
    };
    let second = SignedDuration::from_secs(1);
    for (next_attempt, counts) in
        [(None, true), (Some(now() + second), true), (Some(now()), false), (Some(now() - second), false)]
    {
        let mut state = registered();
        state.status.next_attempt_time = next_attempt.map(Time);
        let applied = Applied::new(state, Outcome::Rested, Some(&refusal));
        assert_eq!(applied.said().0 == "False", counts, "{next_attempt:?}");
        assert_eq!(applied.consequence.reports.contains(&Report::LiftRefusal), !counts, "{next_attempt:?}");
    }
}

#[test]
fn failures_in_a_row_count_for_one_spec() {
    for (generation, attempts) in [(1, 4), (2, 1)] {
        let mut case = Case::registered();
        case.condition("False", reason::CA_UNAVAILABLE, generation);
        case.status.failed_attempts = Some(3);
        let state = State { recorded: case.status.clone(), status: case.status, ..State::default() };
        let applied = Applied::new(state, Outcome::LookedUp(Err(http(503))), None);
        assert_eq!(applied.state.status.failed_attempts, Some(attempts));
    }
}

#[test]
fn an_account_that_the_ca_confirms_is_recorded_with_the_algorithm_of_its_key() {
    let account = CaAccount {
        url: "https://acme.test/account/1".to_owned(),
        status: AccountStatus::Valid,
        contact: Vec::new(),
        terms_of_service: None,
    };
    let outcome = Outcome::Adopted { recorded: Case::recorded(), answer: Ok(account) };
    let applied = Applied::new(State::default(), outcome, None);
    let acme = applied.state.status.acme.unwrap();
    assert_eq!((acme.uri.as_str(), acme.key_thumbprint.as_str()), ("https://acme.test/account/1", "mine"));
    assert_eq!(acme.key_algorithm, KeyAlgorithm::ECDSA_P256.to_string());
}

#[test]
fn a_key_id_in_a_secret_is_read_again_while_the_account_is_ready() {
    let mut spec = AcmeIssuer { external_account_binding: Some(binding("kid")), ..AcmeIssuer::default() };
    assert_eq!(look_at_key_id(&spec, now()), None);
    let in_secret = KeyIdSecretRef { name: "eab".to_owned(), key: None };
    spec.external_account_binding.as_mut().unwrap().key_id_secret_ref = Some(in_secret);
    assert!(look_at_key_id(&spec, now()).is_some_and(|time| time > now()));
}

#[test]
fn an_account_that_the_secret_does_not_confirm_is_dropped() {
    let mut state = registered();
    assert_eq!(state.drop_unconfirmed(&key("mine", true, Some(Case::recorded()))), None);
    assert!(state.status.acme.is_some());
    let another = Recorded { url: "https://acme.test/account/2".to_owned(), ..Case::recorded() };
    let dropped = state.drop_unconfirmed(&key("mine", true, Some(another)));
    assert_eq!(dropped.as_deref(), Some("https://acme.test/account/1"));
    assert_eq!(state.status.acme, None);
}

#[test]
fn the_keys_of_previous_accounts_have_their_own_entries() {
    assert_eq!(entry_of_previous("tls.key", "one"), "tls.key.one");
}

#[test]
fn only_an_external_account_that_the_ca_rejected_is_not_tried_again_until_it_changes() {
    let timeout = |operation| AcmeError::Timeout { operation, host: "acme.test".to_owned() };
    let rejection = |operation| match problem(403, "unauthorized") {
        AcmeError::Problem { status, problem, .. } => {
            AcmeError::Problem { operation, status, problem, retry_after: None }
        }
        error => error,
    };
    for (error, bound, refused) in [
        (rejection(Operation::NewAccount), true, Some("7")),
        (rejection(Operation::NewAccount), false, None),
        (timeout(Operation::NewAccount), true, None),
        // Nothing was said about the external account.
        (timeout(Operation::Directory), true, Some("6")),
    ] {
        let mut state = registered();
        state.status.refused_external_account_version = Some("6".to_owned());
        let outcome = Outcome::Registered { answer: Err(error.clone()), contact: Vec::new(), bound };
        let status = Applied::new(state, outcome, None).state.status;
        assert_eq!(status.refused_external_account_version.as_deref(), refused, "{error}, {bound}");
    }
}

#[test]
fn what_ends_the_wait_after_a_final_refusal_is_said_once() {
    let rejection = || match problem(403, "unauthorized") {
        AcmeError::Problem { status, problem, .. } => {
            AcmeError::Problem { operation: Operation::NewAccount, status, problem, retry_after: None }
        }
        error => panic!("{error}"),
    };
    let registered_with =
        |bound| Outcome::Registered { answer: Err(rejection()), contact: Vec::new(), bound };
    let looked_up = Outcome::LookedUp(Err(problem(403, "unauthorized")));
    let (spec, or_secret) = (
        "until the spec of this issuer changes, or you run `certwright retry issuer ca`",
        "until the spec of this issuer or Secret eab changes, or you run `certwright retry issuer ca`",
    );
    for (case, outcome, end) in [
        (Case::registered_and_bound(), registered_with(true), or_secret),
        (Case::registered_and_bound(), looked_up, spec),
        (Case::registered(), registered_with(false), spec),
    ] {
        let mut state = registered();
        let reports = state.apply(&snapshot(&case, None, None), outcome, now()).reports;
        let message = condition(&state.status.conditions, CONDITION_READY).unwrap().message.clone();
        assert!(message.ends_with(end), "{message}");
        assert!(matches!(reports[..], [Report::Write, Report::Event(_)]), "{reports:?}");
    }
    let mut state = registered();
    state.apply(&snapshot(&Case::registered(), None, None), registered_with(false), now());
    state.recorded = state.status.clone();
    let again = state.apply(&snapshot(&Case::registered(), None, None), registered_with(false), now());
    assert_eq!(again.reports, [Report::Write]);
    let other =
        state.apply(&snapshot(&Case::registered(), None, None), Outcome::LookedUp(Err(http(503))), now());
    assert!(matches!(other.reports[..], [Report::Write, Report::Event(_)]));
}

#[test]
fn an_account_that_the_ca_does_not_know_is_looked_up_by_its_key_and_another_error_is_a_failure() {
    for (code, fails) in [("accountDoesNotExist", false), ("unauthorized", true)] {
        let answer = Err(problem(400, code));
        let applied =
            Applied::new(registered(), Outcome::Adopted { recorded: Case::recorded(), answer }, None);
        assert_eq!(applied.state.status.failed_attempts.is_some(), fails, "{code}");
        let case = Case::registered();
        let step = next_step(&applied.state, &snapshot(&case, None, None), now());
        assert_eq!(step == AccountStep::LookUp, !fails, "{code}");
    }
}

#[test]
fn a_previous_account_whose_key_is_lost_is_forgotten_and_no_other() {
    let previous = |url: &str| PreviousAccount { uri: url.to_owned(), ..PreviousAccount::default() };
    let mut state = registered();
    state.history = vec![previous("account/1"), previous("account/2")];
    let applied = Applied::new(state, Outcome::KeyLost("account/1".to_owned()), None);
    assert_eq!(applied.state.history, [previous("account/2")]);
}

#[test]
fn the_ca_is_asked_which_key_the_account_has_only_if_it_refuses_the_account_and_there_are_two() {
    let refusal = AccountRefusal {
        generation: 1,
        disposition: Disposition::AccountUnusable,
        reason: None,
        message: "The key is not that of the account".to_owned(),
    };
    let next = rollover::NextKey { algorithm: KeyAlgorithm::ECDSA_P256, created: None };
    let mut state = registered();
    state.key_is_known();
    let case = Case::registered();
    let step = |refusal, next| next_step(&state, &snapshot(&case, refusal, next), now());
    assert_eq!(step(None, None), AccountStep::Rest);
    assert_eq!(step(Some(&refusal), None), AccountStep::Rest);
    assert_eq!(step(None, Some(&next)), AccountStep::Rest);
    let asks = AccountStep::Rollover(rollover::RolloverStep::AskWhichKey(Case::recorded()));
    assert_eq!(step(Some(&refusal), Some(&next)), asks);
}

use super::*;
use crate::account::KeySecret;
use crate::account::outcome::Outcome;
use crate::account::tests::snapshot;
use crate::conditions::set_condition;
use certwright_acme::{Operation, Problem};
use certwright_api::{AcmeIssuer, IssuerStatus};

const URL: &str = "https://acme.test/account/1";
const OLD: &str = "https://acme.test/account/0";
const SERVER: &str = "https://acme.test/dir";

#[test]
fn an_event_reports_each_new_message_about_a_deactivation_that_has_not_succeeded() {
    for (is, before, is_news) in [
        (false, None, true),
        (false, Some("why"), false),
        (false, Some("something else"), true),
        (true, None, false),
        (true, Some("something else"), false),
    ] {
        let mut state = registered();
        say(&mut state.status, is, "why");
        if let Some(before) = before {
            say(&mut state.recorded, false, before);
        }
        let event = Event::warning("Reason", "Deactivate", "why".to_owned());
        assert_eq!(state.news_of_deactivation(), is_news.then_some(event), "{is}, {before:?}");
    }
    assert_eq!(registered().news_of_deactivation(), None);
}

#[test]
fn a_deletion_reports_which_account_it_keeps_or_leaves_behind() {
    let mut state = registered();
    say(&mut state.status, false, "The CA is down");
    let reports = |step| applied(|seen| state.last_words(&step, seen));
    let kept = format!("The account {URL} is kept, because Issuer other uses it");
    assert_eq!(
        reports(LastStep::Retain("Issuer other".to_owned())),
        [
            Report::Retained(kept.clone()),
            Report::Event(Event::normal(reason::ACCOUNT_RETAINED, "Deactivate", kept))
        ]
    );
    let left = format!(
        "The account {URL} could not be deactivated and is left behind; its key is in Secret account. The CA is down"
    );
    assert_eq!(
        reports(LastStep::GiveUp),
        [
            Report::LeftBehind(left.clone()),
            Report::Event(Event::warning(reason::ACCOUNT_LEFT_BEHIND, "Deactivate", left))
        ]
    );
    assert_eq!(reports(LastStep::Wait(now())), [Report::Write]);
    assert_eq!(reports(LastStep::Release), []);
}

#[test]
fn a_failed_deactivation_says_why_and_waits_longer_if_a_person_has_to_act() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    let (operation, host) = (Operation::DeactivateAccount, "acme.test".to_owned());
    let http = |status| AcmeError::Http {
        operation,
        host: "acme.test".to_owned(),
        status,
        kind: String::new(),
        retry_after: None,
    };
    let no_key = format!(
        "The account {URL} cannot be deactivated: its private key is not under tls.key.old in Secret account; restore it"
    );
    for (undone, reason, message, wait) in [
        (Undone::Refused(problem(403, "unauthorized")), "Unauthorized", "no (urn:", HOUR),
        (Undone::Refused(http(404)), reason::REGISTRATION_REFUSED, "acme.test answered HTTP 404", HOUR),
        (Undone::Refused(problem(503, "unknown")), reason::CA_UNAVAILABLE, "no (urn:", MINUTE),
        (
            Undone::Refused(AcmeError::Timeout { operation, host }),
            reason::CA_UNAVAILABLE,
            "no answer",
            MINUTE,
        ),
        (Undone::Refused(AcmeError::Paused { until: now() }), reason::RATE_LIMITED, "to pause", MINUTE),
        (Undone::Timeout, reason::CA_UNAVAILABLE, "the CA did not answer in time", MINUTE),
        (Undone::NoKey("tls.key.old".to_owned()), reason::SECRET_KEY_NOT_FOUND, &no_key, MINUTE),
    ] {
        let mut state = registered();
        let (attempts, waits) = fails(&mut state, undone, None);
        let said = condition(&state.status.conditions, CONDITION_ACCOUNT_DEACTIVATED).unwrap();
        assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", reason));
        assert!(said.message.contains(message), "{}", said.message);
        assert_eq!(attempts, 1);
        assert!((wait..=wait * 6 / 5 + 1).contains(&waits), "{reason}: {waits} s");
    }
}

#[test]
fn attempts_count_for_one_account_and_are_repeated_within_seconds_while_the_issuer_is_being_deleted() {
    for (account, attempts) in [(URL, 2), (OLD, 1)] {
        let mut state = registered();
        state.status.deactivation = Some(DeactivationStatus {
            account: account.to_owned(),
            failed_attempts: 1,
            last_failure_time: None,
            next_attempt_time: None,
        });
        let (counted, _) = fails(&mut state, Undone::Timeout, None);
        assert_eq!(counted, attempts, "{account}");
    }
    let (_, waits) = fails(&mut registered(), Undone::Refused(problem(403, "unauthorized")), Some(now()));
    assert!((2..=3).contains(&waits), "{waits} s");
}

#[test]
fn an_end_that_the_secret_records_is_shown_for_the_account_that_has_ended_and_reported_if_it_is_our_doing() {
    for (url, by_us, is_shown) in [(URL, true, true), (OLD, true, false), (URL, false, true)] {
        let mut state = registered();
        state.pending = Some(Pending::Ended { url: url.to_owned(), by_us });
        let consequence = applied(|seen| state.apply(seen, Outcome::Recorded, now()));
        let ended = state.status.acme.unwrap().deactivation_time;
        assert_eq!(ended, is_shown.then(|| Time(now())), "{url}");
        let note = format!("The CA has deactivated the account {url}");
        let event = Event::normal(reason::DEACTIVATED, "Deactivate", note);
        let told = [Report::Deactivated(url.to_owned()), Report::Event(event), Report::WakeSharing];
        assert_eq!(consequence.reports, if by_us { told.to_vec() } else { Vec::new() }, "{url}");
    }
}

#[test]
fn an_end_that_only_the_secret_records_replaces_what_the_status_says_of_another_account_or_key() {
    for (uri, thumbprint, stays) in [(URL, "mine", true), (OLD, "mine", false), (URL, "another", false)] {
        let mut state = registered();
        let acme = state.status.acme.as_mut().unwrap();
        acme.uri = uri.to_owned();
        acme.key_thumbprint = thumbprint.to_owned();
        acme.last_registered_email = Some("a@test".to_owned());
        let recorded = Recorded {
            url: URL.to_owned(),
            server: SERVER.to_owned(),
            key_id: None,
            deactivated: Some(now()),
        };
        applied(|seen| state.apply(seen, Outcome::EndNoted(recorded), now()));
        let acme = state.status.acme.unwrap();
        assert_eq!((acme.uri.as_str(), acme.key_thumbprint.as_str()), (URL, "mine"));
        assert_eq!(acme.deactivation_time, Some(Time(now())));
        assert_eq!(acme.last_registered_email.is_some(), stays, "{uri} {thumbprint}");
    }
}

/// An attempt to deactivate the account fails: the number of attempts, and the wait until the next one, in seconds.
fn fails(state: &mut State, undone: Undone, deleted: Option<Timestamp>) -> (i32, i64) {
    let outcome = Outcome::Deactivated { url: Some(URL.to_owned()), answer: Err(undone) };
    applied(|seen| state.apply(&Snapshot { deleted, ..*seen }, outcome, now()));
    let failed = state.status.deactivation.as_ref().unwrap();
    let next = failed.next_attempt_time.as_ref().unwrap().0;
    (failed.failed_attempts, next.duration_since(now()).as_secs())
}

fn registered() -> State {
    let acme = AcmeAccountStatus {
        uri: URL.to_owned(),
        server: SERVER.to_owned(),
        key_thumbprint: "mine".to_owned(),
        ..AcmeAccountStatus::default()
    };
    let status = IssuerStatus { acme: Some(acme), ..IssuerStatus::default() };
    State { status, ..State::default() }
}

fn applied<T>(apply: impl FnOnce(&Snapshot<'_>) -> T) -> T {
    let spec = AcmeIssuer { server: SERVER.to_owned(), ..AcmeIssuer::default() };
    let key_secret = KeySecret::Key { thumbprint: "mine".to_owned(), ours: true, account: None };
    apply(&snapshot(&spec, &key_secret))
}

/// The condition about the deactivation says this.
fn say(status: &mut IssuerStatus, is: bool, message: &str) {
    let conditions = &mut status.conditions;
    set_condition(conditions, CONDITION_ACCOUNT_DEACTIVATED, is, "Reason", message, 1, now());
}

fn problem(status: u16, code: &str) -> AcmeError {
    let typ = format!("urn:ietf:params:acme:error:{code}");
    let problem = Box::new(Problem { typ, detail: "no".to_owned(), ..Problem::default() });
    AcmeError::Problem { operation: Operation::DeactivateAccount, status, problem, retry_after: None }
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}

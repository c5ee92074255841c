//! An order that waits for its authorizations: present, see, tell the CA, ask it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::solve::{Challenged, Way, challenges};
use super::{SelfCheckResult, Situation, Step, asked, invalid, make_room, wait};
use crate::api::{Solver, certificate_reason as reason};
use crate::core::backoff::look_again;
use crate::core::records::Chore;

/// How often an order is looked at again: at once when it is young, seldom when it is old.
const ORDER_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));
/// How often a self-check that fails is repeated.
const SELF_CHECK_BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// How often a self-check is repeated once a TXT record is overdue.
const OVERDUE_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(300));
/// How often it is tried again to present an answer.
const PRESENT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How often authorizations that no solver fits are looked at again: a human may prove control at the CA by hand.
const NO_SOLVER_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// How often a CA that has looked in vain, and keeps the challenge open, is told to look again.
const ANSWER_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a TXT record may take until all name servers have it, unless the solver says otherwise.
const PROPAGATION_TIMEOUT: Duration = Duration::from_secs(600);

/// The order waits for its authorizations.
pub(super) fn prove(situation: &Situation<'_>, solvers: &[Solver], now: Timestamp) -> Step {
    let progress = situation.progress;
    let Some(authorizations) = &progress.authorizations else { return asked::read(situation) };
    if let Some(failure) = asked::for_other_name(situation, authorizations) {
        return Step::Fail(failure);
    }
    if authorizations.iter().any(|(_, authorization)| authorization.is_dead()) {
        return invalid(situation, progress);
    }
    let challenged = match challenges(authorizations, solvers, situation.labels) {
        Ok(challenged) => challenged,
        Err(_) if situation.is_presented() => return Step::Tidy(Chore::Withdraw),
        Err(none) => {
            let since = processing_since(situation, now);
            let asked_at = progress.asked_at.unwrap_or(since);
            let until = look_again(since, asked_at, progress.retry_after, NO_SOLVER_BOUNDS);
            return match until > now {
                true => make_room(Some(until), reason::NO_SOLVER, none.to_string()),
                false => asked::read(situation),
            };
        }
    };
    if let Some(failure) = asked::too_long(&challenged) {
        return Step::Fail(failure);
    }
    if let Some(answered) = progress.answered
        && challenged.iter().any(|challenged| challenged.stalled)
    {
        let last = progress.answered_again.unwrap_or(answered);
        if look_again(answered, last, None, ANSWER_BOUNDS) <= now {
            return Step::Answer;
        }
    }
    if challenged.is_empty() || progress.answered.is_some() {
        let message = format!("The CA is validating {}", names(&challenged));
        return poll(situation, now, reason::VALIDATING, message);
    }
    if challenged.iter().all(|challenged| challenged.processing) {
        return Step::Answer;
    }
    // The issuer's solvers have changed since.
    let changed = |old: &Challenged| challenged.iter().any(|new| new.url == old.url && new.way != old.way);
    if progress.presented_for.iter().any(changed) {
        return Step::Tidy(Chore::Withdraw);
    }
    if !progress.presented {
        return present(situation, challenged, now);
    }
    match &progress.self_check {
        None => Step::SelfCheck,
        Some(result) => see(situation, result, challenged, now),
    }
}

/// Presents the answers, or waits for what stood in the way of it.
fn present(situation: &Situation<'_>, challenged: Vec<Challenged>, now: Timestamp) -> Step {
    let Some(failed) = &situation.progress.present_failed else { return Step::Present(challenged) };
    let until = look_again(failed.since, failed.at, None, PRESENT_BOUNDS);
    if until > now {
        make_room(Some(until), reason::PRESENTING, failed.message())
    } else {
        Step::Present(challenged)
    }
}

/// Goes by what the self-check saw. A CA that is told to look for a TXT record in vain refuses the order; over HTTP it may
/// see what the operator cannot.
fn see(
    situation: &Situation<'_>,
    result: &SelfCheckResult,
    challenged: Vec<Challenged>,
    now: Timestamp,
) -> Step {
    if result.failures.is_empty() {
        return Step::Answer;
    }
    let since = situation.progress.presented_at.unwrap_or(now);
    let deadline = |timeout: Duration| since.checked_add(SignedDuration::try_from(timeout).ok()?).ok();
    if !result.lacks_record() {
        let deadline = deadline(situation.self_check_timeout);
        if deadline.is_none_or(|deadline| now >= deadline) {
            return Step::Answer;
        }
        let until = look_again(since, result.at, None, SELF_CHECK_BOUNDS);
        let until = deadline.map_or(until, |deadline| until.min(deadline));
        return if until > now {
            wait(Some(until), reason::SELF_CHECK, result.message())
        } else {
            Step::SelfCheck
        };
    }
    let timeouts = challenged.iter().filter_map(|challenged| match &challenged.way {
        Way::Record(solver) => {
            let set = solver.propagation.as_ref().and_then(|propagation| propagation.timeout);
            Some(set.map_or(PROPAGATION_TIMEOUT, Duration::from))
        }
        Way::Ingress(_) | Way::Route(_) => None,
    });
    let overdue = deadline(timeouts.max().unwrap_or_default()).is_some_and(|deadline| now >= deadline);
    let until = look_again(since, result.at, None, if overdue { OVERDUE_BOUNDS } else { SELF_CHECK_BOUNDS });
    match until > now {
        true if overdue => make_room(Some(until), reason::PROPAGATION, result.message()),
        true => wait(Some(until), reason::PROPAGATION, result.message()),
        // The provider may have lost it, or never had it.
        false if overdue => Step::Present(challenged),
        false => Step::SelfCheck,
    }
}

/// Waits for the CA, or asks it again once the wait is over.
pub(super) fn poll(situation: &Situation<'_>, now: Timestamp, reason: &'static str, message: String) -> Step {
    let progress = situation.progress;
    let since = processing_since(situation, now);
    let Some(asked_at) = progress.asked_at else { return Step::ReadOrder };
    let until = look_again(since, asked_at, progress.retry_after, ORDER_BOUNDS);
    if until > now { wait(Some(until), reason, message) } else { Step::ReadOrder }
}

/// Since when the CA has been busy with the order.
pub(super) fn processing_since(situation: &Situation<'_>, now: Timestamp) -> Timestamp {
    let created = situation.status.order.as_ref().map_or(now, |order| order.created.0);
    situation.progress.finalized.or(situation.progress.answered).unwrap_or(created)
}

fn names(challenged: &[Challenged]) -> String {
    match challenged {
        [] => "the order".to_owned(),
        [one] => one.name.clone(),
        [first, _] => format!("{} and 1 more name", first.name),
        [first, rest @ ..] => format!("{} and {} more names", first.name, rest.len()),
    }
}

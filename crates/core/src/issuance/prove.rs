//! An order that waits for its authorizations: present answers, check them, tell the CA to validate, poll it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::polling::{LONG_VALIDATION, poll, processing_since};
use super::rejected::{invalid, not_validated};
use super::solve::{Challenged, NoSolver, Way, after, challenges};
use super::step::{make_room, wait};
use super::{
    Authorizations, IssuanceStep, Learned, Presented, Proof, SelfCheckResult, Situation, Unseen, asked,
    value_count,
};
use crate::authorization::Authorized;
use crate::backoff::look_again;
use crate::http01_overrides::Http01Overrides;
use crate::records::CleanupTask;
use certwright_acme::ChallengeType;
use certwright_api::{Solver, certificate_reason as reason};

/// Bounds of the interval at which a failing self-check is repeated.
pub(crate) const SELF_CHECK_BOUNDS: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(10));
/// Bounds of the interval at which the operator looks for a TXT record that a person sets.
const PERSISTENT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The same, once a TXT record is overdue.
const OVERDUE_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(300));
/// Bounds of the interval at which the TXT records at a name are counted again if there are too many.
const ROOM_BOUNDS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// Bounds of the interval at which presenting an answer is retried.
pub(crate) const PRESENT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Bounds of the interval at which authorizations without a matching solver are read again: somebody may prove control manually
/// at the CA.
const NO_SOLVER_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// How often the CA is told to validate a challenge of one authorization. Some CAs allow only 20 validations.
const MOST_TRIES: u32 = 5;
/// When a CA whose validation failed, but that keeps the challenge pending, is told to validate again, after each time that it was
/// told. Some wait until then (RFC 8555 section 8.2).
const ANSWER_WAITS: [SignedDuration; 4] = [
    SignedDuration::from_secs(1),
    SignedDuration::from_secs(10),
    SignedDuration::from_secs(60),
    SignedDuration::from_secs(600),
];
/// Bounds of the interval at which a CA is told again that keeps a challenge pending without an error: it may have lost the
/// request.
const SILENCE_BOUNDS: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3600));
/// How long a TXT record may take to reach all name servers, unless the solver sets another time.
const PROPAGATION_TIMEOUT: Duration = Duration::from_secs(600);

/// The order waits for its authorizations.
pub(super) fn prove(
    situation: &Situation<'_>,
    (solvers, authorized): (&[Solver], &[Authorized]),
    now: Timestamp,
) -> IssuanceStep {
    let learned = situation.learned();
    let Some(Authorizations { found, at }) = &learned.authorizations else { return asked::read(situation) };
    if let Some(failure) = asked::for_other_name(situation, found) {
        return IssuanceStep::Fail(failure);
    }
    if found.iter().any(|(_, authorization)| authorization.is_dead()) {
        return invalid(situation, learned);
    }
    // The order was read since, and is still pending.
    let is_long = now.duration_since(processing_since(situation, now)) > LONG_VALIDATION;
    if is_long && Some(*at) < learned.poll.at {
        return asked::read(situation);
    }
    let overrides = Http01Overrides::of(situation.annotations, situation.namespace);
    let challenged = match challenges(found, solvers, situation.labels, &overrides) {
        Ok(challenged) => challenged,
        Err(_) if situation.is_presented() => return IssuanceStep::Tidy(CleanupTask::Withdraw),
        Err(none) if is_authorized_since(situation, &none, authorized, now) => {
            return match situation.order_settles().filter(|until| *until > now) {
                Some(until) => make_room(Some(until), reason::NO_SOLVER, unproved(situation, &none)),
                None => IssuanceStep::Abandon {
                    message: "the issuer was authorized for its names after the order was placed".to_owned(),
                },
            };
        }
        Err(none) => {
            let since = processing_since(situation, now);
            return match learned.poll.next(since, NO_SOLVER_BOUNDS).filter(|until| *until > now) {
                Some(until) => make_room(Some(until), reason::NO_SOLVER, unproved(situation, &none)),
                None => asked::read(situation),
            };
        }
    };
    if let Some(failure) = asked::too_long(&challenged) {
        return IssuanceStep::Fail(failure);
    }
    let is_open = |one: &&Challenged| tell_at(one, learned).is_some_and(|time| time <= now);
    let open: Vec<&Challenged> = challenged.iter().filter(is_open).collect();
    // Read first: the CA may no longer need to be told.
    let is_old = |one: &&Challenged| tell_at(one, learned) > Some(*at);
    if open.iter().any(is_old) {
        return asked::read(situation);
    }
    if open.is_empty() {
        let next = challenged.iter().filter_map(|one| tell_at(one, learned)).min();
        let message = format!("The CA is validating {}", names(&challenged));
        return match poll(situation, now, reason::VALIDATING, message) {
            IssuanceStep::Wait { until: Some(until), reason, message, makes_room } => {
                let until = Some(next.map_or(until, |next| next.min(until)));
                IssuanceStep::Wait { until, reason, message, makes_room }
            }
            step => step,
        };
    }
    let tries = |one: &&&Challenged| learned.tries.get(&one.authorization).copied().unwrap_or_default();
    if let Some(one) = open.iter().find(|one| tries(one) >= MOST_TRIES) {
        return not_validated(situation, one, found, MOST_TRIES);
    }
    // The issuer's solvers have changed since.
    let changed = |old: &Challenged| challenged.iter().any(|new| new.url == old.url && new.way != old.way);
    if learned.proof == Proof::Withdrawing || learned.proof.challenged().iter().any(changed) {
        return IssuanceStep::Tidy(CleanupTask::Withdraw);
    }
    let includes =
        |presented: &Presented, one: &Challenged| presented.challenged.iter().any(|old| old.url == one.url);
    let all = |presented: &&Presented| open.iter().all(|one| includes(presented, one));
    let Some(presented) = learned.proof.presented().filter(all) else {
        return present(situation, challenged, now);
    };
    let answer = IssuanceStep::Answer(open.iter().map(|one| one.url.clone()).collect());
    if open.iter().all(|one| learned.told.contains_key(&one.url)) {
        return answer;
    }
    if let Some(wait) = wait_unchecked(&open, presented.since, now) {
        return wait;
    }
    match &presented.self_check {
        None if open.iter().all(|one| one.is_unchecked()) => answer,
        None => IssuanceStep::SelfCheck,
        Some(result) => see(situation, presented.since, result, challenged, answer, now),
    }
}

/// Whether each name without a solver was authorized after the order was placed. An order does not take note of that, but the next
/// one will.
fn is_authorized_since(
    situation: &Situation<'_>,
    none: &NoSolver,
    authorized: &[Authorized],
    now: Timestamp,
) -> bool {
    let Some(order) = &situation.state.status.order else { return false };
    let later = |one: &&Authorized| (order.created.0..=now).contains(&one.since);
    none.names().all(|name| authorized.iter().filter(later).any(|one| one.may_cover(name)))
}

/// Which names have no solver. One that the current certificate has was proved at the CA in another way, such as by e-mail.
fn unproved(situation: &Situation<'_>, none: &NoSolver) -> String {
    let wanted = situation.wanted.as_ref().ok();
    let leaf =
        situation.secret.leaf().filter(|_| wanted.is_some_and(|wanted| situation.is_from_issuer_of(wanted)));
    let lapsed: Vec<&str> = none
        .names()
        .filter(|name| leaf.is_some_and(|leaf| leaf.dns_names.iter().any(|had| had == name)))
        .collect();
    if lapsed.is_empty() {
        return none.to_string();
    }
    format!(
        "{none}. The CA accepted proof of control over {} before, and that proof has lapsed: prove control again in the CA's portal, for example by e-mail, \
         or add a solver; the operator asks the CA again at least every hour",
        lapsed.join(", ")
    )
}

/// When to tell the CA, or tell it again, to validate a challenge; `None` while it reports that it is validating.
fn tell_at(challenged: &Challenged, learned: &Learned) -> Option<Timestamp> {
    if challenged.processing {
        return None;
    }
    Some(match learned.told.get(&challenged.url) {
        None => Timestamp::MIN,
        Some(told) if challenged.stalled => {
            let tries = learned.tries.get(&challenged.authorization).copied().unwrap_or(1);
            let index = usize::try_from(tries).unwrap_or_default().clamp(1, ANSWER_WAITS.len()) - 1;
            told.last.saturating_add(ANSWER_WAITS[index]).unwrap_or(told.last)
        }
        Some(told) => look_again(told.first, told.last, None, SILENCE_BOUNDS),
    })
}

/// Presents the answers, or waits before retrying that.
fn present(situation: &Situation<'_>, challenged: Vec<Challenged>, now: Timestamp) -> IssuanceStep {
    let Proof::Failed(failed) = &situation.learned().proof else { return IssuanceStep::Present(challenged) };
    let until = failed.next_attempt(PRESENT_BOUNDS);
    if until > now {
        make_room(Some(until), failed.reason(), failed.message())
    } else {
        IssuanceStep::Present(challenged)
    }
}

/// Waits for as long as the solvers of answers that are not checked say.
fn wait_unchecked(open: &[&Challenged], since: Timestamp, now: Timestamp) -> Option<IssuanceStep> {
    let unchecked = open.iter().filter(|one| one.is_unchecked());
    let until = unchecked.filter_map(|one| one.told_anyway(since)).max()?;
    let message = format!("The CA is told to validate at {until}, without a self-check, as its solver says");
    (until > now).then(|| wait(Some(until), reason::SELF_CHECK, message))
}

/// When the CA is told to validate an answer that is not seen. Over HTTP or TLS, it may see what the operator cannot; but if it
/// does not find a TXT record, it rejects the order.
fn told_anyway(
    situation: &Situation<'_>,
    since: Timestamp,
    failure: &Unseen,
    challenged: &[Challenged],
) -> Option<Timestamp> {
    let of = challenged.iter().find(|one| one.url == failure.challenge);
    let usual = || {
        let is_connected_to = matches!(failure.typ, ChallengeType::Http01 | ChallengeType::TlsAlpn01);
        is_connected_to.then(|| after(since, situation.self_check_timeout))
    };
    of.and_then(|one| one.told_anyway(since)).or_else(usual)
}

/// Acts on the result of the self-check. The CA is not told of a TXT record that is not seen, unless the solver says so; over HTTP
/// or TLS it may see what the operator cannot.
fn see(
    situation: &Situation<'_>,
    since: Timestamp,
    result: &SelfCheckResult,
    challenged: Vec<Challenged>,
    answer: IssuanceStep,
    now: Timestamp,
) -> IssuanceStep {
    let is_overdue = || now >= after(since, propagation_timeout(&challenged));
    if result.failures.is_empty() {
        return match value_count::why_wait(&result.counts) {
            // The others may wait as well, and some records may never be removed: in the end, the CA decides.
            Some(_) if is_overdue() => answer,
            Some(why) => look(look_again(since, result.at, None, ROOM_BOUNDS), now)
                .unwrap_or_else(|until| wait(Some(until), reason::PROPAGATION, why)),
            None => answer,
        };
    }
    let told = |failure: &Unseen| told_anyway(situation, since, failure, &challenged);
    if result.failures.iter().all(|failure| told(failure).is_some_and(|time| time <= now)) {
        return answer;
    }
    let next = result.failures.iter().filter_map(told).filter(|time| *time > now).min();
    let again = |bounds| {
        let again = look_again(since, result.at, None, bounds);
        next.map_or(again, |next| again.min(next))
    };
    if result.lacks_persistent_record() {
        // A person sets it, which may take days.
        return look(again(PERSISTENT_BOUNDS), now).unwrap_or_else(|until| {
            make_room(Some(until), reason::PERSISTENT_RECORD, result.missing_record())
        });
    }
    if !result.lacks_record() {
        return look(again(SELF_CHECK_BOUNDS), now)
            .unwrap_or_else(|until| wait(Some(until), reason::SELF_CHECK, result.message()));
    }
    if !is_overdue() {
        return look(again(SELF_CHECK_BOUNDS), now)
            .unwrap_or_else(|until| wait(Some(until), reason::PROPAGATION, result.message()));
    }
    let until = again(OVERDUE_BOUNDS);
    match until > now {
        true => make_room(Some(until), reason::PROPAGATION, result.message()),
        // The provider may have lost the record, or never stored it.
        false => IssuanceStep::Present(challenged),
    }
}

/// Looks again, if it is time to.
fn look(again: Timestamp, now: Timestamp) -> Result<IssuanceStep, Timestamp> {
    if again > now { Err(again) } else { Ok(IssuanceStep::SelfCheck) }
}

/// How long the records of the challenges may take to reach all name servers.
pub(crate) fn propagation_timeout(challenged: &[Challenged]) -> Duration {
    let timeouts = challenged.iter().filter_map(|challenged| match &challenged.way {
        Way::Record(solver) => {
            let set = solver.propagation.as_ref().and_then(|propagation| propagation.timeout);
            Some(set.map_or(PROPAGATION_TIMEOUT, Duration::from))
        }
        Way::Ingress(_) | Way::Route(_) | Way::Persistent(_) | Way::TlsRoute(_) | Way::FrontProxy => None,
    });
    timeouts.max().unwrap_or_default()
}

fn names(challenged: &[Challenged]) -> String {
    match challenged {
        [] => "the order".to_owned(),
        [one] => one.name.clone(),
        [first, _] => format!("{} and 1 more name", first.name),
        [first, rest @ ..] => format!("{} and {} more names", first.name, rest.len()),
    }
}

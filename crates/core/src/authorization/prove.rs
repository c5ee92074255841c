//! An authorization that is being validated: add the TXT record, check it, tell the CA to validate, poll.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::progress::Attempt;
use super::{AuthorizationStep, Failure, Snapshot};
use crate::backoff::look_again;
use crate::disposition::Disposition;
use crate::http01_overrides::Http01Overrides;
use crate::issuance::{
    Challenged, PRESENT_BOUNDS, Proof, SELF_CHECK_BOUNDS, challenges, propagation_timeout, solver_of,
    why_wait,
};
use certwright_acme::{Authorization, ChallengeStatus};
use certwright_api::{IssuerStatus, Solver, issuer_reason as reason};

/// Bounds of the interval at which the CA is asked whether it has validated.
const POLL_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));
/// How long the CA may take to validate.
const VALIDATION_TIMEOUT: SignedDuration = SignedDuration::from_hours(24);
/// How long a provider may fail to add the record.
const PRESENT_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);

/// The next step for the authorization that is being validated.
pub(super) fn prove(
    attempt: &Attempt,
    status: &IssuerStatus,
    seen: &Snapshot<'_>,
    now: Timestamp,
) -> AuthorizationStep {
    let challenged = match challenge(attempt, seen) {
        Ok(challenged) => challenged,
        Err(failure) => return AuthorizationStep::Fail(failure),
    };
    if challenged.processing || attempt.told.is_some() {
        return poll(attempt, &challenged, now);
    }
    let is_recorded = status.dns_records.iter().any(|record| {
        let its_token = format!("{}.{}", challenged.token, seen.thumbprint);
        record.removal.is_none() && record.key_authorization == its_token
    });
    match &attempt.proof {
        Proof::Presented(presented) if presented.challenged == [challenged.clone()] && is_recorded => {
            let timeout = propagation_timeout(&presented.challenged);
            let is_overdue = now.duration_since(presented.since) >= signed(timeout);
            let told_anyway = challenged.told_anyway(presented.since);
            if told_anyway.is_some_and(|time| time <= now) {
                return AuthorizationStep::Answer(challenged.url);
            }
            if let Some(until) = told_anyway.filter(|_| challenged.is_unchecked()) {
                let words = format!("The CA is told to validate at {until}, as its solver says");
                return AuthorizationStep::Wait { until, name: attempt.name.clone(), message: words };
            }
            let Some(result) = &presented.self_check else {
                return AuthorizationStep::SelfCheck(Box::new(challenged));
            };
            let waits = match result.failures.is_empty() {
                true => why_wait(&result.counts).filter(|_| !is_overdue),
                false => Some(result.message()),
            };
            match waits {
                None => AuthorizationStep::Answer(challenged.url),
                Some(words) if is_overdue => fail(attempt, words),
                Some(words) => {
                    let until = look_again(presented.since, result.at, None, SELF_CHECK_BOUNDS);
                    let until = told_anyway.map_or(until, |time| time.min(until));
                    wait_or(attempt, until, words, AuthorizationStep::SelfCheck(Box::new(challenged)), now)
                }
            }
        }
        Proof::Failed(failed) if failed.challenged == [challenged.clone()] => {
            if failed.at.duration_since(failed.since) >= PRESENT_TIMEOUT {
                return fail(attempt, failed.message());
            }
            let until = failed.next_attempt(PRESENT_BOUNDS);
            wait_or(attempt, until, failed.message(), AuthorizationStep::Present(Box::new(challenged)), now)
        }
        _ => AuthorizationStep::Present(Box::new(challenged)),
    }
}

/// Why the name has no solver, if it has none: only dns-01 proves a name with its subdomains, and an issuer has no place for the
/// objects of http-01.
pub(super) fn without_solver(name: &str, seen: &Snapshot<'_>) -> Option<Failure> {
    let solvers = dns01(seen);
    let found = [name.to_owned(), format!("*.{name}")]
        .iter()
        .any(|name| solver_of(&solvers, name, &BTreeMap::new()).is_some());
    (!found).then(|| no_solver(name))
}

/// The challenge, and the solver that answers it: the one for the name, or else the one for the wildcard below it.
fn challenge(attempt: &Attempt, seen: &Snapshot<'_>) -> Result<Challenged, Failure> {
    let solvers = dns01(seen);
    let mut why = String::new();
    for wildcard in [false, true] {
        let authorization = Authorization { wildcard, ..attempt.authorization.clone() };
        let authorizations = [(attempt.pending.url.clone(), authorization)];
        let chosen = challenges(&authorizations, &solvers, &BTreeMap::new(), &Ok(Http01Overrides::default()));
        match chosen.map(|chosen| chosen.into_iter().next()) {
            Ok(Some(challenged)) => return Ok(challenged),
            Ok(None) => {}
            Err(none) => why = none.to_string(),
        }
    }
    // If there is a solver, the CA does not offer its challenge.
    Err(without_solver(&attempt.name, seen).unwrap_or_else(|| {
        Failure::found(&attempt.name, reason::AUTHORIZATION_FAILED, why, Disposition::NotAllowed)
    }))
}

fn no_solver(name: &str) -> Failure {
    let message = "No dns-01 solver of this issuer matches the name, and only dns-01 can prove it ahead of an order; add one to \
                   spec.acme.solvers (a selector with matchLabels matches no authorization)";
    Failure::found(name, reason::NO_DNS01_SOLVER, message.to_owned(), Disposition::NotAllowed)
}

fn dns01(seen: &Snapshot<'_>) -> Vec<Solver> {
    seen.solvers.iter().filter(|solver| solver.dns01.is_some()).cloned().collect()
}

/// Waits for the CA, or asks it again.
fn poll(attempt: &Attempt, challenged: &Challenged, now: Timestamp) -> AuthorizationStep {
    let since = attempt.told.unwrap_or(attempt.pending.since.0);
    if challenged.stalled {
        return AuthorizationStep::Fail(Failure::rejected(&attempt.name, &attempt.authorization));
    }
    if now.duration_since(since) >= VALIDATION_TIMEOUT {
        return fail(attempt, "The CA has not validated it within 24 hours".to_owned());
    }
    let read = AuthorizationStep::Read { name: attempt.name.clone(), url: attempt.pending.url.clone() };
    match attempt.poll.next(since, POLL_BOUNDS) {
        Some(until) => wait_or(attempt, until, "The CA is validating it".to_owned(), read, now),
        None => read,
    }
}

fn wait_or(
    attempt: &Attempt,
    until: Timestamp,
    message: String,
    step: AuthorizationStep,
    now: Timestamp,
) -> AuthorizationStep {
    match until > now {
        true => AuthorizationStep::Wait { until, name: attempt.name.clone(), message },
        false => step,
    }
}

fn fail(attempt: &Attempt, message: String) -> AuthorizationStep {
    let (name, reason) = (&attempt.name, reason::AUTHORIZATION_FAILED);
    AuthorizationStep::Fail(Failure::found(name, reason, message, Disposition::ValidationFailed))
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Whether a challenge is already valid, so that the authorization is as good as valid.
pub(super) fn is_validated(status: &ChallengeStatus) -> bool {
    *status == ChallengeStatus::Valid
}

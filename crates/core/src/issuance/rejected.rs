//! An order that the CA rejected.

use super::{Challenged, Failure, IssuanceStep, Learned, Situation, asked};
use crate::conditions::condition;
use crate::disposition::{self, Disposition, of_invalid};
use crate::remedy::with_remedy;
use certwright_acme::{Authorization, Place, Problem};
use certwright_api::{CONDITION_ISSUING, certificate_reason as reason};

/// The order, or one of its authorizations, has failed: reports the CA's errors.
pub(super) fn invalid(situation: &Situation<'_>, learned: &Learned) -> IssuanceStep {
    let Some(authorizations) = &learned.authorizations else { return asked::read(situation) };
    let failed: Vec<(String, Option<&Problem>)> = authorizations
        .found
        .iter()
        .filter(|(_, authorization)| authorization.is_dead())
        .map(|(_, authorization)| (authorization.name(), authorization.error()))
        .collect();
    let order_error = learned.order.as_ref().and_then(|order| order.error.as_ref());
    let codes: Vec<&str> =
        failed.iter().filter_map(|(_, problem)| *problem).chain(order_error).map(Problem::code).collect();
    // If the account is the cause, what was said about single names does not matter.
    let of_account = codes.iter().find(|code| of_invalid(code).is_of_account());
    let code = of_account.or(codes.first()).copied().unwrap_or_default();
    let mut said: Vec<String> = failed
        .iter()
        .map(|(name, problem)| match problem {
            Some(problem) => format!("{name}: {problem}"),
            None => format!("{name}: the CA gave no reason"),
        })
        .collect();
    said.extend(order_error.map(|problem| format!("order: {problem}")));
    let said = if said.is_empty() { "the CA gave no reason".to_owned() } else { said.join("; ") };
    let seen = learned.proof.self_check().filter(|result| !result.failures.is_empty());
    let hint = seen.map(|result| format!(". {}", result.message())).unwrap_or_default();
    let disposition = of_invalid(code);
    if disposition.is_of_account() && waited_for_issuer(situation) {
        return IssuanceStep::Abandon {
            message: "the CA rejected the order because of the account, before the issuer was ready again"
                .to_owned(),
        };
    }
    let place = if failed.is_empty() { Place::Order } else { Place::Challenge };
    let said = format!("The CA rejected the order: {said}{hint}");
    let message = with_remedy(&said, code, place, situation.retry(disposition).as_ref());
    IssuanceStep::Fail(Failure {
        reason: disposition::reason(code).unwrap_or(reason::FAILED),
        message,
        disposition,
        retry_after: learned.poll.retry_after,
    })
}

/// The CA was told `times` times to validate a challenge, and keeps it pending.
pub(super) fn not_validated(
    situation: &Situation<'_>,
    challenged: &Challenged,
    authorizations: &[(String, Authorization)],
    times: u32,
) -> IssuanceStep {
    let of = authorizations.iter().find(|(url, _)| *url == challenged.authorization);
    let problem = of.and_then(|(_, authorization)| authorization.error());
    let code = problem.map(Problem::code).unwrap_or_default();
    let said = match problem {
        Some(problem) => format!(
            "The CA could not validate {} within {times} attempts, so the next attempt places another order: {problem}",
            challenged.name
        ),
        None => format!(
            "The CA has not validated {}, though it was asked {times} times, so the next attempt places another order",
            challenged.name
        ),
    };
    let disposition = match of_invalid(code) {
        Disposition::NotAllowed => Disposition::NotAllowed,
        _ => Disposition::ValidationFailed,
    };
    IssuanceStep::Fail(Failure {
        reason: disposition::reason(code).unwrap_or(reason::FAILED),
        message: with_remedy(&said, code, Place::Challenge, situation.retry(disposition).as_ref()),
        disposition,
        retry_after: None,
    })
}

/// Whether nothing has been done for the order since the issuer was not ready. What the CA says of the order may then be about
/// an account that has been put right in the meantime; another order will tell.
fn waited_for_issuer(situation: &Situation<'_>) -> bool {
    condition(&situation.state.status.conditions, CONDITION_ISSUING)
        .is_some_and(|issuing| issuing.status == "True" && issuing.reason == reason::ISSUER_NOT_READY)
}

//! An order that the CA rejected.

use super::{Failure, IssuanceStep, Learned, Situation, asked};
use crate::disposition::{self, of_invalid};
use crate::remedy::with_remedy;
use certwright_acme::{Place, Problem};
use certwright_api::certificate_reason as reason;

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
    let code = failed
        .iter()
        .find_map(|(_, problem)| problem.map(Problem::code))
        .or(order_error.map(Problem::code))
        .unwrap_or_default();
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

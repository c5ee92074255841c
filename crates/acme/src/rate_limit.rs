//! What a rate limit applies to.

use crate::{AcmeError, Operation};

/// What a CA limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Some names: their Certificate waits, and the account continues.
    Names,
    /// The account, or all requests from our address.
    Account,
    /// An order, if the CA does not say whether its names or its account are limited.
    AnOrder,
}

/// How the messages of Boulder, which Let's Encrypt runs, begin for a limit on names. Boulder sends no subproblems with them.
const OF_NAMES: [&str; 3] = [
    "too many certificates (",
    "too many failed authorizations (",
    "your account is temporarily prevented from requesting certificates for ",
];
/// How they continue for a limit on the account or on the client's address.
const OF_THE_ACCOUNT: [&str; 2] = ["from this account", "from this ip"];

/// What the rate limit in `error` applies to.
///
/// It applies to names if each subproblem has an identifier (RFC 8555 section 6.7.1), or if Boulder's messages say so. Certigna
/// limits how often it validates one challenge, with a code of its own. Otherwise, only newOrder contains names that can be limited;
/// all other rate limits are considered limits on the account.
pub(super) fn about(error: &AcmeError) -> About {
    let AcmeError::Problem { problem, .. } = error else { return of_operation(error) };
    if error.operation() == Some(Operation::Challenge) && error.code() == "RATE_LIMITED" {
        return About::Names;
    }
    let subproblems = &problem.subproblems;
    if !subproblems.is_empty() && subproblems.iter().all(|sub| sub.identifier.is_some()) {
        return About::Names;
    }
    let detail = problem.detail.to_ascii_lowercase();
    // Boulder may prepend the name of the component that rejected the request.
    let says = |words: &&str| detail.contains(*words);
    if OF_THE_ACCOUNT.iter().any(&says) {
        About::Account
    } else if OF_NAMES.iter().any(&says) {
        About::Names
    } else {
        of_operation(error)
    }
}

fn of_operation(error: &AcmeError) -> About {
    match error.operation() {
        Some(Operation::NewOrder | Operation::NewAuthorization) if error.status() != Some(503) => {
            About::AnOrder
        }
        _ => About::Account,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Problem;

    #[test]
    fn subproblems_with_identifiers_are_about_names() {
        let sub = |name: &str| json!({ "type": RATE_LIMITED, "detail": "too many", "identifier": { "type": "dns", "value": name } });
        let both = json!([sub("a.example"), sub("b.example")]);
        assert_eq!(about(&refusal(Operation::NewOrder, "too many requests", both.clone())), About::Names);
        assert_eq!(about(&refusal(Operation::Finalize, "too many requests", both)), About::Names);
        let one_without = json!([sub("a.example"), { "type": RATE_LIMITED, "detail": "too many" }]);
        assert_eq!(about(&refusal(Operation::NewOrder, "too many requests", one_without)), About::AnOrder);
    }

    #[test]
    fn the_words_of_boulder_say_what_its_limits_are_about() {
        for (detail, expected) in [
            (
                "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-02-04 15:12:13 UTC",
                About::Names,
            ),
            (
                "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s, retry after 2026-02-04 15:12:13 UTC",
                About::Names,
            ),
            (
                "Error creating new order :: too many failed authorizations (5) for \"a.example.com\" in the last 1h0m0s, retry after 2026-02-04 15:12:13 UTC",
                About::Names,
            ),
            (
                "Your account is temporarily prevented from requesting certificates for a.example.com and possibly others.",
                About::Names,
            ),
            (
                "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-02-04 15:12:13 UTC",
                About::Account,
            ),
            (
                "too many new registrations (10) from this IP address in the last 3h0m0s, retry after 2026-02-04 15:12:13 UTC",
                About::Account,
            ),
            ("too many orders this week", About::AnOrder),
        ] {
            assert_eq!(about(&refusal(Operation::NewOrder, detail, json!([]))), expected, "{detail}");
        }
    }

    #[test]
    fn a_limit_without_names_is_about_the_account() {
        for operation in [Operation::NewNonce, Operation::Order, Operation::Finalize, Operation::RenewalInfo]
        {
            assert_eq!(about(&refusal(operation, "slow down", json!([]))), About::Account, "{operation:?}");
        }
        let busy = AcmeError::Http {
            operation: Operation::NewOrder,
            host: "ca.example".to_owned(),
            status: 503,
            kind: String::new(),
            retry_after: None,
        };
        assert_eq!(about(&busy), About::Account, "the CA is busy");
    }

    #[test]
    fn a_challenge_that_was_validated_too_often_does_not_limit_the_account() {
        let about = |operation, detail| about(&refusal(operation, detail, json!([])));
        assert_eq!(about(Operation::Challenge, "RATE_LIMITED"), About::Names);
        assert_eq!(about(Operation::Challenge, "slow down"), About::Account);
        assert_eq!(about(Operation::Finalize, "RATE_LIMITED"), About::Account);
    }

    const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";

    fn refusal(operation: Operation, detail: &str, subproblems: serde_json::Value) -> AcmeError {
        let document = json!({ "type": RATE_LIMITED, "detail": detail, "subproblems": subproblems });
        let problem: Problem = serde_json::from_value(document).unwrap();
        AcmeError::Problem { operation, status: 429, problem: Box::new(problem), retry_after: None }
    }
}

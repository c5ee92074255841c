//! A name could not be proved.

use std::time::Duration;

use crate::conditions::sentence;
use crate::disposition::{self, Disposition, about, disposition, of_invalid, of_unacceptable};
use crate::remedy::with_remedy;
use certwright_acme::{AcmeError, Authorization, Operation, Place, Problem};
use certwright_api::issuer_reason as reason;

/// A name could not be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name.
    pub name: String,
    /// A constant of [`issuer_reason`](certwright_api::issuer_reason), or the CA's code.
    pub reason: &'static str,
    /// What happened, what the CA said, what to do.
    pub message: String,
    /// What happens next.
    pub disposition: Disposition,
    /// How long the CA said to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// The CA's error as a failure.
    pub(super) fn of_error(name: &str, error: &AcmeError) -> Self {
        let operation = error.operation().unwrap_or(Operation::NewAuthorization);
        let disposition = match error {
            AcmeError::Problem { status, .. } | AcmeError::Http { status, .. } => {
                disposition(error.code(), Some(*status), about(operation))
            }
            AcmeError::OutOfBounds { .. } => of_unacceptable(about(operation)),
            _ => Disposition::Stumbled,
        };
        // A connection error may have the same name as a code of the CA.
        let code = error.problem().map(Problem::code).unwrap_or_default();
        let reason = disposition::reason(code).unwrap_or(match disposition {
            Disposition::TooFast => reason::RATE_LIMITED,
            Disposition::Stumbled => reason::CA_UNAVAILABLE,
            _ if matches!(error, AcmeError::OutOfBounds { .. }) => reason::ANSWER_REFUSED,
            _ => reason::AUTHORIZATION_FAILED,
        });
        Self {
            name: name.to_owned(),
            reason,
            message: with_remedy(&sentence(&error.to_string()), code, Place::Order, None),
            disposition,
            retry_after: error.retry_after(),
        }
    }

    /// The CA rejected the proof.
    pub(super) fn rejected(name: &str, authorization: &Authorization) -> Self {
        let problem = authorization.error();
        let said = match problem {
            Some(problem) => format!("The CA could not validate it: {problem}"),
            None => {
                format!("The CA reports the authorization as {}, and gives no reason", authorization.status)
            }
        };
        let code = problem.map(Problem::code).unwrap_or_default();
        Self {
            name: name.to_owned(),
            reason: disposition::reason(code).unwrap_or(reason::AUTHORIZATION_FAILED),
            message: with_remedy(&said, code, Place::Challenge, None),
            disposition: match of_invalid(code) {
                Disposition::NotAllowed => Disposition::NotAllowed,
                _ => Disposition::ValidationFailed,
            },
            retry_after: None,
        }
    }

    /// The operator found the cause itself.
    pub(super) fn found(name: &str, reason: &'static str, message: String, disposition: Disposition) -> Self {
        Self { name: name.to_owned(), reason, message, disposition, retry_after: None }
    }

    /// Whether the same authorization can still become valid.
    pub(super) fn keeps_authorization(&self) -> bool {
        matches!(self.disposition, Disposition::Stumbled | Disposition::TooFast)
    }
}

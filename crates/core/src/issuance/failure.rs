//! A failed issuance.

use std::time::Duration;

use crate::disposition::Disposition;
use certwright_acme::CODES;
use certwright_api::certificate_reason as reason;

/// A failed issuance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A constant of [`certificate_reason`](certwright_api::certificate_reason).
    pub reason: &'static str,
    /// What happened, what the CA said, what to do.
    pub message: String,
    /// What happens next.
    pub disposition: Disposition,
    /// How long the CA said to wait.
    pub retry_after: Option<Duration>,
}

/// All reasons that a failure can have; some are in it twice.
pub fn failure_reasons() -> impl Iterator<Item = &'static str> {
    let ours = [
        reason::FAILED,
        reason::CA_UNAVAILABLE,
        reason::RATE_LIMITED,
        reason::ANSWER_REFUSED,
        reason::CERTIFICATE_REFUSED,
        reason::INVALID_SPEC,
    ];
    ours.into_iter().chain(CODES.iter().map(|code| code.name))
}

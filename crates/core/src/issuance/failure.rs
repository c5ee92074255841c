//! A failed issuance.

use std::time::Duration;

use crate::disposition::Disposition;

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

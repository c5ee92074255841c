//! What this process knows of the authorization that is being validated.

use jiff::Timestamp;

use crate::issuance::{Poll, Proof};
use certwright_acme::Authorization;
use certwright_api::{IssuerStatus, KeptAuthorizationStatus, PendingAuthorization};

/// What this process knows of the authorization that is being validated. It may be lost with the process, and is learned again.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The authorization.
    pub(super) attempt: Option<Attempt>,
    /// URL of a pending authorization that is of no use any more, and is to be deactivated.
    pub(super) useless: Option<String>,
    /// The entries of the status, if they could not be written.
    unwritten: Option<Vec<KeptAuthorizationStatus>>,
}

impl Progress {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.attempt.is_none() && self.useless.is_none() && self.unwritten.is_none()
    }

    /// The reconcile ends because a write failed. The next one continues from the entries of this status, so that no failure is
    /// forgotten.
    pub fn keep_unwritten(&mut self, status: &IssuerStatus) {
        self.unwritten = Some(status.authorizations.clone());
    }

    /// Continues from entries that could not be written.
    pub fn resume(&mut self, status: &mut IssuerStatus) {
        if let Some(unwritten) = self.unwritten.take() {
            status.authorizations = unwritten;
        }
    }
}

/// An authorization that is being validated.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The name.
    pub name: String,
    /// As the status records it, which may not be written yet.
    pub pending: PendingAuthorization,
    /// The authorization as the CA last returned it.
    pub authorization: Authorization,
    /// When the CA was last asked for it, and how long it said to wait.
    pub poll: Poll,
    /// The TXT record, as far as this process knows of it.
    pub proof: Proof,
    /// When the CA was told to validate.
    pub told: Option<Timestamp>,
}

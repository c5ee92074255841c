//! The steps of keeping authorizations.

use jiff::Timestamp;

use super::Failure;
use crate::issuance::Challenged;
use crate::records::Removal;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthorizationStep {
    /// Nothing, before `until`.
    Rest {
        /// When a name is to be proved again, or something is to be removed; `None` if only a change of the spec matters.
        until: Option<Timestamp>,
    },
    /// Wait for the CA, the provider, or name servers.
    Wait {
        /// When to look again.
        until: Timestamp,
        /// The name.
        name: String,
        /// What is waited for.
        message: String,
    },
    /// Request an authorization for this name from the CA.
    Request {
        /// The name.
        name: String,
        /// Whether also for its subdomains.
        subdomains: bool,
    },
    /// Read the authorization of this name that is being validated.
    Read {
        /// The name.
        name: String,
        /// URL of the authorization.
        url: String,
    },
    /// Record the TXT record, then add it.
    Present(Box<Challenged>),
    /// Check whether the TXT record is visible.
    SelfCheck(Box<Challenged>),
    /// Tell the CA to validate the challenge with this URL.
    Answer(String),
    /// The name could not be proved: record that.
    Fail(Failure),
    /// Deactivate this pending authorization, so that it does not count against the account.
    GiveUp(String),
    /// Remove these records.
    Remove(Vec<Removal>),
}

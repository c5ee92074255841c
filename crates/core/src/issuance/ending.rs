//! How an issuance ends, and what it leaves.

use super::Failure;

/// How an issuance ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The certificate is in the Secret.
    Done,
    /// The order cannot be used, for this reason: the issuance continues without it.
    Abandoned(String),
    /// It was a rehearsal, and the first issuer is asked next.
    Rehearsed(Rehearsal),
    /// It has failed.
    Failed(Failure),
}

/// How a rehearsal ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// All names are validated.
    Passed,
    /// The rehearsal issuer cannot be used, for this reason.
    Skipped(String),
}

/// The leftovers of an issuance, except presented answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// URLs of authorizations that are still pending, and would count against the account; after a rehearsal also of those that
    /// are valid, and would prevent the next one from validating anything.
    pub authorizations: Vec<String>,
    /// What becomes of the Secret with the private key.
    pub key_secret: KeySecret,
}

/// What becomes of the Secret with the private key of an issuance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySecret {
    /// It stays, if there is one: the next attempt uses the key.
    Keep,
    /// It is deleted.
    Delete,
    /// It stores the certificate and its key as a backup, in case the TLS Secret is lost again.
    BackUp,
}

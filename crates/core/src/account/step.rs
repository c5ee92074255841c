//! The steps for an account.

use std::time::Duration;

use jiff::Timestamp;

use super::{Recorded, rollover};
use certwright_api::PreviousAccount;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStep {
    /// Nothing: the account can be used.
    Rest,
    /// Wait until `until`, or until the spec changes.
    Wait {
        /// When to check again; `None` if only a change of the spec helps.
        until: Option<Timestamp>,
        /// A constant of [`issuer_reason`](certwright_api::issuer_reason).
        reason: &'static str,
        /// The message of the condition.
        message: String,
    },
    /// Wait after a failure that the condition already reports.
    Hold {
        /// When to check again; `None` if only a change of the spec helps.
        until: Option<Timestamp>,
    },
    /// Generate a key and store it.
    MakeKey,
    /// Replace the key, because its account is bound to another external account, or is to be bound anew. The old key is kept
    /// in the Secret.
    ReplaceKey,
    /// Look up the account of the key at the CA.
    LookUp,
    /// Read the MAC key.
    ReadMacKey,
    /// Register an account.
    Register,
    /// Use the account recorded in the Secret: read its state from the CA.
    Adopt(Recorded),
    /// Record in the Secret the account that the CA has confirmed.
    RecordAccount {
        /// URL of the account.
        url: String,
        /// Key id of the external account that it is bound to.
        key_id: Option<String>,
    },
    /// Record in the Secret that the account at this URL is deactivated.
    RecordEnd(String),
    /// Record in the status that the account recorded in the Secret is deactivated.
    NoteEnd(Recorded),
    /// Restore the key of a previous account. The current key is kept in the Secret.
    ReturnTo(PreviousAccount),
    /// Read the state of the account from the CA, as is done regularly.
    Check {
        /// URL of the account.
        url: String,
    },
    /// Send the new e-mail addresses to the CA.
    UpdateContact {
        /// The URL of the account.
        account: String,
    },
    /// Deactivate an account.
    Deactivate {
        /// URL of the account.
        url: String,
        /// How long the CA may take.
        patience: Duration,
    },
    /// Add the finalizer, so that the issuer's deletion waits for the deactivation of its account.
    SetFinalizer,
    /// Remove the finalizer.
    DropFinalizer,
    /// Roll over the account key, or find out whether an earlier rollover succeeded.
    Rollover(rollover::RolloverStep),
}

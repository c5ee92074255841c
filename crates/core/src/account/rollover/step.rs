//! The steps of an account key rollover.

use jiff::Timestamp;

use crate::account::Recorded;
use certwright_pki::KeyAlgorithm;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloverStep {
    /// Find out which of the two keys the account has: look up the account of the next key at the CA.
    AskWhichKey(Recorded),
    /// The CA does not know the next key: look up the account of the current key.
    AskForPresentKey(Recorded),
    /// Generate the next key and store it.
    StoreNextKey(KeyAlgorithm),
    /// Wait until the CA validates no challenge of the account.
    WaitForValidations {
        /// When to continue even if the CA may still be validating one.
        until: Timestamp,
    },
    /// Ask the CA to change the key.
    ChangeKey {
        /// The URL of the account.
        account: String,
    },
    /// Make the next key the account key of this account.
    PromoteKey(Recorded),
    /// Remove the next key, because it belongs to another account.
    DiscardNextKey,
    /// Refuse the rollover, because of who owns the Secret or which issuers share it.
    Refuse {
        /// A constant of [`issuer_reason`](certwright_api::issuer_reason).
        reason: &'static str,
        /// The message of the condition.
        message: String,
    },
}

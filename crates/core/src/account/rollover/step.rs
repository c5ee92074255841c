//! The steps of a key change.

use jiff::Timestamp;

use crate::account::Recorded;
use certwright_pki::KeyAlgorithm;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the CA which of the two keys the account has: for the account of the next key.
    AskWhichKey(Recorded),
    /// The CA does not know the next key: ask it for the account of the present one.
    AskForPresentKey(Recorded),
    /// Store a key that is to follow.
    StoreNextKey(KeyAlgorithm),
    /// Wait until no challenge is looked at.
    WaitForValidations {
        /// When to go on all the same.
        until: Timestamp,
    },
    /// Ask the CA to change the key.
    ChangeKey,
    /// Make the next key the account key.
    PromoteKey,
    /// Remove the next key: it is that of another account.
    DiscardNextKey,
    /// Nothing can be changed, as the issuers are.
    Refuse {
        /// A constant of [`issuer_reason`](certwright_api::issuer_reason).
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
}

//! The steps for an account.

use jiff::Timestamp;

use super::{Recorded, rollover};
use certwright_api::PreviousAccount;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the account can be used.
    Rest,
    /// Nothing, before `until` or a change of the spec.
    Wait {
        /// When to look again; `None` if only a change of the spec helps.
        until: Option<Timestamp>,
        /// A constant of [`issuer_reason`](certwright_api::issuer_reason).
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// Nothing, before `until`: the condition says what went wrong. `None`: not before the spec changes.
    Hold {
        /// When to look again.
        until: Option<Timestamp>,
    },
    /// Make a key and store it.
    MakeKey,
    /// Put a new key in the place of the one that is bound to another external account; the old one is kept beside it.
    ReplaceKey,
    /// Ask the CA whether it knows the key.
    LookUp,
    /// Read the MAC key.
    ReadMacKey,
    /// Register.
    Register,
    /// Take over the account that is on record: read its state from the CA.
    Adopt(Recorded),
    /// Write to the Secret of the key that the CA has confirmed its account.
    RecordAccount {
        /// URL of the account.
        url: String,
        /// Key id of the external account that it is bound to.
        key_id: Option<String>,
    },
    /// Write to the Secret that the account at this URL is deactivated.
    RecordEnd(String),
    /// Take note that the account on record is deactivated.
    NoteEnd(Recorded),
    /// Put back the key of an account that the issuer had before; the present one is kept beside it.
    ReturnTo(PreviousAccount),
    /// Tell the CA the new e-mail addresses.
    UpdateContact,
    /// Deactivate the account at this URL.
    Deactivate(String),
    /// Have the issuer's deletion wait for us.
    SetFinalizer,
    /// Have the issuer's deletion wait for us no more.
    DropFinalizer,
    /// Change the account key, or find out whether it was changed.
    Rollover(rollover::Step),
}

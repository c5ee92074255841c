//! The outcome of a step, and what follows from it.

use std::time::Duration;

use jiff::Timestamp;

use super::Recorded;
use crate::disposition::Disposition;
use crate::events::Event;
use certwright_acme::{AccountStatus, AcmeError};

/// An account, as the CA returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaAccount {
    /// Its URL.
    pub url: String,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// The e-mail addresses of the account. Some CAs do not return them.
    pub contact: Vec<String>,
    /// The terms of service that the CA's directory names.
    pub terms_of_service: Option<String>,
}

/// The CA's error about an account, when a Certificate used it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRefusal {
    /// Generation of the issuer whose account was used.
    pub generation: i64,
    /// What happens next.
    pub disposition: Disposition,
    /// The reason for the issuer's condition, if the CA's code is known.
    pub reason: Option<&'static str>,
    /// The CA's error, as a message.
    pub message: String,
}

/// Why an account was not deactivated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The CA rejected the request, or could not be reached.
    Refused(AcmeError),
    /// The CA did not answer in time.
    Timeout,
    /// The account key Secret does not hold the private key of the account under this key in its data.
    NoKey(String),
}

/// The outcome of a step.
#[derive(Debug)]
pub enum Outcome {
    /// There was nothing to do.
    Rested,
    /// There is something to wait for.
    Waited {
        /// As the step says.
        until: Option<Timestamp>,
        /// As the step says.
        reason: &'static str,
        /// As the step says.
        message: String,
    },
    /// The wait after the last failure is not over yet.
    Held {
        /// As the step says.
        until: Option<Timestamp>,
    },
    /// The Secret holds an account key: one that was just generated, or one that somebody else has stored in the meantime.
    KeyStored {
        /// Whether it was just generated.
        made: bool,
    },
    /// A new key has replaced the current one, whose account is replaced, too.
    KeyReplaced,
    /// The key of a previous account is the account key again.
    KeyRestored,
    /// The Secret no longer holds the key of the previous account with this URL.
    KeyLost(String),
    /// The CA was asked for the account of the key, which it may not have.
    LookedUp(Result<Option<CaAccount>, AcmeError>),
    /// The MAC key was read.
    MacKeyRead,
    /// The CA requires an external account binding, and the spec has none.
    ExternalAccountRequired,
    /// The CA was asked to register an account.
    Registered {
        /// The account, and whether it is new.
        answer: Result<(CaAccount, bool), AcmeError>,
        /// The contact that was sent.
        contact: Vec<String>,
        /// Whether an external account binding was sent.
        bound: bool,
    },
    /// The CA was asked for the state of the account recorded in the Secret.
    Adopted {
        /// The recorded account.
        recorded: Recorded,
        /// The CA's answer.
        answer: Result<CaAccount, AcmeError>,
    },
    /// The CA was asked whether the account is still valid.
    Checked {
        /// URL of the account.
        url: String,
        /// The state of the account.
        answer: Result<AccountStatus, AcmeError>,
    },
    /// The CA's answer is recorded in the account key Secret.
    Recorded,
    /// The Secret records that this account is deactivated.
    EndNoted(Recorded),
    /// The contact was sent to the CA.
    ContactUpdated {
        /// The contact that was sent.
        contact: Vec<String>,
        /// The CA's answer.
        answer: Result<(), AcmeError>,
    },
    /// The CA was asked to deactivate an account.
    Deactivated {
        /// URL of the account, if it is known.
        url: Option<String>,
        /// URL of the deactivated account, or `None` if the key has no account.
        answer: Result<Option<String>, Undone>,
    },
    /// The finalizer was added or removed.
    FinalizerWritten,
    /// The next key is stored in the Secret.
    NextKeyStored,
    /// The CA does not support key changes.
    KeyChangeNotOffered,
    /// The CA was not asked to change the key, because of this error.
    KeyNotChanged(AcmeError),
    /// The CA was asked to change the key. Its answer may be untrue.
    KeyChangeAsked(Result<(), AcmeError>),
    /// The CA may be validating challenges.
    WaitedForValidations {
        /// As the step says.
        until: Timestamp,
    },
    /// The CA was asked for the URL of the account of the next key.
    NextKeyLookedUp(Recorded, Result<Option<String>, AcmeError>),
    /// The CA was asked whether the current key has an account.
    PresentKeyLookedUp(Recorded, Result<bool, AcmeError>),
    /// The next key is now the account key in the Secret.
    KeyPromoted,
    /// The next key was removed from the Secret.
    NextKeyDiscarded,
    /// The rollover was refused.
    KeyChangeRefused {
        /// As the step says.
        reason: &'static str,
        /// As the step says.
        message: String,
    },
}

/// What follows from an outcome.
pub type Consequence = crate::consequence::Consequence<Report>;

/// Something to write, publish, log or count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Write the status, if it has changed.
    Write,
    /// Publish an event.
    Event(Event),
    /// Tell the account layer that the account can be used.
    InUse,
    /// Tell the account layer that the account has the key in the Secret.
    KeySettled,
    /// Wake the Certificates of the issuer, because it is known which key the account has.
    WakeCertificates,
    /// Wake the issuers that share the account key Secret.
    WakeSharing,
    /// Forget the verdict, which no longer counts.
    LiftRefusal,
    /// Log that the account could not be checked, and why.
    NotChecked(String),
    /// Log that the CA knew the key, and which account it has.
    Found(String),
    /// Log and count that the key was changed.
    KeyChanged {
        /// URL of the account.
        url: String,
        /// Thumbprint of the new key.
        thumbprint: String,
    },
    /// Log and count that the key was not changed.
    KeyNotChanged {
        /// Why.
        reason: &'static str,
        /// How many attempts have failed in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
        /// What happened.
        message: String,
    },
    /// Log which key the account has.
    KeyKnown {
        /// URL of the account.
        url: String,
        /// The key.
        known: super::rollover::Known,
    },
    /// Log that the account is deactivated.
    Deactivated(String),
    /// Log that the account was not deactivated.
    NotDeactivated {
        /// URL of the account.
        url: String,
        /// How many attempts have failed in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
        /// What happened.
        message: String,
    },
    /// Log that the account of a deleted issuer is kept, because another issuer uses it.
    Retained(String),
    /// Log and count that the account of a deleted issuer is left behind, because it could not be deactivated.
    LeftBehind(String),
}

/// A failure to record.
pub(super) struct Failure<'a> {
    pub disposition: Disposition,
    pub reason: Option<&'static str>,
    pub message: &'a str,
    pub retry_after: Option<Duration>,
}

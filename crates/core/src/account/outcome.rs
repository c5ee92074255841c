//! What came of a step, and what follows from it.

use std::time::Duration;

use jiff::Timestamp;

use super::Recorded;
use crate::disposition::Disposition;
use crate::events::Event;
use certwright_acme::{AccountStatus, AcmeError};

/// An account, as the CA describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaAccount {
    /// Its URL.
    pub url: String,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// The e-mail addresses that the CA has. Some CAs do not show them.
    pub contact: Vec<String>,
    /// The terms of service that the CA's directory names.
    pub terms_of_service: Option<String>,
}

/// What a CA said of an account when a Certificate used it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Generation of the issuer whose account was used.
    pub generation: i64,
    /// What happens next.
    pub disposition: Disposition,
    /// The reason for the issuer's condition, if the CA's code is known.
    pub reason: Option<&'static str>,
    /// The CA's words.
    pub message: String,
}

/// Why an account was not deactivated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The CA refused, or could not be reached.
    Refused(AcmeError),
    /// The CA did not answer in time.
    Timeout,
    /// The private key of the account is not under this key in the data of the account key Secret.
    NoKey(String),
}

/// What came of a step.
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
    /// The last failure is too recent.
    Held {
        /// As the step says.
        until: Option<Timestamp>,
    },
    /// An account key is in the Secret: one that was made just now, or one that somebody else has put there meanwhile.
    KeyStored {
        /// Whether it was made just now.
        made: bool,
    },
    /// A new key is in the place of the one that is bound to another external account.
    KeyReplaced,
    /// The key of a previous account is back in its place.
    KeyRestored,
    /// The key of the previous account with this URL is not in the Secret any more.
    KeyLost(String),
    /// The CA was asked for the account of the key.
    LookedUp(Result<Option<CaAccount>, AcmeError>),
    /// The MAC key was read.
    MacKeyRead,
    /// The CA does not register without an external account binding.
    ExternalAccountRequired,
    /// The CA was asked for an account.
    Registered {
        /// The account, and whether it is new.
        answer: Result<(CaAccount, bool), AcmeError>,
        /// The contact that was sent.
        contact: Vec<String>,
        /// Whether an external account binding was sent.
        bound: bool,
    },
    /// The CA was asked for the account on record.
    Adopted {
        /// The account on record.
        recorded: Recorded,
        /// What the CA said.
        answer: Result<CaAccount, AcmeError>,
    },
    /// What the CA said is on the account key Secret.
    Recorded,
    /// The Secret says that the account is deactivated.
    EndNoted(Recorded),
    /// The CA was sent the contact.
    ContactUpdated {
        /// The contact that was sent.
        contact: Vec<String>,
        /// What the CA said.
        answer: Result<(), AcmeError>,
    },
    /// The CA was asked to deactivate an account.
    Deactivated {
        /// URL of the account, if it is known.
        url: Option<String>,
        /// URL of the account that is deactivated, or `None` if the key has none.
        answer: Result<Option<String>, Undone>,
    },
    /// The finalizer was set or removed.
    FinalizerWritten,
    /// The next key is in the Secret.
    NextKeyStored,
    /// The CA does not offer key changes.
    KeyChangeNotOffered,
    /// The CA was not asked to change the key, for this reason.
    KeyNotChanged(AcmeError),
    /// The CA was asked to change the key; this is its answer, which may be untrue.
    KeyChangeAsked(Result<(), AcmeError>),
    /// Challenges are being validated.
    WaitedForValidations {
        /// As the step says.
        until: Timestamp,
    },
    /// The CA was asked for the URL of the account of the next key.
    NextKeyLookedUp(Recorded, Result<Option<String>, AcmeError>),
    /// The CA was asked whether the present key has an account.
    PresentKeyLookedUp(Recorded, Result<bool, AcmeError>),
    /// The next key is the account key in the Secret.
    KeyPromoted,
    /// The next key is removed from the Secret.
    NextKeyDiscarded,
    /// The key is not changed, as the step says.
    KeyChangeRefused {
        /// As the step says.
        reason: &'static str,
        /// As the step says.
        message: String,
    },
}

/// What follows: what to report, in this order, and when to decide again.
#[derive(Debug)]
pub struct Consequence {
    /// What to report.
    pub reports: Vec<Report>,
    /// What comes next.
    pub next: Next,
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Decide again at once.
    Decide,
    /// Decide again at this time, or when something changes.
    Wait(Option<Timestamp>),
}

/// What somebody has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The API server: the status, if it has changed.
    Write,
    /// Readers of events.
    Event(Event),
    /// The account layer: the account can be used.
    InUse,
    /// The account layer: the account has the key that the Secret has.
    KeySettled,
    /// The Certificates of the issuer: which key the account has is known.
    WakeCertificates,
    /// The other issuers with the same account key Secret.
    WakeSharing,
    /// What the CA said of the account when a Certificate used it does not count any more.
    LiftVerdict,
    /// The log: the account can be used.
    Registered {
        /// URL of the account.
        url: String,
        /// Whether it was found by its key.
        found: bool,
    },
    /// Log and metrics: the key was changed.
    KeyChanged {
        /// URL of the account.
        url: String,
        /// Thumbprint of the new key.
        thumbprint: String,
    },
    /// Log and metrics: the key was not changed.
    KeyNotChanged {
        /// Why.
        reason: &'static str,
        /// How often in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
        /// What happened.
        message: String,
    },
    /// The log: which key the account has.
    KeyKnown {
        /// URL of the account.
        url: String,
        /// Which one.
        known: super::rollover::Known,
    },
    /// The log: the account is deactivated.
    Deactivated(String),
    /// The log: the account was not deactivated.
    NotDeactivated {
        /// URL of the account.
        url: String,
        /// How often in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
        /// What happened.
        message: String,
    },
    /// The log: the account of a deleted issuer stays, since another issuer uses it.
    Retained(String),
    /// Log and metrics: the account of a deleted issuer stays, since it could not be deactivated.
    LeftBehind(String),
}

impl Consequence {
    pub(super) const DECIDE: Self = Self { reports: Vec::new(), next: Next::Decide };

    pub(super) fn decide(reports: Vec<Report>) -> Self {
        Self { reports, next: Next::Decide }
    }

    pub(super) fn wait(until: Option<Timestamp>, reports: Vec<Report>) -> Self {
        Self { reports, next: Next::Wait(until) }
    }

    /// The same, after `reports`.
    pub(super) fn after(self, mut reports: Vec<Report>) -> Self {
        reports.extend(self.reports);
        Self { reports, next: self.next }
    }
}

/// What a failure is made of.
pub(super) struct Failure<'a> {
    pub disposition: Disposition,
    pub reason: Option<&'static str>,
    pub message: &'a str,
    pub retry_after: Option<Duration>,
}

//! What came of a step, and what follows from it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{Challenged, Ending, Unseen};
use crate::deletion::Deletion;
use crate::disposition::Disposition;
use crate::events::Event;
use certwright_acme::{AccountStatus, AcmeError, Answer, Authorization, Challenge, NewOrder, Order};
use certwright_api::{DnsRecordStatus, RenewalInfoStatus};
use certwright_pki::{Chain, ChainError};

/// What came of a step.
#[derive(Debug)]
pub enum Outcome {
    /// There was nothing to do.
    Rested {
        /// As the step says.
        until: Option<Timestamp>,
    },
    /// There is something to wait for.
    Waited {
        /// As the step says.
        until: Option<Timestamp>,
        /// As the step says.
        reason: &'static str,
        /// As the step says.
        message: String,
        /// As the step says.
        makes_room: bool,
    },
    /// The last failure is not long enough ago.
    BackedOff {
        /// As the step says.
        until: Timestamp,
    },
    /// The status was written.
    Recorded,
    /// The CA was asked for the time.
    AskedTime(Result<(), AcmeError>),
    /// The CA was asked for the account.
    AskedAccount(Result<AccountStatus, AcmeError>),
    /// A place was asked for.
    Place {
        /// Whether there was one.
        taken: bool,
        /// How many an account has.
        per_account: usize,
    },
    /// The private key is in the Secret with this name.
    KeyStored(String),
    /// An order was asked for.
    OrderPlaced {
        /// What was asked for.
        asked: NewOrder,
        /// URL of the account.
        account: String,
        /// What the CA said.
        answer: Result<Answer<Order>, AcmeError>,
    },
    /// The CA was asked for the order.
    OrderRead(Result<Answer<Order>, AcmeError>),
    /// The CA was asked for the authorizations, each by its URL.
    AuthorizationsRead(Result<Vec<(String, Authorization)>, AcmeError>),
    /// The answers were to be put where the CA will look.
    Presented {
        /// To which challenges.
        challenged: Vec<Challenged>,
        /// What stood in the way.
        failures: Vec<Unseen>,
    },
    /// Nothing was done, since the account has another key than when the answers were presented.
    KeyChanged,
    /// It was tried to see the answers; these were not seen.
    SelfChecked(Vec<Unseen>),
    /// The CA was told to look at challenges, each by its URL.
    Answered(Vec<(String, Result<Answer<Challenge>, AcmeError>)>),
    /// No certificate signing request can be made.
    Unsignable(String),
    /// The request was sent.
    Finalized(Result<Answer<Order>, AcmeError>),
    /// The certificate was fetched.
    Downloaded(Result<Download, AcmeError>),
    /// The certificate is in the TLS Secret.
    Stored,
    /// The TLS Secret was written anew with the certificate that it had.
    Refreshed,
    /// The TLS Secret was written anew with the certificate that was kept.
    Restored,
    /// The CA was asked when the certificate is best renewed.
    Suggested(Option<RenewalInfoStatus>),
    /// The issuance ends.
    Ended(Ending),
    /// What it has left is removed.
    Removed,
    /// What is presented is taken away.
    Withdrawn,
    /// Providers were asked to remove records, which are in the order of the ledger; `None` for those that are not due.
    RecordsRemoved {
        /// What each provider said.
        removals: Vec<Option<Result<(), String>>>,
        /// The deletion of the Certificate.
        deleted: Option<Deletion>,
    },
}

/// A certificate that was fetched.
#[derive(Debug)]
pub struct Download {
    /// The chain, if it fits the order.
    pub chain: Result<Chain, ChainError>,
    /// The preferred issuer that no chain has, and those that there are.
    pub not_offered: Option<(String, BTreeSet<String>)>,
}

/// What follows: what is to be told, in this order, and when to decide again.
#[derive(Debug)]
pub struct Consequence {
    /// What is to be told.
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

/// What somebody is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The API server: the status, if it has changed.
    Write,
    /// Whoever reads events, once the status is written.
    Event(Event),
    /// The next in the queue: the place is free.
    LeavePlace,
    /// The issuer's own controller: the account is at fault.
    Account {
        /// What happens next.
        disposition: Disposition,
        /// The reason for the issuer's condition, if the CA's code is known.
        reason: Option<&'static str>,
        /// The CA's words.
        message: String,
    },
    /// Log and metrics: an order is placed, with this URL.
    Placed(String),
    /// Log and metrics: the issuance has failed.
    Failed {
        /// Why.
        reason: &'static str,
        /// How often in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
        /// What happened.
        message: String,
    },
    /// The log: the order is abandoned.
    Abandoned(String),
    /// The log: the CA stumbled, and is asked again at this time.
    AskedAgain(String, Timestamp),
    /// Log and metrics: a certificate was issued.
    Issued {
        /// What made the issuance due.
        why: &'static str,
        /// How long it took.
        took: Duration,
        /// The certificate's serial number.
        serial_number: String,
        /// The end of its validity.
        not_after: Timestamp,
    },
    /// Log and metrics: a record could not be removed, for this reason.
    LeftBehind(Box<DnsRecordStatus>, String),
}

impl Consequence {
    pub(super) fn decide(reports: Vec<Report>) -> Self {
        Self { reports, next: Next::Decide }
    }

    pub(super) fn wait(until: Option<Timestamp>, reports: Vec<Report>) -> Self {
        Self { reports, next: Next::Wait(until) }
    }

    pub(super) const DECIDE: Self = Self { reports: Vec::new(), next: Next::Decide };
}

//! The outcome of a step, and what follows from it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{CaaAnswer, CaaQuestion, Challenged, Ending, Unseen, ValueCount};
use crate::disposition::Disposition;
use crate::events::Event;
use crate::renewal::{NoSuggestion, RenewalInfoPoll};
use crate::revocation::{Attempt, Remark, Revocation};
use crate::revoked::Finding;
use crate::served;
use certwright_acme::{
    AccountStatus, AcmeError, AcmeResponse, Authorization, Challenge, NewOrder, Order, RenewalInfo,
};
use certwright_api::{DnsRecordStatus, IssuerRef, ListedReason, RevocationReason, RevocationStatus};
use certwright_pki::{Chain, ChainError};

/// The outcome of a step.
#[derive(Debug)]
pub enum Outcome {
    /// There was nothing to do.
    Rested {
        /// As the step says.
        until: Option<Timestamp>,
    },
    /// The step was to wait.
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
    /// The step was to back off.
    BackedOff {
        /// As the step says.
        until: Timestamp,
    },
    /// The status was written.
    Recorded,
    /// The CA's time was requested.
    AskedTime(Result<(), AcmeError>),
    /// The account was read from the CA.
    AskedAccount(Result<AccountStatus, AcmeError>),
    /// The CAA records of the names were looked up, unless the CA's directory could not be read.
    CheckedCaa(Box<CaaQuestion>, Result<CaaAnswer, AcmeError>),
    /// An order slot was requested.
    Slot {
        /// Whether there was a free one.
        taken: bool,
        /// How many an account has.
        per_account: usize,
        /// How many Certificates wait for one of this account's, with this one.
        waiting: usize,
    },
    /// The private key is in the Secret with this name.
    KeyStored(String),
    /// An order was placed.
    OrderPlaced {
        /// The request.
        asked: NewOrder,
        /// URL of the account.
        account: String,
        /// The CA's answer.
        answer: Result<AcmeResponse<Order>, AcmeError>,
    },
    /// The order was read.
    OrderRead(Result<AcmeResponse<Order>, AcmeError>),
    /// The authorizations were read, each by its URL.
    AuthorizationsRead(Result<Vec<(String, Authorization)>, AcmeError>),
    /// The answers were to be presented.
    Presented {
        /// The challenges.
        challenged: Vec<Challenged>,
        /// What failed.
        failures: Vec<Unseen>,
    },
    /// Nothing was done, because the account key has changed since the answers were presented.
    KeyChanged,
    /// The self-check ran.
    SelfChecked {
        /// These answers were not visible.
        failures: Vec<Unseen>,
        /// How many TXT records there are at the names of those that were.
        counts: Vec<ValueCount>,
        /// When the first of the persistent records ends.
        persist_until: Option<Timestamp>,
    },
    /// The CA was told to validate challenges, each by its URL.
    Answered(Vec<(String, Result<AcmeResponse<Challenge>, AcmeError>)>),
    /// Creating the certificate signing request failed.
    Unsignable(String),
    /// The certificate signing request was sent.
    Finalized(Result<AcmeResponse<Order>, AcmeError>),
    /// The certificate was downloaded.
    Downloaded(Result<Download, AcmeError>),
    /// The certificate is in the TLS Secret.
    Stored,
    /// The TLS Secret was rewritten with its current certificate.
    Refreshed,
    /// The TLS Secret was restored from the backup.
    Restored,
    /// The CA was asked for renewal information; `None` if it has no such service.
    RenewalInfoRead(Result<Option<AcmeResponse<RenewalInfo>>, NoSuggestion>),
    /// The issuance ends.
    Ended(Ending),
    /// Its leftovers are removed.
    Removed,
    /// Presented answers are removed.
    Withdrawn,
    /// Providers were asked to remove these records, and answered this.
    RecordsRemoved(Vec<(DnsRecordStatus, Result<(), String>)>),
    /// The finalizer is removed.
    Released,
    /// The ledger of certificates that may have to be revoked has changed, as the step says.
    LedgerKept(Box<RevocationStatus>, Option<Remark>),
    /// The CA was asked to revoke a certificate.
    RevocationAsked(Box<Revocation>, Attempt),
    /// A revocation is given up, as the step says.
    RevocationGivenUp(Box<Revocation>, String),
    /// What the issuer's revocation list says is to be recorded, as the step says.
    RevokedRecorded(Box<Finding>),
    /// The issuance goes on with this issuer of the spec, as the step says.
    IssuerChosen(IssuerRef),
    /// The revocation list was fetched, or could not be: the next snapshot has what it says.
    RevocationListRead,
    /// It was checked what servers show, or this is no longer checked.
    ServedRecorded(Option<Box<served::Finding>>),
}

/// A downloaded certificate.
#[derive(Debug)]
pub struct Download {
    /// The chain, if it matches the order.
    pub chain: Result<Chain, ChainError>,
    /// The preferred issuer, if no chain has it, and the issuers in the chains.
    pub not_offered: Option<(String, BTreeSet<String>)>,
}

/// What follows from an outcome.
pub type Consequence = crate::consequence::Consequence<Report>;

/// A report, and who receives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The API server: the status, if it has changed.
    Write,
    /// An event, after the status is written.
    Event(Event),
    /// The next Certificate in the queue: the order slot is free.
    LeaveSlot,
    /// The issuer's own controller: the account is the cause.
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
        /// The number of failures in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
    },
    /// The log: the CA rejected the order with this error, and is asked again without the field `replaces`.
    ReplacesRejected(String),
    /// The log: the CA suggests a renewal time.
    Suggested {
        /// The time, chosen from the CA's window.
        time: Timestamp,
        /// The page on which the CA explains the window.
        explanation: Option<String>,
    },
    /// The log: the CA suggests no renewal time, and why.
    NotSuggested(String),
    /// The memory of the process: the CA was asked for renewal information.
    RenewalInfoAsked(RenewalInfoPoll),
    /// The log: the order is abandoned.
    Abandoned(String),
    /// The log: the CA failed temporarily, and is asked again at this time.
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
        /// Whether a fallback issuer has issued it.
        by_fallback: bool,
    },
    /// The log: this issuer could not issue, and the other one is tried.
    FellBack(IssuerRef, IssuerRef),
    /// Metrics: the Secret was lost, and has its last certificate again.
    Restored,
    /// Log and metrics: a record could not be removed, with the cause.
    LeftBehind(Box<DnsRecordStatus>, String),
    /// Log and metrics: a certificate is revoked.
    Revoked {
        /// The certificate's serial number.
        serial_number: String,
        /// The revocation reason.
        why: RevocationReason,
    },
    /// Log and metrics: a certificate is not revoked yet.
    NotRevoked {
        /// The certificate's serial number.
        serial_number: String,
        /// The revocation reason.
        why: RevocationReason,
        /// What happened.
        words: String,
    },
    /// Log and metrics: a certificate is not revoked, and that is not retried.
    RevocationGivenUp {
        /// The certificate's serial number.
        serial_number: String,
        /// The revocation reason.
        why: RevocationReason,
        /// What happened.
        words: String,
    },
    /// Log and metrics: the CA has revoked the certificate without being asked by the operator.
    RevokedByCa {
        /// The certificate's serial number.
        serial_number: String,
        /// The reason that the revocation list gives.
        why: ListedReason,
    },
}

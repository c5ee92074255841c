//! The outcome of a step, and what follows from it.

use jiff::Timestamp;

use super::Failure;
use crate::events::Event;
use crate::issuance::{Challenged, Unseen, ValueCount};
use certwright_acme::{AcmeError, AcmeResponse, Authorization, Challenge};
use certwright_api::DnsRecordStatus;

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
        until: Timestamp,
        /// As the step says.
        name: String,
        /// As the step says.
        message: String,
    },
    /// The CA was asked for an authorization; it does not offer pre-authorization if there is no answer.
    Requested {
        /// The name.
        name: String,
        /// The CA's answer.
        answer: Result<Option<AcmeResponse<Authorization>>, AcmeError>,
    },
    /// The authorization was read.
    Read {
        /// The name.
        name: String,
        /// The CA's answer.
        answer: Result<AcmeResponse<Authorization>, AcmeError>,
    },
    /// The TXT record was to be added.
    Presented {
        /// The challenge.
        challenged: Box<Challenged>,
        /// What failed.
        failures: Vec<Unseen>,
    },
    /// The self-check ran.
    SelfChecked {
        /// The record was not visible.
        failures: Vec<Unseen>,
        /// How many TXT records there are at its name.
        counts: Vec<ValueCount>,
    },
    /// The CA was told to validate.
    Answered(Result<AcmeResponse<Challenge>, AcmeError>),
    /// A name could not be proved, as the step says.
    Failed(Failure),
    /// A pending authorization was to be deactivated. If that failed, it expires at the CA.
    GivenUp,
    /// Providers were asked to remove these records, and answered this.
    RecordsRemoved(Vec<(DnsRecordStatus, Result<(), String>)>),
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
    /// Log and metrics: an authorization is valid.
    Authorized {
        /// The name.
        name: String,
        /// When it expires, if the CA says so.
        expires: Option<Timestamp>,
    },
    /// Log and metrics: a name could not be proved.
    NotAuthorized {
        /// What happened.
        failure: Failure,
        /// How many attempts have failed in a row.
        attempts: i32,
        /// When the next attempt is made.
        until: Timestamp,
    },
    /// Log and metrics: a record could not be removed, with the cause.
    LeftBehind(Box<DnsRecordStatus>, String),
}

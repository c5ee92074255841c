//! The steps of an issuance.

use std::time::Duration;

use jiff::Timestamp;

use super::{CaaQuestion, Challenged, Failure, Leftovers, Rehearsal};
use crate::reissue::Urgency;
use crate::revoked::Finding;
use crate::spec::ValidatedCertificate;
use crate::{records, revocation, served};
use certwright_acme::NewOrder;
use certwright_api::IssuerRef;
use certwright_pki::{Chain, KeyAlgorithm, KeyEncoding, SigningRequest, Subject};

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum IssuanceStep {
    /// Nothing, before `until`; `None` if only a change in the cluster can make an issuance due.
    Rest {
        /// The renewal time, or an earlier time at which something else is due, such as the removal of a backup.
        until: Option<Timestamp>,
    },
    /// Nothing, before `until` or a change; the condition `Issuing` says why.
    Wait {
        /// When to look again; `None` if a watch reports the change.
        until: Option<Timestamp>,
        /// A constant of [`certificate_reason`](certwright_api::certificate_reason).
        reason: &'static str,
        /// A sentence for people.
        message: String,
        /// Whether the order gives up its slot meanwhile.
        makes_room: bool,
    },
    /// Nothing, before `until`: the operator backs off after the failure in the condition.
    BackOff {
        /// `status.nextAttemptTime`.
        until: Timestamp,
    },
    /// Write the status: it must be recorded before the next step.
    Record,
    /// Ask the CA for its time, before an order that is due because of time.
    AskTime,
    /// Read the account from the CA: it returned an error that may mean that the account is deactivated.
    AskAccount,
    /// Look up the CAA records of the names, before an order is placed.
    CheckCaa(Box<CaaQuestion>),
    /// Take one of the account's order slots.
    TakeSlot(Urgency),
    /// Generate a private key and store it.
    StoreKey(KeyAlgorithm, KeyEncoding),
    /// Place an order.
    PlaceOrder(Box<NewOrder>),
    /// Read the order with this URL.
    ReadOrder(String),
    /// Read the order's authorizations, with these URLs.
    ReadAuthorizations(Vec<String>),
    /// Record the challenges, then present the answers.
    Present(Vec<Challenged>),
    /// Check whether the answers are visible.
    SelfCheck,
    /// Tell the CA to validate the challenges with these URLs.
    Answer(Vec<String>),
    /// Send the certificate signing request to this URL.
    Finalize(String, Box<Request>),
    /// Fetch the certificate from this URL, choose the chain, and check that it is what was requested.
    Download(String, Box<Request>),
    /// Write the TLS Secret, and record the renewal request that this fulfils.
    StoreCertificate {
        /// The spec that the Secret is written for.
        wanted: Box<ValidatedCertificate>,
        /// The certificate.
        chain: Box<Chain>,
        /// Its private key.
        key: KeyOfOrder,
    },
    /// Ask the CA for renewal information.
    AskForRenewalInfo {
        /// Which certificate it is about.
        certificate_id: String,
        /// How long to wait for the answer, if something else waits for it.
        patience: Option<Duration>,
    },
    /// No issuance is due: remove what the last one left, and forget its failures. This is not done earlier, because a
    /// certificate that is due again as soon as it is stored is a failure, too.
    CleanUp,
    /// Clean up; a current order continues.
    Tidy(records::CleanupTask),
    /// Process pending revocations.
    Revocation(revocation::RevocationTask),
    /// Rewrite the TLS Secret with its current certificate: its template, or the encoding of its key, has changed.
    RefreshSecret(Box<ValidatedCertificate>),
    /// Rewrite the lost TLS Secret from the backup.
    RestoreSecret(Box<ValidatedCertificate>),
    /// The order cannot be used: remove what it left, and continue without it.
    Abandon {
        /// Why.
        message: String,
    },
    /// The issuance has failed: record that, and remove what it left.
    Fail(Failure),
    /// The issuance has ended: remove what is presented, and these leftovers.
    Remove(Leftovers),
    /// Go on with this issuer of the spec.
    UseIssuer(IssuerRef),
    /// The rehearsal has ended: remove what it left, and go on with the first issuer.
    EndRehearsal(Rehearsal),
    /// Record what the issuer's revocation list says about the certificate in the Secret.
    RecordRevoked(Box<Finding>),
    /// Fetch the revocation list with this URL. Without an answer in time, the issuance goes on; it is fetched again if that fails.
    ReadRevocationList {
        /// Its URL.
        url: String,
        /// How long to wait for the answer.
        patience: Duration,
    },
    /// Record what servers show of the certificate in the Secret; `None` if that is no longer checked.
    RecordServed(Option<Box<served::Finding>>),
}

/// The private key of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyOfOrder {
    /// The one that was generated for this issuance.
    Generated,
    /// The one in the TLS Secret, which is used again.
    Current,
    /// One that is kept elsewhere, for which there is a certificate signing request.
    Elsewhere(SigningRequest),
}

/// What a certificate is requested for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its private key.
    pub key: KeyOfOrder,
    /// Its names.
    pub subject: Subject,
}

/// Waits, and keeps its order slot.
pub(super) fn wait(until: Option<Timestamp>, reason: &'static str, message: String) -> IssuanceStep {
    IssuanceStep::Wait { until, reason, message, makes_room: false }
}

/// Waits for something that may take long, and gives up its order slot.
pub(super) fn make_room(until: Option<Timestamp>, reason: &'static str, message: String) -> IssuanceStep {
    IssuanceStep::Wait { until, reason, message, makes_room: true }
}

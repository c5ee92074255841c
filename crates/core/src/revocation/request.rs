//! Which revocations are requested, and what is to be done about them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::deletion::Deletion;
use certwright_api::{
    CertificateRevocation, RevocableCertificate, RevocationReason, RevocationSpec, RevocationStatus,
};

/// How long a deletion waits for the CA, unless the spec sets another time.
pub(super) const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// Which revocations are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationRequests<'a> {
    /// The revocation reason to use when the Certificate is deleted.
    pub on_delete: Option<RevocationReason>,
    /// The revocation reason to use for a replaced certificate.
    pub on_replace: Option<RevocationReason>,
    /// How long a deletion waits for the CA.
    pub deletion_timeout: SignedDuration,
    /// The annotation that requests a revocation now.
    pub request: Option<&'a str>,
    /// The deletion of the Certificate, if it is being deleted.
    pub deleted: Option<Deletion>,
}

impl Default for RevocationRequests<'_> {
    fn default() -> Self {
        Self {
            on_delete: None,
            on_replace: None,
            deletion_timeout: DELETION_TIMEOUT,
            request: None,
            deleted: None,
        }
    }
}

impl<'a> RevocationRequests<'a> {
    /// From a spec, an annotation, and the deletion of the Certificate.
    pub fn new(spec: Option<&RevocationSpec>, request: Option<&'a str>, deleted: Option<Deletion>) -> Self {
        Self {
            on_delete: spec.and_then(|spec| spec.on_delete.reason()),
            on_replace: spec.and_then(|spec| spec.on_replace.reason()),
            deletion_timeout: spec
                .and_then(|spec| spec.deletion_timeout)
                .map_or(DELETION_TIMEOUT, SignedDuration::from),
            request,
            deleted,
        }
    }

    /// When the deletion no longer waits for the CA.
    pub(super) fn end_of_deletion(&self) -> Option<Timestamp> {
        Some(self.deleted?.end(self.deletion_timeout))
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum RevocationTask {
    /// Write this ledger into the status.
    KeepLedger(Box<RevocationStatus>, Option<Remark>),
    /// Ask the CA to revoke a certificate, for at most this long.
    Revoke(Box<Revocation>, Duration),
    /// Give up revoking a certificate, for the reason in the text.
    GiveUp(Box<Revocation>, String),
}

/// A revocation that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Revocation {
    /// The certificate, as it is in the ledger.
    pub certificate: RevocableCertificate,
    /// The progress of its revocation.
    pub progress: CertificateRevocation,
}

impl Revocation {
    /// The revocation of a certificate in the ledger, if it has not ended.
    pub(super) fn of(held: &RevocableCertificate) -> Option<Self> {
        Some(Self { certificate: held.clone(), progress: held.open()?.clone() })
    }
}

/// What to report about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It names an invalid reason.
    InvalidReason(String),
    /// There is no certificate.
    NothingToRevoke,
    /// It was withdrawn after it had been rejected.
    TakenBack,
}

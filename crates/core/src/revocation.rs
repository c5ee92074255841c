//! The ledger of certificates that may have to be revoked: which ones are revoked, when, and for how long that is tried.
//!
//! A certificate is in `status.revocation` while it is in the Secret, so that it can be revoked when it is no longer there:
//! when the next one has replaced it, or the Secret is gone. The spec, an annotation, the deletion of the Certificate and the
//! content of the Secret determine which certificates are revoked. An entry stays in the ledger until the CA has revoked the
//! certificate or the operator has given up. While there is a ledger, the Certificate has a finalizer.

mod apply;
mod attempt;

pub use attempt::{Attempt, NotByAccount, NotByKey, Signer};

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::deletion::Deletion;
use crate::issuance::{IssuerView, Situation};
use crate::reissue::SecretView;
use crate::renewal::{whole_seconds, whole_seconds_up};
use certwright_api::{
    Base64, CertificateRevocation, CertificateStatus, IssuerKind, RevocableCertificate, RevocationCause,
    RevocationReason, RevocationSpec, RevocationStatus,
};
use certwright_pki::Leaf;

/// How long an attempt may take, if no deletion waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long to retry a failing revocation, if no deletion waits for it.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a deletion waits for the CA, unless the spec sets another time.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// Bounds of the retry interval while a deletion waits for the CA.
const DELETION_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// The maximum total size of the certificates in a ledger, in bytes, so that the object can be stored.
const LARGEST_LEDGER: usize = 256 * 1024;

/// Which revocations are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
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

impl Default for Asked<'_> {
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

impl<'a> Asked<'a> {
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

    fn end_of_deletion(&self) -> Option<Timestamp> {
        Some(self.deleted?.end(self.deletion_timeout))
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Chore {
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
    fn of(held: &RevocableCertificate) -> Option<Self> {
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

/// What to do immediately.
pub fn next(situation: &Situation<'_>, now: Timestamp) -> Option<Chore> {
    let ledger = situation.state.status.revocation.clone().unwrap_or_default();
    let current = Current::of(situation);
    let (kept, remark) = kept(ledger.clone(), &situation.revocation, current.as_ref(), now);
    if kept != ledger {
        return Some(Chore::KeepLedger(Box::new(kept), remark));
    }
    let mut open = ledger.certificates.iter().filter(|held| held.open().is_some());
    let size: usize = ledger.certificates.iter().map(|held| held.certificate.0.len()).sum();
    if size > LARGEST_LEDGER {
        let oldest = open.next().and_then(Revocation::of)?;
        let words = "too many certificates are waiting to be revoked, and this is the oldest".to_owned();
        return Some(Chore::GiveUp(Box::new(oldest), words));
    }
    let is_due = |held: &RevocableCertificate| next_time(held).is_none_or(|time| time <= now);
    let due = open.find(|held| is_due(held)).and_then(Revocation::of)?;
    Some(Chore::Revoke(Box::new(due), patience(&situation.revocation, now)))
}

/// The certificate in the Secret, as a new entry of the ledger.
pub fn in_secret(situation: &Situation<'_>) -> Option<RevocableCertificate> {
    Current::of(situation).map(|current| current.held())
}

/// When a CA is next asked to revoke a certificate.
pub fn next_attempt(status: &CertificateStatus) -> Option<Timestamp> {
    let held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    held.filter_map(next_time).min()
}

fn next_time(held: &RevocableCertificate) -> Option<Timestamp> {
    Some(held.open()?.next_attempt_time.as_ref()?.0)
}

/// Whether a certificate may still have to be revoked, so that the Certificate must keep its finalizer.
pub fn holds(status: &CertificateStatus) -> bool {
    let mut held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    held.any(|held| !held.has_ended())
}

/// The reason for which the certificate in a Secret is or will be revoked.
pub fn reason_of(status: &CertificateStatus, secret: &SecretView) -> Option<RevocationReason> {
    let serial_number = &secret.leaf()?.serial_number;
    let mut held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    Some(held.find(|held| held.serial_number == *serial_number)?.revocation.as_ref()?.reason)
}

/// How long one attempt may take: at most the rest of the time that a deletion may wait, but at least a second.
fn patience(asked: &Asked<'_>, now: Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    let Some(end) = asked.end_of_deletion() else { return PATIENCE };
    PATIENCE.min(Duration::try_from(end.duration_since(now)).unwrap_or_default().max(LEAST))
}

/// The certificate in the Secret. It counts only together with its own key: otherwise somebody could store another owner's
/// certificate there and have it revoked.
struct Current<'a> {
    leaf: &'a Leaf,
    issuer_kind: IssuerKind,
    issuer_name: &'a str,
    account: Option<&'a str>,
}

impl<'a> Current<'a> {
    fn of(situation: &Situation<'a>) -> Option<Self> {
        let secret = situation.secret;
        let leaf = secret.leaf()?;
        let (_, public_key) = secret.key.as_ref()?.as_ref().ok()?;
        let (name, kind) = secret.issuer.as_ref()?;
        let is_ours = secret.certificate_name.as_deref() == Some(situation.name);
        if !is_ours || *public_key != leaf.public_key_der {
            return None;
        }
        let issuer_kind = [IssuerKind::Issuer, IssuerKind::ClusterIssuer]
            .into_iter()
            .find(|known| known.as_str() == kind)?;
        let wanted = situation.wanted.as_ref().ok();
        let same_issuer =
            wanted.is_some_and(|wanted| (&wanted.issuer_name, wanted.issuer_kind) == (name, issuer_kind));
        let account = match situation.issuer {
            IssuerView::Ready { account, .. } if same_issuer => Some(account.as_str()),
            _ => None,
        };
        Some(Self { leaf, issuer_kind, issuer_name: name, account })
    }

    fn is(&self, held: &RevocableCertificate) -> bool {
        held.serial_number == self.leaf.serial_number
    }

    fn held(&self) -> RevocableCertificate {
        RevocableCertificate {
            serial_number: self.leaf.serial_number.clone(),
            not_after: Time(self.leaf.not_after),
            certificate: Base64(self.leaf.der.clone()),
            issuer_kind: self.issuer_kind,
            issuer_name: self.issuer_name.to_owned(),
            account: self.account.map(str::to_owned),
            revocation: None,
            seal: None,
        }
    }
}

/// The updated ledger, and what to report about a new request.
fn kept(
    mut ledger: RevocationStatus,
    asked: &Asked<'_>,
    current: Option<&Current<'_>>,
    now: Timestamp,
) -> (RevocationStatus, Option<Remark>) {
    let is_current = |held: &RevocableCertificate| current.is_some_and(|current| current.is(held));
    // A revoked certificate stays until it is replaced: it must not count as valid if it reappears.
    ledger.certificates.retain(|held| {
        let is_past = held.has_ended() && current.is_some() && !is_current(held);
        now <= held.not_after.0 && !is_past
    });
    let is_new = asked.request.is_some() && asked.request != ledger.observed_request.as_deref();
    let requested = asked.request.filter(|_| is_new).map(reason_named);
    let may_be_revoked = asked.on_delete.is_some() || asked.on_replace.is_some();
    if let Some(current) = current.filter(|current| now <= current.leaf.not_after) {
        match ledger.certificates.iter_mut().find(|held| current.is(held)) {
            Some(held) if held.account.is_none() => held.account = current.account.map(str::to_owned),
            Some(_) => {}
            None if may_be_revoked || matches!(requested, Some(Ok(_))) => {
                ledger.certificates.push(current.held());
            }
            None => {}
        }
    }
    let remark = match requested {
        Some(Ok(reason)) => {
            let meant =
                |held: &&mut RevocableCertificate| if current.is_some() { is_current(held) } else { true };
            let mut found = false;
            for held in ledger.certificates.iter_mut().filter(meant) {
                found = true;
                if !held.has_ended() {
                    held.revocation = Some(begun(reason, RevocationCause::Requested, now));
                }
            }
            (!found).then_some(Remark::NothingToRevoke)
        }
        Some(Err(value)) => Some(Remark::InvalidReason(value)),
        None if asked.request.is_none() && ledger.observed_request.is_some() => Some(Remark::TakenBack),
        None => None,
    };
    ledger.observed_request = asked.request.map(str::to_owned);
    ledger.certificates.retain_mut(|held| {
        if let Some(revocation) = &mut held.revocation {
            hasten(revocation, asked, now);
            return true;
        }
        let (reason, cause) = match asked.deleted {
            Some(_) => (asked.on_delete, RevocationCause::Deleted),
            None if current.is_some() && !is_current(held) => (asked.on_replace, RevocationCause::Replaced),
            None => return may_be_revoked,
        };
        held.revocation = reason.map(|reason| begun(reason, cause, now));
        held.revocation.is_some()
    });
    (ledger, remark)
}

/// The reason that an annotation names.
fn reason_named(value: &str) -> Result<RevocationReason, String> {
    let named = RevocationReason::ALL.iter().find(|reason| reason.as_str() == value);
    named.copied().ok_or_else(|| value.to_owned())
}

fn begun(reason: RevocationReason, cause: RevocationCause, now: Timestamp) -> CertificateRevocation {
    let now = Time(whole_seconds(now));
    CertificateRevocation {
        reason,
        cause,
        since: now.clone(),
        failed_attempts: None,
        next_attempt_time: Some(now),
        result: None,
        message: None,
    }
}

/// If the next attempt is after the end of a deletion's wait, it is made now.
fn hasten(revocation: &mut CertificateRevocation, asked: &Asked<'_>, now: Timestamp) {
    let (Some(end), Some(next)) = (asked.end_of_deletion(), &mut revocation.next_attempt_time) else {
        return;
    };
    if next.0 > whole_seconds_up(end) {
        *next = Time(whole_seconds(now));
    }
}

#[cfg(test)]
mod tests;

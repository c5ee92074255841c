//! The ledger: which certificates it holds, and for which reason they are revoked.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Remark, RevocationRequests};
use crate::renewal::{whole_seconds, whole_seconds_up};
use certwright_api::{
    Base64, CertificateRevocation, CertificateStatus, IssuerKind, RevocableCertificate, RevocationCause,
    RevocationReason, RevocationStatus,
};
use certwright_pki::Leaf;

/// When a CA is next asked to revoke a certificate.
pub fn next_attempt(status: &CertificateStatus) -> Option<Timestamp> {
    let held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    held.filter_map(next_time).min()
}

/// When a CA is next asked to revoke this certificate.
pub(super) fn next_time(held: &RevocableCertificate) -> Option<Timestamp> {
    Some(held.open()?.next_attempt_time.as_ref()?.0)
}

/// Whether a certificate may still have to be revoked, so that the Certificate must keep its finalizer.
pub fn holds(status: &CertificateStatus) -> bool {
    let mut held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    held.any(|held| !held.has_ended())
}

/// The reason for which the certificate with this serial number is or will be revoked.
pub fn reason_of_serial(status: &CertificateStatus, serial_number: &str) -> Option<RevocationReason> {
    let mut held = status.revocation.iter().flat_map(|ledger| &ledger.certificates);
    Some(held.find(|held| held.serial_number == serial_number)?.revocation.as_ref()?.reason)
}

/// The certificate in the Secret. It counts only together with its own key: otherwise somebody could store another owner's
/// certificate there and have it revoked.
pub(super) struct Current<'a> {
    pub(super) leaf: &'a Leaf,
    pub(super) issuer_kind: IssuerKind,
    pub(super) issuer_name: &'a str,
    pub(super) account: Option<&'a str>,
}

impl Current<'_> {
    fn is(&self, held: &RevocableCertificate) -> bool {
        held.serial_number == self.leaf.serial_number
    }

    /// The certificate as a new entry of the ledger.
    pub(super) fn held(&self) -> RevocableCertificate {
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
pub(super) fn kept(
    mut ledger: RevocationStatus,
    asked: &RevocationRequests<'_>,
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
fn hasten(revocation: &mut CertificateRevocation, asked: &RevocationRequests<'_>, now: Timestamp) {
    let (Some(end), Some(next)) = (asked.end_of_deletion(), &mut revocation.next_attempt_time) else {
        return;
    };
    if next.0 > whole_seconds_up(end) {
        *next = Time(whole_seconds(now));
    }
}

//! Certificates that the CA revoked without being asked by the operator: an administrator revoked it in the CA's portal, or the CA
//! revoked the account, or all certificates that it issued by mistake.
//!
//! The evidence is an entry in the revocation list of the certificate's issuer, with that issuer's signature. It is recorded in
//! `status.revoked`, and stays there after the certificate is replaced. A certificate on hold may become valid again, so it is
//! reported and not replaced.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::reissue::{Revoked, SecretView};
use crate::renewal::{early_wait, is_early, whole_seconds, whole_seconds_up};
use crate::revocation;
use certwright_api::{
    CertificateStatus, ListedReason, RevocationReason, RevocationResult, RevokedPolicy, RevokedStatus,
};
use certwright_pki::Leaf;

/// What the issuer's revocation list says about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The certificate's serial number.
    pub serial_number: String,
    /// URL of the list.
    pub list_url: String,
    /// When it was revoked, and why; `None` if it is not on the list.
    pub entry: Option<(Timestamp, ListedReason)>,
}

/// Why the certificate in a Secret must be replaced, if it is revoked.
pub fn why(status: &CertificateStatus, secret: &SecretView, policy: RevokedPolicy) -> Option<Revoked> {
    let serial = &secret.leaf()?.serial_number;
    if let Some(reason) = revocation::reason_of_serial(status, serial) {
        return Some(Revoked::ByOperator(reason));
    }
    by_ca(status, serial, policy).map(Revoked::ByCa)
}

/// The reason for which the CA has revoked the certificate with this serial number, if it must be replaced.
pub fn by_ca(status: &CertificateStatus, serial_number: &str, policy: RevokedPolicy) -> Option<ListedReason> {
    let known = recorded(status, serial_number).filter(|_| policy == RevokedPolicy::Reissue)?;
    (!is_on_hold(known)).then_some(known.reason)
}

/// Whether the next certificate needs another private key than the one in a Secret: the key is, or may be, compromised. An
/// administrator who revokes a certificate rarely tells the CA why.
pub fn needs_new_key(status: &CertificateStatus, secret: &SecretView) -> bool {
    let Some(leaf) = secret.leaf() else { return false };
    match revocation::reason_of_serial(status, &leaf.serial_number) {
        Some(reason) => reason == RevocationReason::KeyCompromise,
        None => recorded(status, &leaf.serial_number).is_some_and(|known| !is_on_hold(known)),
    }
}

/// What is recorded about the certificate with this serial number.
pub fn recorded<'a>(status: &'a CertificateStatus, serial_number: &str) -> Option<&'a RevokedStatus> {
    status.revoked.as_ref().filter(|known| known.serial_number == serial_number)
}

/// Whether it is only suspended.
pub fn is_on_hold(known: &RevokedStatus) -> bool {
    known.reason == ListedReason::CertificateHold
}

/// Whether a finding about the certificate with this serial number is not recorded yet. What the operator has revoked itself is no
/// news.
pub fn is_news(status: &CertificateStatus, serial_number: &str, finding: &Finding) -> bool {
    let last = status.revocation.as_ref().and_then(|ledger| ledger.last.as_ref());
    let by_operator = revocation::reason_of_serial(status, serial_number).is_some()
        || last.is_some_and(|last| {
            last.serial_number == serial_number && last.result == RevocationResult::Revoked
        });
    if finding.serial_number != serial_number || by_operator {
        return false;
    }
    match (&finding.entry, recorded(status, serial_number)) {
        (Some((time, reason)), Some(known)) => {
            (known.reason, known.revocation_time.0) != (*reason, whole_seconds(*time))
        }
        (Some(_), None) => true,
        // Only a hold can be lifted.
        (None, known) => known.is_some_and(is_on_hold),
    }
}

/// The record of a certificate that was found on the list, after the one `before`.
pub(crate) fn record(
    before: Option<&RevokedStatus>,
    leaf: &Leaf,
    finding: &Finding,
    now: Timestamp,
) -> Option<RevokedStatus> {
    let (time, reason) = finding.entry?;
    let same = before.filter(|before| before.serial_number == finding.serial_number);
    let early_revocations = match same {
        Some(same) => same.early_revocations,
        None => is_early(leaf, time).then(|| 1 + before.map_or(0, |before| series(before, leaf))),
    };
    Some(RevokedStatus {
        serial_number: finding.serial_number.clone(),
        reason,
        revocation_time: Time(whole_seconds(time)),
        list_url: finding.list_url.clone(),
        found: same.map_or_else(|| Time(whole_seconds(now)), |same| same.found.clone()),
        early_revocations,
    })
}

/// How many certificates in a row, up to the predecessor of `leaf`, were revoked early. A predecessor that was revoked long before
/// `leaf` was issued does not count: another certificate was in use meanwhile.
fn series(before: &RevokedStatus, leaf: &Leaf) -> i32 {
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    let is_recent = leaf.not_before.duration_since(before.found.0) < lifetime / 2;
    before.early_revocations.filter(|_| is_recent).unwrap_or_default()
}

/// When a revoked certificate is replaced, if its predecessors were also revoked early. A CA that revokes every certificate
/// immediately therefore gets one order immediately, and fewer and fewer further ones.
pub(crate) fn replaced_at(known: &RevokedStatus, lifetime: SignedDuration) -> Timestamp {
    let wait = early_wait(known.early_revocations.unwrap_or_default().saturating_sub(1), lifetime);
    whole_seconds_up(known.found.0.saturating_add(wait).unwrap_or(known.found.0))
}

#[cfg(test)]
mod tests;

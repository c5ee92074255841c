//! Decides what to do about revocations.

use std::time::Duration;

use jiff::Timestamp;

use super::ledger::{Current, kept, next_time};
use super::{Revocation, RevocationRequests, RevocationTask};
use crate::issuance::{IssuerView, Situation};
use certwright_api::{IssuerKind, RevocableCertificate};

/// How long an attempt may take, if no deletion waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// The maximum total size of the certificates in a ledger, in bytes, so that the object can be stored.
pub(super) const LARGEST_LEDGER: usize = 256 * 1024;

/// What to do immediately.
pub fn next(situation: &Situation<'_>, now: Timestamp) -> Option<RevocationTask> {
    let ledger = situation.state.status.revocation.clone().unwrap_or_default();
    let current = self::current(situation);
    let (kept, remark) = kept(ledger.clone(), &situation.revocation, current.as_ref(), now);
    if kept != ledger {
        return Some(RevocationTask::KeepLedger(Box::new(kept), remark));
    }
    let mut open = ledger.certificates.iter().filter(|held| held.open().is_some());
    let size: usize = ledger.certificates.iter().map(|held| held.certificate.0.len()).sum();
    if size > LARGEST_LEDGER {
        let oldest = open.next().and_then(Revocation::of)?;
        let words = "too many certificates are waiting to be revoked, and this is the oldest".to_owned();
        return Some(RevocationTask::GiveUp(Box::new(oldest), words));
    }
    let is_due = |held: &RevocableCertificate| next_time(held).is_none_or(|time| time <= now);
    let due = open.find(|held| is_due(held)).and_then(Revocation::of)?;
    Some(RevocationTask::Revoke(Box::new(due), patience(&situation.revocation, now)))
}

/// The certificate in the Secret, as a new entry of the ledger.
pub fn in_secret(situation: &Situation<'_>) -> Option<RevocableCertificate> {
    current(situation).map(|current| current.held())
}

/// How long one attempt may take: at most the rest of the time that a deletion may wait, but at least a second.
fn patience(asked: &RevocationRequests<'_>, now: Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    let Some(end) = asked.end_of_deletion() else { return PATIENCE };
    PATIENCE.min(Duration::try_from(end.duration_since(now)).unwrap_or_default().max(LEAST))
}

/// The certificate in the Secret, if it counts.
fn current<'a>(situation: &Situation<'a>) -> Option<Current<'a>> {
    let secret = situation.secret;
    let leaf = secret.leaf()?;
    let (_, public_key) = secret.key.as_ref()?.as_ref().ok()?;
    let (name, kind) = secret.issuer.as_ref()?;
    let is_ours = secret.certificate_name.as_deref() == Some(situation.name);
    if !is_ours || *public_key != leaf.public_key_der {
        return None;
    }
    let issuer_kind =
        [IssuerKind::Issuer, IssuerKind::ClusterIssuer].into_iter().find(|known| known.as_str() == kind)?;
    let wanted = situation.wanted.as_ref().ok();
    let same_issuer =
        wanted.is_some_and(|wanted| (&wanted.issuer_name, wanted.issuer_kind) == (name, issuer_kind));
    let account = match situation.issuer {
        IssuerView::Ready { account, .. } if same_issuer => Some(account.as_str()),
        _ => None,
    };
    Some(Current { leaf, issuer_kind, issuer_name: name, account })
}

//! The ledger of TXT records: what is to be removed, and when it is tried again.
//!
//! A record is in `status.dnsRecords` before it is put into the DNS, with the solver that puts it there, and stays in it
//! until it is removed: whatever becomes of the order, the spec, or the issuer. While there is one, the Certificate has a
//! finalizer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backoff::look_again;
use super::issuance::Step;
use super::renewal::{whole_seconds, whole_seconds_up};
use crate::api::{CertificateStatus, Dns01Solver, DnsRecordRemoval, DnsRecordStatus};

/// How often a provider is asked again to remove a record.
const REMOVAL_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A record that a provider fails to remove for so long is left behind, if nothing waits for it.
const LEFT_BEHIND_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// For how long a deletion waits for a provider, unless the solver says otherwise.
const CLEANUP_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// What the ledger asks for at once: a removal whose time has come, or the end of the hold on the Certificate.
pub fn due(status: &CertificateStatus, held: bool, now: Timestamp) -> Option<Step> {
    let removals = status.dns_records.iter().filter_map(|record| record.removal.as_ref());
    if removals.into_iter().any(|removal| removal.next_attempt_time.0 <= now) {
        return Some(Step::RemoveRecords);
    }
    (held && !holds(status)).then_some(Step::Release)
}

/// Whether something is presented that does not go with the Certificate.
pub fn holds(status: &CertificateStatus) -> bool {
    !status.dns_records.is_empty() || status.challenges.iter().any(|challenge| challenge.ingress.is_some())
}

/// When a provider is next asked to remove a record.
pub fn next_removal(status: &CertificateStatus) -> Option<Timestamp> {
    let removals = status.dns_records.iter().filter_map(|record| record.removal.as_ref());
    removals.map(|removal| removal.next_attempt_time.0).min()
}

/// What is left to do for a Certificate that is being deleted; `None` once nothing is.
pub fn last_step(status: &CertificateStatus, held: bool, now: Timestamp) -> Option<Step> {
    if !held {
        return None;
    }
    let unmarked = status.dns_records.iter().any(|record| record.removal.is_none());
    if unmarked || !status.challenges.is_empty() {
        return Some(Step::Withdraw);
    }
    due(status, held, now)
}

/// Marks the records for which `which` holds as not needed any more; they are removed at once.
pub fn retire(records: &mut [DnsRecordStatus], which: impl Fn(&DnsRecordStatus) -> bool, now: Timestamp) {
    let now = Time(whole_seconds(now));
    for record in records.iter_mut().filter(|record| record.removal.is_none() && which(record)) {
        record.removal =
            Some(DnsRecordRemoval { since: now.clone(), next_attempt_time: now.clone(), reason: None });
    }
}

/// What becomes of a record that a provider has failed to remove, for the reason in `words`: when it is tried again, or
/// `None` if it is left behind. `deleted` is since when the Certificate is being deleted.
pub fn after_failed_removal(
    record: &DnsRecordStatus,
    words: &str,
    deleted: Option<Timestamp>,
    now: Timestamp,
) -> Option<DnsRecordRemoval> {
    let since = record.removal.as_ref().map_or(now, |removal| removal.since.0);
    let given_up = match deleted {
        Some(deleted) => deleted.saturating_add(cleanup_timeout(&record.solver)),
        None => since.saturating_add(LEFT_BEHIND_AFTER),
    };
    let given_up = given_up.unwrap_or(now);
    if now >= given_up {
        return None;
    }
    let again =
        whole_seconds_up(look_again(since, now, None, REMOVAL_BOUNDS)).min(whole_seconds_up(given_up));
    Some(DnsRecordRemoval {
        since: Time(since),
        next_attempt_time: Time(again),
        reason: Some(words.to_owned()),
    })
}

/// For how long a provider may take to remove a record: `most`, or for a Certificate that is being deleted since `deleted`
/// what is left of the time that this may wait, but always some.
pub fn patience(
    record: &DnsRecordStatus,
    most: Duration,
    deleted: Option<Timestamp>,
    now: Timestamp,
) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    let Some(deleted) = deleted else { return most };
    let end = deleted.saturating_add(cleanup_timeout(&record.solver)).unwrap_or(now);
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    most.min(left.max(LEAST))
}

fn cleanup_timeout(solver: &Dns01Solver) -> SignedDuration {
    let set = solver.cleanup_timeout.map(Duration::from).map(SignedDuration::try_from);
    set.and_then(Result::ok).unwrap_or(CLEANUP_TIMEOUT)
}

#[cfg(test)]
mod tests;

//! The ledger of TXT records: which ones to remove, and when to retry.
//!
//! A record is added to `status.dnsRecords` before it is added to DNS, together with its solver. It stays there until it is
//! removed, whatever happens to the order, the spec, or the issuer. While there is a record, the Certificate has a finalizer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::backoff::look_again;
use crate::deletion::Deletion;
use crate::renewal::{whole_seconds, whole_seconds_up};
use crate::revocation;
use certwright_api::{CertificateStatus, Dns01Solver, DnsRecordRemoval, DnsRecordStatus};

/// Bounds of the retry interval for removing a record.
const REMOVAL_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long to retry the removal of a record, if no deletion waits for it.
const LEFT_BEHIND_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How long a deletion waits for a provider, unless the solver sets another time.
const CLEANUP_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// How long a provider may take to remove a record, if there is nothing else to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same while an issuance waits for it.
const HASTE: Duration = Duration::from_secs(2);

/// What to clean up.
#[derive(Clone, Debug, PartialEq)]
pub enum CleanupTask {
    /// Remove everything that is presented.
    Withdraw,
    /// Remove these records.
    RemoveRecords(Vec<Removal>),
    /// There is nothing left to clean up: remove the finalizer of the Certificate.
    Release,
}

/// A record that is due for removal.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// The record, as it is in the ledger.
    pub record: DnsRecordStatus,
    /// How long its provider may take.
    pub patience: Duration,
}

/// Whether a presented record belongs to an account key other than the one with this thumbprint.
pub fn are_outdated(status: &CertificateStatus, thumbprint: &str) -> bool {
    let its = |record: &&DnsRecordStatus| {
        record.key_authorization.rsplit_once('.').is_some_and(|(_, of)| of == thumbprint)
    };
    let mut presented = status.dns_records.iter().filter(|record| record.removal.is_none());
    presented.any(|record| !its(&record))
}

/// What the ledger requires immediately.
pub fn due(
    status: &CertificateStatus,
    held: bool,
    deleted: Option<Deletion>,
    now: Timestamp,
) -> Option<CleanupTask> {
    let hurries = status.order.is_some() && deleted.is_none();
    let removals = due_removals(&status.dns_records, hurries, deleted, now);
    if !removals.is_empty() {
        return Some(CleanupTask::RemoveRecords(removals));
    }
    (held && !holds(status)).then_some(CleanupTask::Release)
}

/// The records whose removal is due. If something else waits for it, it `hurries`.
pub fn due_removals(
    ledger: &[DnsRecordStatus],
    hurries: bool,
    deleted: Option<Deletion>,
    now: Timestamp,
) -> Vec<Removal> {
    removals(ledger, if hurries { HASTE } else { PATIENCE }, deleted, now)
}

/// The records whose removal is due, while an issuance waits for it.
pub fn withdrawals(ledger: &[DnsRecordStatus], deleted: Option<Deletion>, now: Timestamp) -> Vec<Removal> {
    removals(ledger, HASTE, deleted, now)
}

fn removals(
    ledger: &[DnsRecordStatus],
    most: Duration,
    deleted: Option<Deletion>,
    now: Timestamp,
) -> Vec<Removal> {
    let is_due = |record: &&DnsRecordStatus| removal_time(ledger, record).is_some_and(|time| time <= now);
    let removal = |record: &DnsRecordStatus| Removal {
        record: record.clone(),
        patience: patience(record, most, deleted, now),
    };
    ledger.iter().filter(is_due).map(removal).collect()
}

/// When to remove a record. Not while the same record is needed again, through another solver.
fn removal_time(ledger: &[DnsRecordStatus], record: &DnsRecordStatus) -> Option<Timestamp> {
    let needed = |other: &DnsRecordStatus| {
        other.removal.is_none() && (&other.fqdn, &other.value) == (&record.fqdn, &record.value)
    };
    let removal = record.removal.as_ref().filter(|_| !ledger.iter().any(needed))?;
    Some(removal.next_attempt_time.0)
}

/// Whether something is to be done before the Certificate may go.
pub fn holds(status: &CertificateStatus) -> bool {
    !status.dns_records.is_empty()
        || status.challenges.iter().any(|challenge| challenge.ingress.is_some())
        || revocation::holds(status)
}

/// Whether the finalizer must be set before the status is written: nothing that must be removed or revoked later is recorded
/// without it.
pub fn requires_finalizer(status: &CertificateStatus, held: bool, deleted: Option<Deletion>) -> bool {
    holds(status) && !held && deleted.is_none()
}

/// When a provider is next asked to remove a record.
pub fn next_removal(ledger: &[DnsRecordStatus]) -> Option<Timestamp> {
    ledger.iter().filter_map(|record| removal_time(ledger, record)).min()
}

/// The next cleanup for a Certificate that is being deleted; `None` if there is nothing to do now.
pub fn last_chore(
    status: &CertificateStatus,
    held: bool,
    deleted: Option<Deletion>,
    now: Timestamp,
) -> Option<CleanupTask> {
    if !held {
        return None;
    }
    let unmarked = status.dns_records.iter().any(|record| record.removal.is_none());
    if unmarked || !status.challenges.is_empty() {
        return Some(CleanupTask::Withdraw);
    }
    due(status, held, deleted, now)
}

/// Marks the records that match `which` as no longer needed; they are due for removal immediately.
pub fn retire(records: &mut [DnsRecordStatus], which: impl Fn(&DnsRecordStatus) -> bool, now: Timestamp) {
    let now = Time(whole_seconds(now));
    for record in records.iter_mut().filter(|record| record.removal.is_none() && which(record)) {
        record.removal =
            Some(DnsRecordRemoval { since: now.clone(), next_attempt_time: now.clone(), reason: None });
    }
}

/// Adds the `needed` records to the ledger, and marks the others for removal.
pub fn replace(ledger: &mut Vec<DnsRecordStatus>, needed: Vec<DnsRecordStatus>, now: Timestamp) {
    let is_needed = |record: &DnsRecordStatus| needed.iter().any(|needed| same(needed, record));
    retire(ledger, |record| !is_needed(record), now);
    ledger.retain(|record| !is_needed(record));
    ledger.extend(needed);
}

/// Whether an entry of the ledger is about the same record, through the same solver.
fn same(one: &DnsRecordStatus, other: &DnsRecordStatus) -> bool {
    (&one.fqdn, &one.value, &one.solver) == (&other.fqdn, &other.value, &other.solver)
}

/// Updates the ledger after providers were asked to remove these records, and answered this. Returns the records that are left
/// behind, with the cause.
pub fn after_removals(
    ledger: &mut Vec<DnsRecordStatus>,
    answers: &[(DnsRecordStatus, Result<(), String>)],
    deleted: Option<Deletion>,
    now: Timestamp,
) -> Vec<(DnsRecordStatus, String)> {
    let mut left_behind = Vec::new();
    for mut record in std::mem::take(ledger) {
        match answers.iter().find(|(asked, _)| same(asked, &record)).map(|(_, answer)| answer) {
            None => ledger.push(record),
            Some(Ok(())) => {}
            Some(Err(words)) => match after_failed_removal(&record, words, deleted, now) {
                Some(removal) => {
                    record.removal = Some(removal);
                    ledger.push(record);
                }
                None => left_behind.push((record, words.clone())),
            },
        }
    }
    left_behind
}

/// After a provider failed to remove a record, with the cause in `words`: when to retry, or `None` if the record is left
/// behind. `deleted` is the deletion of the Certificate, if it is being deleted.
fn after_failed_removal(
    record: &DnsRecordStatus,
    words: &str,
    deleted: Option<Deletion>,
    now: Timestamp,
) -> Option<DnsRecordRemoval> {
    let since = record.removal.as_ref().map_or(now, |removal| removal.since.0);
    let given_up = match deleted {
        Some(deleted) => deleted.end(cleanup_timeout(&record.solver)),
        None => since.saturating_add(LEFT_BEHIND_AFTER).unwrap_or(now),
    };
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

/// How long a provider may take to remove a record: `most`, or, if the Certificate is being deleted, the rest of the time that
/// the deletion may wait, but at least a second.
fn patience(record: &DnsRecordStatus, most: Duration, deleted: Option<Deletion>, now: Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    let Some(deleted) = deleted else { return most };
    let end = deleted.end(cleanup_timeout(&record.solver));
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    most.min(left.max(LEAST))
}

fn cleanup_timeout(solver: &Dns01Solver) -> SignedDuration {
    solver.cleanup_timeout.map_or(CLEANUP_TIMEOUT, SignedDuration::from)
}

#[cfg(test)]
mod tests;

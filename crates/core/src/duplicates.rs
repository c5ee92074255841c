//! Duplicate certificates. A CA limits how many it issues for the same names within a week, and an issuance that is due because
//! the Secret was lost can be due again a minute later.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::naming::digest;
use crate::reissue::Due;
use certwright_api::{IssuanceRecord, certificate_reason as reason};

/// The period over which a CA counts duplicate certificates.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The maximum number of records; the oldest ones are dropped.
const MOST_RECORDS: usize = 20;

/// Duplicate certificates have the same digest.
pub fn names_digest(names: &BTreeSet<String>) -> String {
    digest(&names.iter().map(String::as_str).collect::<Vec<_>>().join(","))
}

/// Adds an issuance to the ledger. Removes records that no longer count, and those of other accounts.
pub fn record(ledger: &mut Vec<IssuanceRecord>, issued: IssuanceRecord, now: Timestamp) {
    ledger.retain(|record| record.account == issued.account && end(record) > now);
    ledger.push(issued);
    ledger.drain(..ledger.len().saturating_sub(MOST_RECORDS));
}

/// When fewer than `limit` certificates for these names count again; `None` if that is the case now. A `limit` of 0 means no
/// limit.
pub fn free_at(ledger: &[IssuanceRecord], names: &str, limit: usize, now: Timestamp) -> Option<Timestamp> {
    let mut ends: Vec<Timestamp> = counted(ledger, names, now).map(end).collect();
    ends.sort_unstable();
    let surplus = ends.len().checked_sub(limit).filter(|_| limit > 0)?;
    ends.get(surplus).copied()
}

/// The certificates for these names that count.
pub fn counted<'a>(
    ledger: &'a [IssuanceRecord],
    names: &'a str,
    now: Timestamp,
) -> impl Iterator<Item = &'a IssuanceRecord> {
    ledger.iter().filter(move |record| record.names_digest == names && end(record) > now)
}

/// Whether an issuance is due only because the certificate was lost.
pub fn is_loss(due: &Due) -> bool {
    matches!(due.reason, reason::SECRET_MISSING | reason::SECRET_INVALID | reason::KEY_MISMATCH)
}

/// A certificate counts for a week, but not after it expires: CAs with short-lived certificates must be able to issue more.
fn end(record: &IssuanceRecord) -> Timestamp {
    let week_after = record.time.0.saturating_add(WEEK).unwrap_or(record.not_after.0);
    week_after.min(record.not_after.0)
}

#[cfg(test)]
mod tests;

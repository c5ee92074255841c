//! Decides the next step of keeping authorizations.

use jiff::Timestamp;

use super::prove::{prove, without_solver};
use super::state::State;
use super::{AuthorizationStep, Snapshot};
use crate::records;
use certwright_acme::AuthorizationStatus;
use certwright_api::KeptAuthorizationStatus;

/// No name is proved while as many records wait for their removal: the status has a bounded size.
const MOST_RECORDS: usize = 5;

/// Decides what to do next. The state matches the spec: see [`State::note_spec`].
pub fn next_step(state: &State<'_>, seen: &Snapshot<'_>, now: Timestamp) -> AuthorizationStep {
    if let Some(url) = &state.progress.useless {
        return AuthorizationStep::GiveUp(url.clone());
    }
    let ledger = &state.status.dns_records;
    let removals = records::due_removals(ledger, state.progress.attempt.is_some(), None, now);
    if !removals.is_empty() {
        return AuthorizationStep::Remove(removals);
    }
    if let Some(attempt) = &state.progress.attempt {
        return prove(attempt, state.status, seen, now);
    }
    let has_room = ledger.iter().filter(|record| record.removal.is_some()).count() < MOST_RECORDS;
    let due = state.status.authorizations.iter().filter(|_| has_room).min_by_key(|entry| due_at(entry));
    match due.filter(|entry| due_at(entry) <= now) {
        Some(entry) => begin(entry, seen),
        None => AuthorizationStep::Rest { until: next_time(state, has_room, now) },
    }
}

/// Begins to prove a name, or continues with the authorization that is recorded.
fn begin(entry: &KeptAuthorizationStatus, seen: &Snapshot<'_>) -> AuthorizationStep {
    let name = entry.dns_name.clone();
    if let Some(pending) = &entry.pending {
        return AuthorizationStep::Read { name, url: pending.url.clone() };
    }
    let subdomains = seen.names().into_iter().any(|(wanted, subdomains)| wanted == name && subdomains);
    match without_solver(&name, seen) {
        Some(failure) => AuthorizationStep::Fail(failure),
        None => AuthorizationStep::Request { name, subdomains },
    }
}

/// When a name is to be proved.
fn due_at(entry: &KeptAuthorizationStatus) -> Timestamp {
    let is_valid = entry.state == AuthorizationStatus::Valid.as_str();
    match (&entry.next_attempt_time, &entry.renewal_time) {
        (Some(time), _) => time.0,
        (None, Some(time)) if is_valid && entry.pending.is_none() => time.0,
        _ => Timestamp::MIN,
    }
}

/// When there is something to do again, or to report: an authorization expires that could not be renewed.
fn next_time(state: &State<'_>, has_room: bool, now: Timestamp) -> Option<Timestamp> {
    let entries = &state.status.authorizations;
    let due = entries.iter().filter(|_| has_room).map(due_at);
    let expiries = entries.iter().filter_map(|entry| entry.expires.as_ref()).map(|time| time.0);
    let removal = records::next_removal(&state.status.dns_records);
    due.chain(expiries.filter(|time| *time > now)).chain(removal).min()
}

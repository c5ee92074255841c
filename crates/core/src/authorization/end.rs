//! The TXT records of an issuer that is being deleted, or whose account cannot be used.

use jiff::Timestamp;

use super::State;
use crate::deletion::Deletion;
use crate::records::{self, Removal};

/// The next step for records that nothing needs any more.
#[derive(Clone, Debug, PartialEq)]
pub enum LastStep {
    /// Remove these.
    Remove(Vec<Removal>),
    /// Wait until a provider is asked again.
    Wait(Timestamp),
}

/// Decides the next step for the records of an issuer that is being deleted, or whose account cannot be used; `None` if there are
/// none. No record is needed any more.
pub fn last_step(state: &mut State<'_>, deletion: Option<Deletion>, now: Timestamp) -> Option<LastStep> {
    records::retire(&mut state.status.dns_records, |_| true, now);
    let removals = records::due_removals(&state.status.dns_records, false, deletion, now);
    match removals.is_empty() {
        false => Some(LastStep::Remove(removals)),
        true => records::next_removal(&state.status.dns_records).map(LastStep::Wait),
    }
}

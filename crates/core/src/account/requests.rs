//! What users request by annotations of an issuer, apart from a rollover of its key.

use jiff::Timestamp;

use super::{Snapshot, State};
use crate::events::Event;

impl State {
    /// Records in the status what the annotations request: a deactivation, a rebinding, or a retry.
    pub fn note_requests(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) {
        self.note_deactivation(snapshot, now);
        self.note_rebinding(snapshot, now);
        self.note_retry(snapshot, now);
    }

    /// Events about requests, to publish with the status.
    pub fn news_of_requests(&self) -> impl Iterator<Item = Event> {
        self.news_of_deactivation().into_iter().chain(self.news_of_rebinding())
    }
}

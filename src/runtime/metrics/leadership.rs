//! What a candidate for leadership does.

use certwright_runtime::leader::{LeaseWrite, Observer};

use super::{ApiVerb, Metrics};

impl Observer for Metrics {
    fn writing(&self, write: LeaseWrite) {
        let verb = match write {
            LeaseWrite::Create => ApiVerb::Create,
            LeaseWrite::Update => ApiVerb::Update,
        };
        self.api_written("Lease", verb);
    }

    fn leading(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }
}

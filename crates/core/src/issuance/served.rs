//! What servers show of the certificate in the Secret is reported in a condition. It has no effect on the issuance.

use jiff::Timestamp;

use super::outcome::{Consequence, Report};
use super::{Snapshot, State};
use crate::conditions::{condition, set_condition};
use crate::events::Event;
use crate::served::{Finding, Observed, Verdict};
use certwright_api::{CONDITION_SERVED, CertificateStatus, certificate_reason as reason};

/// What has to be recorded: a finding, or with `None` the end of the checks. There is mostly nothing.
pub(super) fn news(status: &CertificateStatus, seen: &Snapshot<'_>) -> Option<Option<Finding>> {
    match seen.served {
        Observed::Off => condition(&status.conditions, CONDITION_SERVED).map(|_| None),
        Observed::On(finding) => {
            finding.filter(|finding| finding.is_news(status, seen.generation)).cloned().map(Some)
        }
    }
}

impl State {
    /// It was checked what servers show, or this is no longer checked.
    pub(super) fn record_served(
        &mut self,
        seen: &Snapshot<'_>,
        finding: Option<Finding>,
        now: Timestamp,
    ) -> Consequence {
        let conditions = &mut self.status.conditions;
        let Some(Finding { verdict: Verdict { is, reason, message }, .. }) = finding else {
            conditions.retain(|condition| condition.type_ != CONDITION_SERVED);
            return Consequence::decide(vec![Report::Write]);
        };
        let is_known = condition(conditions, CONDITION_SERVED)
            .is_some_and(|known| known.status == "False" && known.reason == reason);
        set_condition(conditions, CONDITION_SERVED, is, reason, &message, seen.generation, now);
        let warns = is == Some(false) && !is_known;
        let event = warns.then(|| Report::Event(Event::warning(reason, "CheckServed", message)));
        Consequence::decide(event.into_iter().chain([Report::Write]).collect())
    }

    /// The Secret has another certificate, so what is known of the one before no longer counts.
    pub(super) fn forget_served(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let conditions = &mut self.status.conditions;
        if condition(conditions, CONDITION_SERVED).is_some() {
            let message = "The certificate in the Secret has changed; whether it is served is checked soon";
            let reason = reason::SERVED_NOT_CHECKED;
            set_condition(conditions, CONDITION_SERVED, None, reason, message, seen.generation, now);
        }
    }
}

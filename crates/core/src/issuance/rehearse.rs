//! Rehearsals: after a failed validation, the next attempts go to a CA for tests, until it validates all names. No certificate
//! is requested from that CA. If it cannot be used, the first issuer is asked, at the same pace as without rehearsals.

use jiff::Timestamp;

use super::outcome::{Consequence, Report};
use super::pace::backing_off;
use super::{Failure, IssuanceStep, Learned, Rehearsal, Situation, Snapshot, State, asked};
use crate::disposition::Disposition;
use crate::events::Event;
use crate::issuers::in_words;
use crate::spec::ValidatedCertificate;
use certwright_acme::{AuthorizationStatus, OrderStatus};
use certwright_api::certificate_reason as reason;

/// What to do if the rehearsal issuer is in use, and cannot be used.
pub(super) fn skip(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    now: Timestamp,
) -> Option<IssuanceStep> {
    if !wanted.rehearses || situation.can_be_used() {
        return None;
    }
    if let Some(until) = backing_off(situation, now) {
        return Some(IssuanceStep::BackOff { until });
    }
    let why = situation.not_allowed.map(str::to_owned).or_else(|| situation.issuer.why_unusable())?;
    Some(IssuanceStep::EndRehearsal(Rehearsal::Skipped(why)))
}

/// The end of a rehearsal, if the CA has validated all names of its order.
pub(super) fn passed(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    learned: &Learned,
) -> Option<IssuanceStep> {
    let order = learned.order.as_ref().filter(|_| wanted.rehearses)?;
    let is_proved = matches!(order.status, OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid);
    // What was validated is given up afterwards.
    let step = match &learned.authorizations {
        Some(_) => IssuanceStep::EndRehearsal(Rehearsal::Passed),
        None => asked::read(situation),
    };
    is_proved.then_some(step)
}

impl State {
    /// Records whether the next attempt is a rehearsal, after a failure; returns what to report.
    pub(super) fn note_rehearsal(&mut self, seen: &Snapshot<'_>, failure: &Failure) -> Option<Event> {
        let wanted = seen.wanted.as_ref().ok()?;
        let rehearsal = wanted.rehearsal_issuer.as_ref()?;
        let first = in_words(&wanted.first_issuer);
        match (failure.disposition, wanted.rehearses) {
            (Disposition::ValidationFailed, true) => None,
            (Disposition::ValidationFailed, false) if wanted.tries(&wanted.first_issuer) => {
                self.tried(seen).rehearses = Some(true);
                let note = format!(
                    "{} is asked to validate the names, until it succeeds; then {first} is asked again",
                    in_words(rehearsal)
                );
                Some(Event::normal(reason::REHEARSING, "Issue", note))
            }
            (_, true) => {
                self.tried(seen).rehearses = None;
                Some(skipped(seen, &first, &failure.message))
            }
            _ => None,
        }
    }

    /// What the CA for tests has validated, or would still validate.
    pub(super) fn rehearsed_authorizations(&self) -> Vec<String> {
        let all = self.learned().authorizations.iter().flat_map(|authorizations| &authorizations.found);
        let alive = all.filter(|(_, one)| {
            // They may have been read before they were validated.
            matches!(one.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid)
        });
        alive.map(|(url, _)| url.clone()).collect()
    }

    /// The rehearsal has ended, and nothing of it is left.
    pub(super) fn end_rehearsal(&mut self, seen: &Snapshot<'_>, rehearsal: &Rehearsal) -> Consequence {
        let Ok(wanted) = seen.wanted else { return Consequence::DECIDE };
        let first = in_words(&wanted.first_issuer);
        let event = match rehearsal {
            Rehearsal::Passed => {
                let note =
                    format!("{} has validated all names, so {first} is asked again", seen.issuer_in_words());
                self.status.next_attempt_time = None;
                Event::normal(reason::REHEARSED, "Issue", note)
            }
            Rehearsal::Skipped(why) => skipped(seen, &first, why),
        };
        self.tried(seen).rehearses = None;
        Consequence::decide(vec![Report::LeaveSlot, Report::Event(event), Report::Write])
    }
}

fn skipped(seen: &Snapshot<'_>, first: &str, why: &str) -> Event {
    let note = format!("{} cannot be used, so {first} is asked again: {why}", seen.issuer_in_words());
    Event::warning(reason::REHEARSAL_SKIPPED, "Issue", note)
}

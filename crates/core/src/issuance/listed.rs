//! The certificate in the Secret is on its issuer's revocation list: that is recorded and reported, and the certificate is
//! replaced if the spec says so.

use std::time::Duration;

use jiff::Timestamp;

use super::outcome::{Consequence, Report};
use super::step::make_room;
use super::{IssuanceStep, Situation, Snapshot, State};
use crate::conditions::{sentence, set_condition};
use crate::events::Event;
use crate::reissue::Due;
use crate::revoked::{Finding, is_news, is_on_hold, record, recorded, replaced_at};
use certwright_api::{
    ANNOTATION_RENEW, CONDITION_REVOKED, RevokedPolicy, RevokedStatus, certificate_reason as reason,
};
use certwright_text::clean;

/// How long an issuance waits for a revocation list.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest URL that a message quotes in full.
const LONGEST_URL: usize = 1024;

/// A finding about the certificate in the Secret that is not recorded yet. Somebody else's Secret does not matter.
pub(super) fn news(situation: &Situation<'_>) -> Option<IssuanceStep> {
    let (finding, leaf) = (situation.listed?, situation.secret.leaf()?);
    let is_ours = situation.secret.certificate_name.as_deref() == Some(situation.name);
    (is_ours && is_news(&situation.state.status, &leaf.serial_number, finding))
        .then(|| IssuanceStep::RecordRevoked(Box::new(finding.clone())))
}

/// Looks at the revocation list before a certificate is replaced because its CA insists: if it is revoked, it needs another key,
/// and its users have to know.
pub(super) fn look(situation: &Situation<'_>, now: Timestamp) -> Option<IssuanceStep> {
    let leaf = situation.secret.leaf().filter(|_| situation.checks_lists)?;
    let url = leaf.revocation_list_url.as_ref()?;
    let current = situation.current(now)?;
    let end = current.renewal()?.insisted?;
    let is_known = situation.state.progress.list_seen_for.as_ref() == Some(&leaf.serial_number)
        || recorded(&situation.state.status, &leaf.serial_number).is_some()
        || current.revoked.is_some();
    (end <= current.now && !is_known)
        .then(|| IssuanceStep::ReadRevocationList { url: url.clone(), patience: PATIENCE })
}

/// The certificate and its predecessors were revoked soon after they were issued: the next one waits, but not beyond the renewal
/// time. A requested renewal does not wait.
pub(super) fn revoked_again(situation: &Situation<'_>, due: &Due, now: Timestamp) -> Option<IssuanceStep> {
    let leaf = situation.secret.leaf().filter(|_| due.reason == reason::REVOKED)?;
    let known = recorded(&situation.state.status, &leaf.serial_number)?;
    let until = replaced_at(known, leaf.not_after.duration_since(leaf.not_before));
    let renewal = situation.current(now)?.renewal_time().map(|time| situation.here(time));
    let until = renewal.map_or(until, |renewal| until.min(renewal));
    if until <= now || situation.asks_for_another() {
        return None;
    }
    let message = format!(
        "{}, and it also revoked the last {} soon after they were issued; the next one is ordered at {until}. Ask the CA \
         why it revokes them; to get one immediately, give the annotation {ANNOTATION_RENEW} a new value",
        sentence(&due.message),
        known.early_revocations.unwrap_or_default().saturating_sub(1),
    );
    Some(make_room(Some(until), reason::ISSUED_RECENTLY, message))
}

impl State {
    /// The certificate in the Secret was found on the list, or a hold was lifted.
    pub(super) fn record_revoked(
        &mut self,
        seen: &Snapshot<'_>,
        finding: &Finding,
        now: Timestamp,
    ) -> Consequence {
        let Some(leaf) = seen.secret.leaf() else { return Consequence::DECIDE };
        self.status.revoked = record(self.status.revoked.as_ref(), leaf, finding, now);
        self.report_revoked(seen, now);
        let mut reports = Vec::new();
        if let Some(known) = &self.status.revoked {
            let note = words(known, seen);
            reports = vec![
                Report::RevokedByCa { serial_number: known.serial_number.clone(), why: known.reason },
                Report::Event(Event::warning(reason::REVOKED_BY_CA, "Revoke", note)),
            ];
        }
        reports.push(Report::Write);
        Consequence::decide(reports)
    }

    /// The revocation list was read.
    pub(super) fn saw_revocation_list(&mut self, seen: &Snapshot<'_>) -> Consequence {
        self.progress.list_seen_for = seen.secret.leaf().map(|leaf| leaf.serial_number.clone());
        Consequence::DECIDE
    }

    /// Whether the certificate in the Secret is revoked. There is no condition if it is not.
    pub(super) fn report_revoked(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let leaf = seen.secret.leaf();
        let Some(known) = leaf.and_then(|leaf| recorded(&self.status, &leaf.serial_number)) else {
            self.status.conditions.retain(|condition| condition.type_ != CONDITION_REVOKED);
            return;
        };
        let (reason, message) = (known.reason.of_condition(), words(known, seen));
        let (type_, generation) = (CONDITION_REVOKED, seen.generation);
        set_condition(&mut self.status.conditions, type_, true, reason, &message, generation, now);
    }
}

/// What was found, and what happens next.
fn words(known: &RevokedStatus, seen: &Snapshot<'_>) -> String {
    let RevokedStatus { serial_number, reason, revocation_time, list_url, .. } = known;
    let policy = seen.wanted.as_ref().map(|wanted| wanted.on_revoked).unwrap_or_default();
    let next = match policy {
        _ if is_on_hold(known) => format!(
            "It is on hold and may become valid again, so it is not replaced; ask the CA, or give the annotation \
             {ANNOTATION_RENEW} a new value to replace it"
        ),
        RevokedPolicy::Reissue => {
            "Another one, with a new private key, replaces it; find out who had it revoked, and why"
                .to_owned()
        }
        RevokedPolicy::Report => format!(
            "It is not replaced, because revocation.onRevoked is Report; give the annotation {ANNOTATION_RENEW} a new \
             value to replace it"
        ),
    };
    format!(
        "The CA revoked the certificate {serial_number} at {}, and the operator did not request that: the list {} gives the \
         reason {}. {next}",
        revocation_time.0,
        clean(list_url, LONGEST_URL),
        reason.as_str(),
    )
}

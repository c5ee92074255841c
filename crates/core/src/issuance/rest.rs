//! Whether a Certificate is still at rest, without a look at its Secret: neither has changed since the last check.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Snapshot, State, served};
use crate::conditions::{condition, is_true};
use crate::naming::digest;
use crate::renewal::whole_seconds;
use crate::revocation::RevocationRequests;
use crate::revoked::{by_ca, is_news};
use crate::spec::ValidatedCertificate;
use certwright_api::{CONDITION_ISSUING, CONDITION_READY, SecretCheckStatus};

/// Increment this when a Certificate that is at rest according to an older version may not be so according to this one.
const CHECKS: u32 = 2;
/// If others change the Secret again and again, not every change is recorded.
const INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// Until when a Certificate is at rest, if it is certain that it is: its Secret has the version of the last check, and everything
/// else that matters is as it was then. Otherwise, the Certificate has to be checked in full.
pub fn at_rest_until(
    state: &State,
    seen: &Snapshot<'_>,
    secret_version: Option<&str>,
    now: Timestamp,
) -> Option<Timestamp> {
    let (status, wanted) = (&state.status, seen.wanted.as_ref().ok()?);
    let last = status.last_check.as_ref()?;
    let unchanged = secret_version == Some(&last.secret_resource_version)
        && last.checks == checks(wanted)
        && !state.is_unrecorded(seen.recorded)
        && condition(&status.conditions, CONDITION_READY)?.observed_generation == Some(seen.generation)
        && seen.claimed_by.is_none()
        && !wanted.outputs.has_foreign_password();
    let is_idle = is_true(&status.conditions, CONDITION_READY)
        && !is_true(&status.conditions, CONDITION_ISSUING)
        && status.order.is_none()
        && status.challenges.is_empty()
        && status.dns_records.is_empty()
        && status.next_private_key_secret_name.is_none()
        && status.failed_issuance_attempts.is_none();
    let nothing_asked = (seen.renew_request.is_none()
        || seen.renew_request == status.observed_renew_request.as_deref())
        && status.revocation.is_none()
        && seen.revocation
            == RevocationRequests {
                deletion_timeout: seen.revocation.deletion_timeout,
                ..RevocationRequests::default()
            }
        && (seen.asking.wanted || status.acme.is_none());
    let serial = status.serial_number.as_deref().unwrap_or_default();
    let not_revoked = by_ca(status, serial, wanted.on_revoked).is_none()
        && seen.listed.is_none_or(|finding| !is_news(status, serial, finding));
    let nothing_found = served::news(status, seen).is_none();
    if !(unchanged && is_idle && nothing_asked && not_revoked && nothing_found) {
        return None;
    }
    let renewal = status.renewal_time.as_ref().map(|time| seen.here(time.0));
    let until = state.or_expiry(seen, renewal.into_iter().chain(state.next_question(seen)).min(), now)?;
    (until > now).then_some(until)
}

impl State {
    /// Records which Secret was found as required.
    pub(super) fn note_check(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let (Ok(wanted), Some(version)) = (seen.wanted, &seen.secret.version) else { return };
        let check = SecretCheckStatus {
            time: Time(whole_seconds(now)),
            secret_resource_version: version.clone(),
            checks: checks(wanted),
        };
        let keep = self.status.last_check.as_ref().is_some_and(|last| {
            let same = (&last.secret_resource_version, &last.checks)
                == (&check.secret_resource_version, &check.checks);
            let recent = now.duration_since(last.time.0) < INTERVAL;
            same || (recent && !self.is_unrecorded(seen.recorded))
        });
        if !keep {
            self.status.last_check = Some(check);
        }
    }

    /// When to ask the CA for renewal information, as far as the status tells; or, if nothing is known yet because the CA did not
    /// answer, this process.
    fn next_question(&self, seen: &Snapshot<'_>) -> Option<Timestamp> {
        let known = self.status.acme.as_ref().and_then(|acme| acme.ari.as_ref());
        let unanswered = seen.asking.asked.filter(|asked| asked.failures > 0);
        let id = known.map(|known| &known.certificate_id).or(unanswered.map(|asked| &asked.certificate_id))?;
        let not_after = self.status.not_after.as_ref()?;
        seen.asking.next_about(id, not_after.0, known, seen.uid)
    }
}

/// What the operator has checked.
fn checks(wanted: &ValidatedCertificate) -> String {
    digest(&format!("{CHECKS} {}", wanted.written_as()))
}

//! Limits how fast certificates are ordered one after another.

use jiff::{SignedDuration, Timestamp};

use super::step::make_room;
use super::{Failure, IssuanceStep, Situation};
use crate::conditions::condition;
use crate::disposition::Disposition;
use crate::duplicates;
use crate::reissue::Due;
use crate::renewal::whole_seconds_up;
use certwright_api::{CONDITION_ISSUING, CertificateStatus, certificate_reason as reason};

/// Whether a certificate is due because of time: it has to be renewed, or the Secret was lost and its certificate has expired.
pub(super) fn is_due_by_time(situation: &Situation<'_>, due: &Due, now: Timestamp) -> bool {
    let last = situation.state.status.recent_issuances.last();
    let has_expired = || last.is_some_and(|last| last.not_after.0 <= situation.at_ca(now));
    due.by_time() || (duplicates::is_loss(due) && has_expired())
}

/// A certificate that is due because of time waits until the minimum interval between two orders has passed: otherwise, if
/// certificates live only for seconds, the operator would order without pause. A changed spec and a requested renewal do not
/// wait.
pub(super) fn too_soon(situation: &Situation<'_>, due: &Due, now: Timestamp) -> Option<IssuanceStep> {
    let last = situation.state.status.recent_issuances.last()?;
    if !is_due_by_time(situation, due, now) || situation.asks_for_another() {
        return None;
    }
    let until = whole_seconds_up(floor_end(situation, last.time.0)?);
    let message = format!(
        "The last certificate was ordered at {}, and is already due for renewal ({}); the next one is ordered at {until}. \
         The CA's certificates are too short-lived for --min-issuance-interval; to get one immediately, give the \
         annotation {} a new value",
        last.time.0,
        due.message,
        certwright_api::ANNOTATION_RENEW,
    );
    (until > now).then(|| make_room(Some(until), reason::ISSUED_RECENTLY, message))
}

/// The certificate expired before it could be stored. If it was ordered just now, this is a failure, because the next one would
/// not live longer; otherwise another one is ordered.
pub(super) fn expired_unstored(situation: &Situation<'_>, now: Timestamp) -> IssuanceStep {
    let order = situation.state.status.order.as_ref();
    let floor = order.and_then(|order| floor_end(situation, order.created.0));
    if floor.is_some_and(|end| end > now) {
        return IssuanceStep::Fail(Failure {
            reason: reason::CERTIFICATE_REFUSED,
            message: "The certificate that the CA issued expired before it could be stored".to_owned(),
            disposition: Disposition::OrderLost,
            retry_after: None,
        });
    }
    IssuanceStep::Abandon { message: "the certificate expired before it was stored".to_owned() }
}

fn floor_end(situation: &Situation<'_>, ordered: Timestamp) -> Option<Timestamp> {
    ordered.checked_add(SignedDuration::try_from(situation.min_interval).ok()?).ok()
}

/// The end of the wait after the last failure, unless it has passed, the spec has changed, or a renewal has been requested
/// since.
pub(super) fn backing_off(situation: &Situation<'_>, now: Timestamp) -> Option<Timestamp> {
    let status = &situation.state.status;
    let until = status.next_attempt_time.as_ref()?.0;
    let asked_before = [status.failed_renew_request.as_deref(), status.observed_renew_request.as_deref()];
    let asked = situation.renew_request.is_some() && !asked_before.contains(&situation.renew_request);
    (until > now && !asked && failed_generation(status) == Some(situation.generation)).then_some(until)
}

/// The generation of the spec whose issuance failed last.
pub fn failed_generation(status: &CertificateStatus) -> Option<i64> {
    condition(&status.conditions, CONDITION_ISSUING)?.observed_generation
}

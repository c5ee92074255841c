//! The CA's renewal information (RFC 9773): when the CA is asked, and what follows from its answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::outcome::{Consequence, Report};
use super::{IssuanceStep, IssuerView, Situation, Snapshot, State};
use crate::renewal::{NoSuggestion, RenewalInfoRequest};
use certwright_acme::{AcmeResponse, RenewalInfo};
use certwright_api::{CertificateAcmeStatus, RenewalInfoStatus};

/// If renewal information is due but the issuer is not ready, it is checked again after this time.
const UNASKED: SignedDuration = SignedDuration::from_mins(10);
/// How long to wait for an answer about a certificate that was just issued: it delays the status.
const PATIENCE: Duration = Duration::from_secs(2);

/// While there is nothing to do, asks the CA at intervals for renewal information.
pub(super) fn ask_before_rest(situation: &Situation<'_>, step: IssuanceStep, now: Timestamp) -> IssuanceStep {
    let IssuanceStep::Rest { until } = step else { return step };
    let (Some(next), Some(id)) = (situation.next_question(), certificate_id(situation)) else {
        return IssuanceStep::Rest { until };
    };
    match situation.issuer {
        IssuerView::Ready { .. } if next <= now => {
            let known = situation.suggestion().is_some_and(|known| known.certificate_id == id);
            IssuanceStep::AskForRenewalInfo {
                certificate_id: id.to_owned(),
                patience: (!known).then_some(PATIENCE),
            }
        }
        IssuerView::Ready { .. } => IssuanceStep::Rest { until: until.into_iter().chain([next]).min() },
        // When an issuer becomes ready, it wakes only Certificates that are waiting for it.
        _ => {
            let next = next.max(now.saturating_add(UNASKED).unwrap_or(now));
            IssuanceStep::Rest { until: until.into_iter().chain([next]).min() }
        }
    }
}

fn certificate_id<'a>(situation: &'a Situation<'_>) -> Option<&'a str> {
    situation.secret.leaf()?.certificate_id.as_deref()
}

impl State {
    /// The CA was asked for renewal information. It has answered `None` if it has no such service. Without an answer, the lifetime
    /// of the certificate decides.
    pub(super) fn learned_renewal_info(
        &mut self,
        seen: &Snapshot<'_>,
        answer: Result<Option<AcmeResponse<RenewalInfo>>, NoSuggestion>,
        now: Timestamp,
    ) -> Consequence {
        let situation = seen.with(self);
        let (Some(leaf), Some(certificate_id), IssuerView::Ready { account, .. }) =
            (situation.secret.leaf(), certificate_id(&situation), situation.issuer)
        else {
            return Consequence::DECIDE;
        };
        let before = situation.suggestion();
        let asked = situation.asking.asked.filter(|asked| asked.certificate_id == certificate_id);
        let request = RenewalInfoRequest {
            leaf,
            certificate_id,
            uid: situation.uid,
            account,
            before,
            failures: asked.map_or(0, |asked| asked.failures),
            now,
            at_ca: situation.at_ca(now),
        };
        let mut reports = Vec::new();
        let (status, asked) = match answer {
            Ok(Some(answer)) => {
                let (status, asked) = request.answered(&answer.value, answer.retry_after);
                (Some(status), asked)
            }
            Ok(None) => (None, request.without_service()),
            Err(why) => {
                reports.push(Report::NotSuggested(why.to_string()));
                request.failed(&why)
            }
        };
        if status.as_ref() != before
            && let Some(RenewalInfoStatus { selected_time: Some(time), explanation_url, .. }) = &status
        {
            reports.push(Report::Suggested { time: time.0, explanation: explanation_url.clone() });
        }
        reports.push(Report::RenewalInfoAsked(asked));
        self.status.acme = status.map(|ari| CertificateAcmeStatus { ari: Some(ari) });
        Consequence::decide(reports)
    }
}

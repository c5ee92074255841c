//! A retry on request: the annotation ends the wait after a failure, even if that is final, once for each of its values.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Snapshot, State};
use crate::remedy::Retry;
use crate::renewal::whole_seconds;
use certwright_api::IssuerKind;

impl State {
    /// Records a new request. The wait after the last failure, if there is one, is over, and the account is checked.
    pub(super) fn note_retry(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) {
        let Some(request) = snapshot.retry_request else { return };
        if self.status.observed_retry_request.as_deref() == Some(request) {
            return;
        }
        self.status.observed_retry_request = Some(request.to_owned());
        self.status.authorizations.iter_mut().for_each(|entry| entry.next_attempt_time = None);
        if let Some(acme) = &mut self.status.acme {
            acme.next_check_time = Some(Time(whole_seconds(now)));
        }
        if self.status.failed_attempts.is_some() {
            self.status.next_attempt_time = Some(Time(whole_seconds(now)));
        }
    }
}

impl Snapshot<'_> {
    /// What to retry once a person has acted.
    pub(super) fn retry(&self) -> Retry<'_> {
        let kind =
            if self.secrets_namespace.is_some() { IssuerKind::ClusterIssuer } else { IssuerKind::Issuer };
        Retry::Issuer { kind, name: self.name }
    }
}

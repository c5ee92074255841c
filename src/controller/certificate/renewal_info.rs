//! The CA's renewal information, and the replaced certificate of an order (RFC 9773).

use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info};

use super::work::{ReconcileCertificate, Seen};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::runtime::clock;
use certwright_acme::{Account, AcmeError, AcmeResponse, NewOrder, Order};
use certwright_api::{RenewalInfoStatus, RenewalInformationSource};
use certwright_core::disposition::may_be_about_replaces;
use certwright_core::issuance::Outcome;
use certwright_core::renewal::{NoSuggestion, RenewalInfoRequest};

/// How long to wait for an answer about a certificate that was just issued: it delays the status.
const PATIENCE: Duration = Duration::from_secs(2);

impl Seen {
    /// Whether the CA is asked for renewal information. Without an issuer, its last answer still counts.
    pub(super) fn asks_ca(&self) -> bool {
        let source = self.in_use.issuer.as_ref().and_then(|issuer| issuer.spec.renewal_information_source);
        source.unwrap_or_default() == RenewalInformationSource::Ari
    }
}

impl ReconcileCertificate {
    /// Asks the CA for renewal information. Without an answer, the lifetime decides.
    pub(super) async fn ask_for_renewal_info(&mut self, context: &Context) -> Result<Outcome, Error> {
        let (account, now) = (self.account()?, clock::now());
        let leaf = self.secret_view.leaf().cloned();
        let leaf = leaf.ok_or(Error::Bug("the CA is to be asked about no certificate"))?;
        let certificate_id = leaf.certificate_id.clone();
        let certificate_id =
            certificate_id.ok_or(Error::Bug("the CA is to be asked about one without an id"))?;
        let before = self.seen.snapshot(context).with(&self.state).suggestion().cloned();
        let known = before.as_ref().is_some_and(|before| before.certificate_id == certificate_id);
        let failures = self.asked.as_ref().filter(|asked| asked.certificate_id == certificate_id);
        let question = RenewalInfoRequest {
            leaf: &leaf,
            certificate_id: &certificate_id,
            uid: &self.uid,
            account: account.url(),
            before: before.as_ref(),
            failures: failures.map_or(0, |asked| asked.failures),
            now,
            at_ca: self.at_ca(now),
        };
        let call = account.renewal_info(&certificate_id);
        let answer = match known {
            true => call.await.map_err(NoSuggestion::Call),
            false => timeout(PATIENCE, call).await.map_or(Err(NoSuggestion::TooSlow), |answer| Ok(answer?)),
        };
        let (status, asked) = match answer {
            Ok(Some(answer)) => {
                let (status, asked) = question.answered(&answer.value, answer.retry_after);
                (Some(status), asked)
            }
            Ok(None) => (None, question.without_service()),
            Err(why) => {
                debug!(%why, "the CA does not suggest a renewal time");
                question.failed(&why)
            }
        };
        if status != before
            && let Some(RenewalInfoStatus { selected_time: Some(time), explanation_url, .. }) = &status
        {
            info!(time = %time.0, explanation = explanation_url, "the CA suggests a renewal time");
        }
        context.renewal_info_polls.remember(&self.uid, asked.clone());
        self.asked = Some(asked);
        Ok(Outcome::Suggested(status))
    }
}

/// Places an order, and if the CA may have rejected it because of `replaces`, places it again without that field.
pub(super) async fn new_order(
    account: &Account,
    mut order: NewOrder,
) -> Result<AcmeResponse<Order>, AcmeError> {
    if order.replaces.is_some() && !account.has_renewal_info().await? {
        order.replaces = None;
    }
    match account.new_order(&order).await {
        Err(error) if order.replaces.is_some() && may_be_about_replaces(&error) => {
            info!(%error, "placing the order again without the field replaces");
            account.new_order(&NewOrder { replaces: None, ..order }).await
        }
        outcome => outcome,
    }
}

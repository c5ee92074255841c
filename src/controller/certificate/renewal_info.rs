//! Asks the CA for renewal information (RFC 9773).

use std::time::Duration;

use tokio::time::timeout;

use super::work::{ReconcileCertificate, Seen};
use crate::controller::error::Error;
use certwright_api::RenewalInformationSource;
use certwright_core::issuance::Outcome;
use certwright_core::renewal::NoSuggestion;

impl Seen {
    /// Whether the CA is asked for renewal information. Without an issuer, its last answer still counts.
    pub(super) fn asks_ca(&self) -> bool {
        let source = self.in_use.issuer.as_ref().and_then(|issuer| issuer.spec.renewal_information_source);
        source.unwrap_or_default() == RenewalInformationSource::Ari
    }
}

impl ReconcileCertificate {
    /// Asks the CA about a certificate.
    pub(super) async fn ask_for_renewal_info(
        &self,
        certificate_id: &str,
        patience: Option<Duration>,
    ) -> Result<Outcome, Error> {
        let account = self.account()?;
        let call = account.renewal_info(certificate_id);
        Ok(Outcome::RenewalInfoRead(match patience {
            None => call.await.map_err(NoSuggestion::Call),
            Some(patience) => {
                timeout(patience, call).await.map_or(Err(NoSuggestion::TooSlow), |answer| Ok(answer?))
            }
        }))
    }
}

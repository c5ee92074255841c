//! A CA's renewal information for a certificate (RFC 9773).

use jiff::Timestamp;
use serde::Deserialize;

use crate::bounded::check_url;
use crate::wire::lenient;
use crate::{Account, AcmeError, AcmeResponse, Operation};

/// The CA's suggestion for renewing a certificate (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// When to renew the certificate.
    pub suggested_window: SuggestedWindow,
    /// A page that may explain the suggestion.
    #[serde(rename = "explanationURL", default, deserialize_with = "lenient")]
    pub explanation_url: Option<String>,
}

/// The suggested time window, as the CA wrote it: it may end before it starts.
///
/// The status has a type of its own in `certwright-api`, because this crate knows nothing of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SuggestedWindow {
    /// Start of the window.
    pub start: Timestamp,
    /// End of the window.
    pub end: Timestamp,
}

impl Account {
    /// Requests the renewal information of the certificate with this id (see [`Leaf::certificate_id`](certwright_pki::Leaf)).
    /// `None` if the CA does not support it.
    ///
    /// The request is not signed. It counts as one of the account's requests in flight and is not made during a pause, but a
    /// rate limit on it does not pause the account: orders are more important than renewal information.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn renewal_info(
        &self,
        certificate_id: &str,
    ) -> Result<Option<AcmeResponse<RenewalInfo>>, AcmeError> {
        let _place = self.limiter().enter(self.server().clock()).await?;
        let Some(base) = self.server().directory().await?.renewal_info.clone() else { return Ok(None) };
        let url = format!("{}/{certificate_id}", base.trim_end_matches('/'));
        let reply = self.server().get(Operation::RenewalInfo, &url).await?;
        let mut answer = reply.answer::<RenewalInfo>()?;
        answer.value.explanation_url.take_if(|page| check_url("explanation", page).is_err());
        Ok(Some(answer))
    }
}

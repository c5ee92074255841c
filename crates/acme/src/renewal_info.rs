//! What a CA says of when a certificate is best renewed (RFC 9773).

use jiff::Timestamp;
use serde::Deserialize;

use crate::limits::check_url;
use crate::wire::lenient;
use crate::{Account, AcmeError, Answer, Operation};

/// When a certificate is best renewed (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// In which time.
    pub suggested_window: SuggestedWindow,
    /// A page that may say why.
    #[serde(rename = "explanationURL", default, deserialize_with = "lenient")]
    pub explanation_url: Option<String>,
}

/// The time in which a certificate is best renewed. As the CA wrote it: it may end before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SuggestedWindow {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

impl Account {
    /// Asks for the renewal information of the certificate with this id (see
    /// [`Leaf::certificate_id`](certwright_pki::Leaf)); `None` if the CA has no such service.
    ///
    /// The request is not signed. It takes one of the account's places in flight and is not made during a pause, but a
    /// refusal makes no pause: what is ordered is worth more than advice.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn renewal_info(&self, certificate_id: &str) -> Result<Option<Answer<RenewalInfo>>, AcmeError> {
        let _place = self.limiter().enter(self.server().clock()).await?;
        let Some(base) = self.server().directory().await?.renewal_info.clone() else { return Ok(None) };
        let url = format!("{}/{certificate_id}", base.trim_end_matches('/'));
        let reply = self.server().get(Operation::RenewalInfo, &url).await?;
        let mut answer = reply.answer::<RenewalInfo>()?;
        answer.value.explanation_url.take_if(|page| check_url("explanation", page).is_err());
        Ok(Some(answer))
    }

    /// Whether the CA has renewal information, and so wants to know what an order replaces.
    ///
    /// # Errors
    /// [`AcmeError`], if the directory had to be fetched and could not be.
    pub async fn has_renewal_info(&self) -> Result<bool, AcmeError> {
        Ok(self.server().directory().await?.renewal_info.is_some())
    }
}

//! When a certificate is renewed: what the spec says of it, and what the CA says.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Whom to ask when a certificate is best renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RenewalInformationSource {
    /// The CA.
    #[default]
    #[serde(rename = "ARI")]
    Ari,
    /// Nobody.
    #[serde(rename = "None")]
    Nobody,
}

/// What the ACME CA says of the certificate in the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateAcmeStatus {
    /// When the CA suggests to renew it (RFC 9773). Absent if the CA has no such service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ari: Option<RenewalInfoStatus>,
}

/// When the CA suggests to renew a certificate (RFC 9773). It is written when the CA says something new, not each time it is
/// asked: it is asked again whenever a whole number of `checkInterval` has passed since `since`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfoStatus {
    /// How the CA calls the certificate that this is about.
    #[serde(rename = "certificateID")]
    pub certificate_id: String,
    /// URL of the account that was in use then.
    pub account: String,
    /// When the CA was first asked about this certificate.
    pub first_checked: Time,
    /// Since when what stands here is so.
    pub since: Time,
    /// How often the CA is asked: what its Retry-After says, but no oftener than once a minute and no more seldom than once a
    /// day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub check_interval: Option<Duration>,
    /// The time in which the CA suggests to renew the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_window: Option<SuggestedWindowStatus>,
    /// The moment in that time that was chosen, by chance and for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_time: Option<Time>,
    /// A page of the CA that may say why it suggests this time.
    #[serde(rename = "explanationURL", default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
    /// How many certificates in a row were renewed before a tenth of their lifetime was used because the CA suggested it.
    /// Each waits longer than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_renewals: Option<i32>,
    /// Why the CA's last answer is of no use, or why there is none. What it suggested before still counts; without that the
    /// lifetime decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A time in which the CA suggests to renew a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuggestedWindowStatus {
    /// Its beginning.
    pub start: Time,
    /// Its end.
    pub end: Time,
}

//! When a certificate is renewed: what the spec requests, and what the CA suggests.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::duration::{CheckInterval, WindowDuration};
use crate::schema;

/// Where to get suggested renewal times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RenewalInformationSource {
    /// From the CA.
    #[default]
    #[serde(rename = "ARI")]
    Ari,
    /// Nowhere.
    #[serde(rename = "None")]
    Nobody,
}

/// When a certificate may be renewed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.?policy.orValue('RenewBefore') == 'Disabled' && size(self.?windows.orValue([])) > 0)")
        .message("renewal: windows have no effect with policy Disabled; remove one")
)]
pub struct CertificateRenewal {
    /// `RenewBefore` (the default): the certificate is renewed before it expires. `Disabled`: it is renewed only when the
    /// annotation `certwright.dev/renew` requests it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RenewalPolicy>,
    /// Time windows in which a renewal may start. By default, it may start at any time. If no window opens in time, the renewal
    /// starts outside the windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 20>")]
    #[schemars(length(max = 20))]
    pub windows: Vec<RenewalWindow>,
}

const CRON: &str = "self.matches('^ *(([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?)(,(([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?))* +(([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]+)?)(,(([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]+)?))* +(([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]+)?)(,(([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]+)?))* +(([*]|(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(-(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))?)(/[0-9]+)?)(,(([*]|(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(-(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))?)(/[0-9]+)?))* +(([*]|([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))(-([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat)))?)(/[0-9]+)?)(,(([*]|([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))(-([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat)))?)(/[0-9]+)?))* *$')";
const CRON_MESSAGE: &str = "cron: must have five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week (0-7), such as '0 2 * * 6'";

/// Whether a certificate is renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RenewalPolicy {
    /// Before it expires.
    #[default]
    RenewBefore,
    /// Only on request.
    Disabled,
}

/// A recurring time window in which a renewal may start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalWindow {
    /// When the window opens, in cron syntax: minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the
    /// week (0-7, where 0 and 7 are Sunday). `0 2 * * 6` is 02:00 on Saturdays.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new(CRON).message(CRON_MESSAGE))]
    pub cron: String,
    /// How long the window stays open, such as `4h`; at least `1m`.
    #[schemars(schema_with = "WindowDuration::schema")]
    pub window_duration: WindowDuration,
    /// IANA time zone of `cron`, such as `Europe/Paris`. Defaults to `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$')").message("timezone: must be an IANA time zone, such as Europe/Paris"))]
    pub timezone: Option<String>,
}

/// What the ACME CA says about the certificate in the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateAcmeStatus {
    /// When the CA suggests renewing the certificate (RFC 9773). Not set if the CA does not support this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ari: Option<RenewalInfoStatus>,
}

/// When the CA suggests renewing a certificate (RFC 9773). The operator asks the CA at `since` plus each multiple of
/// `checkInterval`, and updates this status only if the answer has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfoStatus {
    /// The CA's identifier for the certificate.
    #[serde(rename = "certificateID")]
    pub certificate_id: String,
    /// URL of the account that was used for the request.
    pub account: String,
    /// Time of the first request for this certificate.
    pub first_checked: Time,
    /// Time at which this information last changed.
    pub since: Time,
    /// How often the CA is asked: the value of its `Retry-After` header, at least `1m` and at most `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "CheckInterval::schema")]
    pub check_interval: Option<CheckInterval>,
    /// Time window in which the CA suggests renewing the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_window: Option<SuggestedWindowStatus>,
    /// Time within the window that was selected at random for the renewal. It is selected once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_time: Option<Time>,
    /// Earliest time from which the CA wanted this certificate replaced, if it has since suggested a later window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_time: Option<Time>,
    /// URL of a page where the CA may explain its suggestion.
    #[serde(rename = "explanationURL", default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
    /// Number of consecutive certificates before this one that the CA wanted replaced within the first tenth of their lifetime.
    /// Each is kept longer than the one before, up to its normal renewal time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_renewals: Option<i32>,
    /// Why the last request to the CA failed, or why its answer cannot be used. An earlier suggestion remains in effect;
    /// without one, the lifetime determines the renewal time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Time window in which the CA suggests renewing a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuggestedWindowStatus {
    /// Start of the window.
    pub start: Time,
    /// End of the window.
    pub end: Time,
}

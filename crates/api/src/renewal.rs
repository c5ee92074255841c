//! When a certificate is renewed: what the spec says of it, and what the CA says.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::duration::{CheckInterval, WindowDuration};
use crate::schema;

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

/// When a certificate may be renewed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.?policy.orValue('RenewBefore') == 'Disabled' && size(self.?windows.orValue([])) > 0)")
        .message("renewal: with policy Disabled nothing is renewed, so that windows have no meaning; remove one")
)]
pub struct CertificateRenewal {
    /// `RenewBefore` (the default): the certificate is renewed before it expires. `Disabled`: it is renewed only when the
    /// annotation `certwright.dev/renew` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RenewalPolicy>,
    /// Times in which a renewal may begin; without any it always may. It begins outside of them if none of them is open before
    /// it is too late.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 20>")]
    #[schemars(length(max = 20))]
    pub windows: Vec<RenewalWindow>,
}

const CRON: &str = "self.matches('^ *(([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?)(,(([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?))* +(([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]+)?)(,(([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]+)?))* +(([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]+)?)(,(([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]+)?))* +(([*]|(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(-(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))?)(/[0-9]+)?)(,(([*]|(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(-(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))?)(/[0-9]+)?))* +(([*]|([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))(-([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat)))?)(/[0-9]+)?)(,(([*]|([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))(-([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat)))?)(/[0-9]+)?))* *$')";
const CRON_MESSAGE: &str = "cron: five fields, minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week (0-7), such as '0 2 * * 6'";

/// Whether a certificate is renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RenewalPolicy {
    /// Before it expires.
    #[default]
    RenewBefore,
    /// Only when asked for.
    Disabled,
}

/// Times in which a renewal may begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalWindow {
    /// When it opens, as cron has it: minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week
    /// (0-7, Sunday is 0 and 7). `0 2 * * 6` is two o'clock on Saturdays.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new(CRON).message(CRON_MESSAGE))]
    pub cron: String,
    /// How long it is open, such as `4h`; at least `1m`.
    #[schemars(schema_with = "WindowDuration::schema")]
    pub window_duration: WindowDuration,
    /// Time zone of `cron`, as the IANA calls it, such as `Europe/Paris`; `UTC` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$')").message("timezone: a time zone of the IANA, such as Europe/Paris"))]
    pub timezone: Option<String>,
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
    #[schemars(schema_with = "CheckInterval::schema")]
    pub check_interval: Option<CheckInterval>,
    /// The time in which the CA suggests to renew the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_window: Option<SuggestedWindowStatus>,
    /// The moment in that time that was chosen, by chance and for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_time: Option<Time>,
    /// The earliest moment that was chosen for this certificate before, if the CA has put it off since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_time: Option<Time>,
    /// A page of the CA that may say why it suggests this time.
    #[serde(rename = "explanationURL", default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
    /// How many certificates in a row, before this one, the CA wanted replaced before a tenth of their lifetime was used. Each is
    /// kept longer than the one before, in the end until its normal renewal time.
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

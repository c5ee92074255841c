//! Whether servers show the certificate that the Secret has.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_DNS_NAME, MAX_SERVED_ADDRESSES};
use crate::schema;

/// Whether and where to check that servers show the certificate in the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedSpec {
    /// Whether the operator connects to each name to check that the certificate in the Secret is served there. The flag
    /// `--check-served` sets the default; without it, nothing is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<bool>,
    /// Port to connect to; 443 by default. The flag `--served-ports` must allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// IP addresses to connect to, such as those of a load balancer that is not in DNS yet. By default, those that DNS has for each
    /// name.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_SERVED_ADDRESSES>"
    )]
    #[schemars(schema_with = "schema::served_addresses")]
    pub addresses: Vec<String>,
    /// Name to ask for, instead of each name of the certificate, of which it must be one. If the certificate is only for
    /// `*.example.com`, this may be `www.example.com`; wildcards are not checked otherwise.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, MAX_DNS_NAME>"
    )]
    #[schemars(length(min = 1, max = MAX_DNS_NAME))]
    #[x_kube(validation = Rule::new("self.matches('^([a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?[.])*[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$')").message("serverName: must be a DNS name without a wildcard, such as www.example.com"))]
    pub server_name: Option<String>,
}

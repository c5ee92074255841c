//! Ways to prove control of names: dns-01 through providers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base64::PemBundle;
use crate::bounds::{self, MAX_URL};
use crate::duration::{DeletionTimeout, PropagationTimeout, RequestTimeout};
use crate::opaque_json::OpaqueJson;
use crate::schema;

/// dns-01 (RFC 8555 section 8.4): a TXT record at `_acme-challenge.<name>`, put there by a provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.webhook), has(self.httpRequest), has(self.rfc2136), has(self.acmeDNS), has(self.akamai), has(self.azureDNS), has(self.cloudDNS), has(self.cloudflare), has(self.digitalocean), has(self.route53)].filter(x, x).size() == 1")
        .message("dns01 needs one of webhook, httpRequest, rfc2136 and acmeDNS"),
)]
pub struct Dns01Solver {
    /// `None` (the default): the record stands at `_acme-challenge.<name>` itself. `Follow`: where a CNAME there leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname_strategy: Option<CnameStrategy>,
    /// A provider that speaks cert-manager's webhook protocol behind the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Dns01Webhook>,
    /// A provider that is an HTTP server, as lego's `httpreq` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_request: Option<Dns01HttpRequest>,
    /// A name server that takes dynamic updates (RFC 2136).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc2136: Option<Dns01Rfc2136>,
    /// An acme-dns server, to which `_acme-challenge.<name>` is delegated by a CNAME.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "acmeDNS")]
    pub acme_dns: Option<Dns01AcmeDns>,
    /// How to see that the record is there before the CA is told to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Dns01Propagation>,
    /// For how long the deletion of a Certificate waits for a provider that fails to remove the record, such as `1m`, the
    /// default; at most `1h`. After that the record is left behind, and an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "DeletionTimeout::schema")]
    pub cleanup_timeout: Option<DeletionTimeout>,
    /// Providers of cert-manager that are refused here.
    #[serde(flatten)]
    pub unsupported: UnsupportedDns01Providers,
}

/// What a CNAME at `_acme-challenge.<name>` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum CnameStrategy {
    /// It is not looked at.
    #[default]
    None,
    /// The record stands where it leads.
    Follow,
}

/// A provider that speaks cert-manager's webhook protocol: `POST /apis/<groupName>/v1alpha1/<solverName>` at the API server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01Webhook {
    /// API group that the provider serves.
    #[serde(deserialize_with = "bounds::dns_name")]
    #[schemars(length(min = 1, max = bounds::MAX_DNS_NAME), regex(pattern = bounds::DNS_NAME))]
    pub group_name: String,
    /// Name of the solver in that group.
    #[serde(deserialize_with = "bounds::dns_name")]
    #[schemars(length(min = 1, max = bounds::MAX_DNS_NAME), regex(pattern = bounds::DNS_NAME))]
    pub solver_name: String,
    /// Passed on to the provider as it is. It is kept in the status while a record stands: name Secrets in it, and put none
    /// of their contents here. At most 65,536 characters of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::anything")]
    pub config: Option<OpaqueJson>,
}

/// A provider that takes `POST <url>/present` and `POST <url>/cleanup`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.authSecretRef) && has(self.bearerTokenSecretRef))")
    .message("dns01.httpRequest: authSecretRef and bearerTokenSecretRef exclude each other; keep one"))]
pub struct Dns01HttpRequest {
    /// URL that `/present` and `/cleanup` are added to.
    #[serde(deserialize_with = "bounds::text::<_, MAX_URL>")]
    #[schemars(length(min = 1, max = MAX_URL))]
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getScheme() == 'https' || url(self).getScheme() == 'http')")
        .message("dns01.httpRequest.url: an http or https URL"))]
    pub url: String,
    /// Empty (the default): the body has `fqdn` and `value`. `RAW`: it has `domain`, `token` and `keyAuth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<HttpRequestMode>,
    /// Secret with `username` and `password` for basic authentication, as the type `kubernetes.io/basic-auth` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_ref: Option<LocalSecretRef>,
    /// Secret with a bearer token; `token` is the key by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<Dns01SecretKeySelector>,
    /// PEM certificates that the provider's HTTPS certificate is checked against, in place of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "PemBundle::schema")]
    pub ca_bundle: Option<PemBundle>,
    /// How long to wait for an answer, such as `30s`, the default; at most `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RequestTimeout::schema")]
    pub timeout: Option<RequestTimeout>,
}

/// What the body of a request has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum HttpRequestMode {
    /// `fqdn` and `value`.
    #[default]
    #[serde(rename = "")]
    Default,
    /// `domain`, `token` and `keyAuth`.
    #[serde(rename = "RAW")]
    Raw,
}

/// A name server that takes dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.tsigKeyName) == has(self.tsigSecretSecretRef)")
        .message("dns01.rfc2136: tsigKeyName and tsigSecretSecretRef belong together"),
)]
pub struct Dns01Rfc2136 {
    /// Address or name of the server, with a port if that is not 53, such as `192.0.2.53:53` or `[2001:db8::53]:53`.
    #[schemars(length(min = 1, max = 300))]
    pub nameserver: String,
    /// Name of the TSIG key. Without one, updates are not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tsig_key_name: Option<String>,
    /// `HMACMD5` (the default, as in cert-manager), `HMACSHA1`, `HMACSHA224`, `HMACSHA256`, `HMACSHA384` or `HMACSHA512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.upperAscii() in ['HMACMD5', 'HMACSHA1', 'HMACSHA224', 'HMACSHA256', 'HMACSHA384', 'HMACSHA512']")
        .message("dns01.rfc2136.tsigAlgorithm: HMACMD5, HMACSHA1, HMACSHA224, HMACSHA256, HMACSHA384 or HMACSHA512"))]
    #[schemars(length(max = 32))]
    pub tsig_algorithm: Option<String>,
    /// Secret with the TSIG key in base64, as `tsig-keygen` prints it; `tsig-secret-key` is the key by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsig_secret_secret_ref: Option<Dns01SecretKeySelector>,
    /// `UDP` (the default; a truncated answer is asked for again over TCP) or `TCP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<DnsProtocol>,
}

/// How a name server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsProtocol {
    /// UDP, and TCP where the answer is truncated.
    #[default]
    Udp,
    /// TCP.
    Tcp,
}

/// An acme-dns server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01AcmeDns {
    /// URL of the server.
    #[serde(deserialize_with = "bounds::text::<_, MAX_URL>")]
    #[schemars(length(min = 1, max = MAX_URL))]
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getScheme() == 'https' || url(self).getScheme() == 'http')")
        .message("dns01.acmeDNS.host: an http or https URL"))]
    pub host: String,
    /// Secret with the accounts as JSON: an object that has, for each domain, what the server's `/register` returned;
    /// `acmedns.json` is the key by default.
    pub account_secret_ref: Dns01SecretKeySelector,
}

/// A value in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01SecretKeySelector {
    /// Name of the Secret, in the Issuer's namespace; for a ClusterIssuer in the operator's.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = bounds::MAX_OBJECT_NAME), regex(pattern = bounds::OBJECT_NAME))]
    pub name: String,
    /// Key in its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalSecretRef {
    /// Name of the Secret, in the Issuer's namespace; for a ClusterIssuer in the operator's.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = bounds::MAX_OBJECT_NAME), regex(pattern = bounds::OBJECT_NAME))]
    pub name: String,
}

/// How to see that a record is there before the CA is told to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01Propagation {
    /// Recursive name servers to ask: `ip`, `ip:port`, or the URL of a server for DNS over HTTPS. By default those of
    /// `--dns01-recursive-nameservers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 300)))]
    pub nameservers: Vec<String>,
    /// `Authoritative`: each authoritative server of the zone has the record. `Recursive`: the recursive servers see it,
    /// for where port 53 is blocked. The default is what `--dns01-recursive-nameservers-only` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<PropagationCheck>,
    /// After so long, such as `10m`, the default, an order whose record is still not seen makes room for others and is
    /// looked at less often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "PropagationTimeout::schema")]
    pub timeout: Option<PropagationTimeout>,
}

/// Who has to have the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum PropagationCheck {
    /// Each authoritative server of the zone.
    #[default]
    Authoritative,
    /// The recursive servers.
    Recursive,
}

/// Providers of cert-manager that are refused, each by a rule of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnsupportedDns01Providers {
    /// Refused: Certwright has no cloud provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("dns01.akamai: Certwright has no cloud provider's code; install a webhook for the provider and name it in dns01.webhook"))]
    pub akamai: Option<Value>,
    /// Refused: Certwright has no cloud provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "azureDNS")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("dns01.azureDNS: Certwright has no cloud provider's code; install a webhook for the provider and name it in dns01.webhook"))]
    pub azure_dns: Option<Value>,
    /// Refused: Certwright has no cloud provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cloudDNS")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("dns01.cloudDNS: Certwright has no cloud provider's code; install a webhook for the provider and name it in dns01.webhook"))]
    pub cloud_dns: Option<Value>,
    /// Refused: Certwright has no cloud provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("dns01.cloudflare: Certwright has no cloud provider's code; install a webhook for the provider and name it in dns01.webhook"))]
    pub cloudflare: Option<Value>,
    /// Refused: Certwright has no cloud provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("dns01.digitalocean: Certwright has no cloud provider's code; install a webhook for the provider and name it in dns01.webhook"))]
    pub digitalocean: Option<Value>,
    /// Refused: Certwright has no cloud provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("dns01.route53: Certwright has no cloud provider's code; install a webhook for the provider and name it in dns01.webhook"))]
    pub route53: Option<Value>,
}

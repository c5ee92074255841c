//! The dns-01 solver and its providers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base64::PemBundle;
use crate::bounds::{self, MAX_URL};
use crate::dns_services::Dns01Services;
use crate::duration::{DeletionTimeout, PropagationTimeout, RequestTimeout};
use crate::opaque_json::OpaqueJson;
use crate::schema;

/// dns-01 (RFC 8555 section 8.4): a provider adds a TXT record at `_acme-challenge.<name>`. With `label: Account`, dns-account-01
/// (draft-ietf-acme-dns-account-label).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.webhook), has(self.httpRequest), has(self.rfc2136), has(self.acmeDNS), has(self.akamai), has(self.azureDNS), has(self.cloudDNS), has(self.cloudflare), has(self.digitalocean), has(self.route53)].filter(x, x).size() == 1")
        .message("dns01: set exactly one of webhook, httpRequest, rfc2136, acmeDNS, akamai, azureDNS, cloudDNS, cloudflare, digitalocean and route53"),
    validation = Rule::new("self.?label.orValue('Standard') != 'Account' || self.?httpRequest.?mode.orValue('') != 'RAW'")
        .message("dns01.label: a provider in mode RAW chooses the name of the record itself, which is that of dns-01; leave out label or httpRequest.mode"),
    validation = Rule::new("size(self.?nameservers.orValue([])) == 0 || size(self.?propagation.?nameservers.orValue([])) == 0")
        .message("dns01.nameservers: means propagation with these nameservers and check: Recursive; remove one of the two"),
)]
pub struct Dns01Solver {
    /// The name of the record. `Standard` (the default): `_acme-challenge.<name>`, for the challenge dns-01. `Account`: a label of
    /// the account comes first, for the challenge dns-account-01, so that several accounts can prove control of one name
    /// independently. The CA must offer that challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<ChallengeLabel>,
    /// `None` (the default): the record is added at `_acme-challenge.<name>` itself. `Follow`: if there is a CNAME record at
    /// that name, the record is added at its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname_strategy: Option<CnameStrategy>,
    /// A provider that implements cert-manager's webhook protocol, called through the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Dns01Webhook>,
    /// A provider that is an HTTP server with the protocol of lego's `httpreq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_request: Option<Dns01HttpRequest>,
    /// A name server that accepts dynamic updates (RFC 2136).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc2136: Option<Dns01Rfc2136>,
    /// An acme-dns server. A CNAME record delegates `_acme-challenge.<name>` to it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "acmeDNS")]
    pub acme_dns: Option<Dns01AcmeDns>,
    /// How to check that the record is visible before the CA is told to validate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Dns01Propagation>,
    /// Recursive name servers that must return the record: `ip`, `ip:port`, or the URL of a DNS-over-HTTPS server. The same as
    /// `propagation` with these `nameservers` and `check: Recursive`, and the name that cert-manager has for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 300)))]
    pub nameservers: Vec<String>,
    /// How long the deletion of a Certificate waits for a provider that fails to remove the record, at most `1h`. Defaults to
    /// `1m`. After that, the record is left behind and an event reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "DeletionTimeout::schema")]
    pub cleanup_timeout: Option<DeletionTimeout>,
    /// The DNS services that cert-manager has built in.
    #[serde(flatten)]
    pub services: Dns01Services,
}

impl Dns01Solver {
    /// The solver's own name servers; empty for the operator's.
    pub fn own_nameservers(&self) -> &[String] {
        match (self.nameservers.as_slice(), &self.propagation) {
            ([], Some(propagation)) => &propagation.nameservers,
            (own, _) => own,
        }
    }

    /// Which servers must return the record, if the solver says so.
    pub fn own_check(&self) -> Option<PropagationCheck> {
        let check = self.propagation.as_ref().and_then(|propagation| propagation.check);
        check.or((!self.nameservers.is_empty()).then_some(PropagationCheck::Recursive))
    }
}

/// The name of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum ChallengeLabel {
    /// The same for all accounts.
    #[default]
    Standard,
    /// One for each account.
    Account,
}

/// What to do with a CNAME record at `_acme-challenge.<name>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum CnameStrategy {
    /// Ignore it.
    #[default]
    None,
    /// Add the TXT record at its target.
    Follow,
}

/// A provider that implements cert-manager's webhook protocol: `POST /apis/<groupName>/v1alpha1/<solverName>` at the API
/// server.
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
    /// Configuration that is passed to the provider unchanged. It is kept in the status while a record exists, so refer to
    /// Secrets by name and do not put credentials here. At most 65,536 characters of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::anything")]
    pub config: Option<OpaqueJson>,
}

/// A provider that accepts `POST <url>/present` and `POST <url>/cleanup`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.authSecretRef) && has(self.bearerTokenSecretRef))")
    .message("dns01.httpRequest: authSecretRef and bearerTokenSecretRef are mutually exclusive; remove one"))]
pub struct Dns01HttpRequest {
    /// URL of the provider. `/present` and `/cleanup` are appended to it.
    #[serde(deserialize_with = "bounds::text::<_, MAX_URL>")]
    #[schemars(length(min = 1, max = MAX_URL))]
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getScheme() == 'https' || url(self).getScheme() == 'http')")
        .message("dns01.httpRequest.url: must be an http or https URL"))]
    pub url: String,
    /// Format of the request body. Empty (the default): the body has `fqdn` and `value`. `RAW`: it has `domain`, `token` and
    /// `keyAuth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<HttpRequestMode>,
    /// Secret with `username` and `password` for basic authentication, as in Secrets of type `kubernetes.io/basic-auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_ref: Option<LocalSecretRef>,
    /// Secret with a bearer token. The key defaults to `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<Dns01SecretKeySelector>,
    /// PEM CA certificates that the provider's HTTPS certificate is verified against, instead of the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "PemBundle::schema")]
    pub ca_bundle: Option<PemBundle>,
    /// How long to wait for a response, at most `5m`. Defaults to `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RequestTimeout::schema")]
    pub timeout: Option<RequestTimeout>,
}

/// Fields of a request body.
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

/// A name server that accepts dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.tsigKeyName) == has(self.tsigSecretSecretRef)")
        .message("dns01.rfc2136: set both tsigKeyName and tsigSecretSecretRef, or neither"),
)]
pub struct Dns01Rfc2136 {
    /// Address or name of the server, with an optional port (default 53), such as `192.0.2.53:53` or `[2001:db8::53]:53`.
    #[schemars(length(min = 1, max = 300))]
    pub nameserver: String,
    /// Name of the TSIG key. Without one, updates are not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tsig_key_name: Option<String>,
    /// Algorithm of the TSIG key: `HMACMD5` (the default, as in cert-manager), `HMACSHA1`, `HMACSHA224`, `HMACSHA256`,
    /// `HMACSHA384` or `HMACSHA512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.upperAscii() in ['HMACMD5', 'HMACSHA1', 'HMACSHA224', 'HMACSHA256', 'HMACSHA384', 'HMACSHA512']")
        .message("dns01.rfc2136.tsigAlgorithm: must be HMACMD5, HMACSHA1, HMACSHA224, HMACSHA256, HMACSHA384 or HMACSHA512"))]
    #[schemars(length(max = 32))]
    pub tsig_algorithm: Option<String>,
    /// Secret with the TSIG key in base64, as `tsig-keygen` prints it. The key in the Secret defaults to `tsig-secret-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsig_secret_secret_ref: Option<Dns01SecretKeySelector>,
    /// Protocol for requests to the server: `UDP` (the default; truncated responses are requested again over TCP) or `TCP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<DnsProtocol>,
}

/// Protocol for requests to a name server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsProtocol {
    /// UDP, or TCP if the response is truncated.
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
        .message("dns01.acmeDNS.host: must be an http or https URL"))]
    pub host: String,
    /// Secret with the accounts as a JSON object that maps each domain to what the server's `/register` returned. The key in
    /// the Secret defaults to `acmedns.json`.
    pub account_secret_ref: Dns01SecretKeySelector,
}

/// Reference to a value in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01SecretKeySelector {
    /// Name of the Secret, in the Issuer's namespace; for a ClusterIssuer, in the operator's namespace.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = bounds::MAX_OBJECT_NAME), regex(pattern = bounds::OBJECT_NAME))]
    pub name: String,
    /// Key in the Secret's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// Reference to a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalSecretRef {
    /// Name of the Secret, in the Issuer's namespace; for a ClusterIssuer, in the operator's namespace.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = bounds::MAX_OBJECT_NAME), regex(pattern = bounds::OBJECT_NAME))]
    pub name: String,
}

/// How to check that a record is visible before the CA is told to validate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01Propagation {
    /// Recursive name servers to query: `ip`, `ip:port`, or the URL of a DNS-over-HTTPS server. Defaults to those in the flag
    /// `--dns01-recursive-nameservers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 300)))]
    pub nameservers: Vec<String>,
    /// `Authoritative`: wait until each authoritative server of the zone has the record. `Recursive`: wait until the recursive
    /// servers return it; use this if port 53 is blocked. The flag `--dns01-recursive-nameservers-only` sets the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<PropagationCheck>,
    /// If the record is not visible after this time, the order makes room for others and the record is checked less often.
    /// Defaults to `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "PropagationTimeout::schema")]
    pub timeout: Option<PropagationTimeout>,
}

/// Which servers must return the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum PropagationCheck {
    /// Each authoritative server of the zone.
    #[default]
    Authoritative,
    /// The recursive servers.
    Recursive,
}

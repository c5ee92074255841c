//! `Issuer` and `ClusterIssuer`: an account at a CA, and the solvers that prove control of names to it.

#![allow(clippy::duplicated_attributes, reason = "each printer column has a name, a type and a path")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account_end::AccountPolicy;
use crate::allow::Allow;
use crate::authorization::KeptAuthorization;
use crate::base64::PemBundle;
use crate::bounds::{self, MAX_AUTHORIZATIONS, MAX_SOLVERS, MAX_URL};
use crate::caa::CaaCheck;
use crate::certificate::CertificatePrivateKey;
use crate::duration::{AcmeRequestTimeout, RenewBefore, RolloverInterval};
use crate::issuer_status::IssuerStatus;
use crate::renewal::RenewalInformationSource;
use crate::schema;
use crate::solver::Solver;

/// Desired state of the issuer.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "certwright.dev",
    version = "v1alpha1",
    kind = "Issuer",
    plural = "issuers",
    category = "certwright",
    namespaced,
    status = "IssuerStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "An Issuer is an account at an ACME CA, for the Certificates of its namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Server", type_ = "string", json_path = ".spec.acme.server"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Account", type_ = "string", json_path = ".status.acme.uri", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct IssuerSpec {
    /// The ACME CA, and the account there.
    pub acme: AcmeIssuer,
}

/// Desired state of the issuer.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "certwright.dev",
    version = "v1alpha1",
    kind = "ClusterIssuer",
    plural = "clusterissuers",
    shortname = "cissuer",
    category = "certwright",
    status = "IssuerStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A ClusterIssuer is an account at an ACME CA, for the Certificates of every namespace. Its Secrets live in the operator's namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Server", type_ = "string", json_path = ".spec.acme.server"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Account", type_ = "string", json_path = ".status.acme.uri", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIssuerSpec {
    /// The ACME CA, and the account there.
    pub acme: AcmeIssuer,
    /// Which namespaces may use this ClusterIssuer, and for which names. By default, all namespaces may use it for any name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
}

/// An account at an ACME CA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.caBundle) && self.?skipTLSVerify.orValue(false))")
        .message("caBundle and skipTLSVerify are mutually exclusive; remove one")
)]
pub struct AcmeIssuer {
    /// URL of the CA's directory, such as `https://acme-v02.api.letsencrypt.org/directory`. A different URL means a different
    /// account, even if only the path differs.
    #[serde(deserialize_with = "bounds::text::<_, MAX_URL>")]
    #[schemars(length(min = 1, max = MAX_URL))]
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getScheme() == 'https' || url(self).getScheme() == 'http')")
        .message("server: must be the http or https URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory"))]
    pub server: String,
    /// Contact email address that is registered at the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254))]
    pub email: Option<String>,
    /// More contact email addresses, in addition to `email`. Not every CA accepts more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::email_addresses")]
    pub emails: Vec<String>,
    /// Secret that stores the account's private key, by default under the key `tls.key`. It is created if it does not exist.
    /// The default name is the issuer's name followed by `-account-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<PrivateKeySecretRef>,
    /// Credentials of an existing account at the CA, which the ACME account is bound to. They are used once, to register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<ExternalAccountBinding>,
    /// PEM CA certificates that the ACME server's HTTPS certificate is verified against, instead of the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "PemBundle::schema")]
    pub ca_bundle: Option<PemBundle>,
    /// Do not verify the ACME server's HTTPS certificate. For tests only: anyone who can intercept the connection can have
    /// certificates issued. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "skipTLSVerify")]
    pub skip_tls_verify: Option<bool>,
    /// How long the CA may take to answer a request, from `5s` to `5m`. Defaults to `30s`. Increase it for a CA that holds
    /// requests until it has issued the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "AcmeRequestTimeout::schema")]
    pub request_timeout: Option<AcmeRequestTimeout>,
    /// Common name of an issuer in the preferred chain. Used if the CA offers several chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub preferred_chain: Option<String>,
    /// Profile to request from the CA. The CA's directory lists the available profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub profile: Option<String>,
    /// What applies to the Certificates of this issuer unless they say otherwise. A change takes effect with the next issuance
    /// of each Certificate, and never causes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_defaults: Option<CertificateDefaults>,
    /// Hash of the signatures of certificate signing requests. `MatchKey` (the default): SHA-256 for RSA and ECDSA P-256, SHA-384
    /// for P-384, SHA-512 for P-521. `SHA256`: always SHA-256, for CAs that accept no other. Ed25519 keys have no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr_signature_hash: Option<CsrSignatureHash>,
    /// Where to get suggested renewal times. `ARI` (the default): from the CA, if it supports ACME Renewal Information (RFC
    /// 9773). `None`: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_information_source: Option<RenewalInformationSource>,
    /// Whether to check the CAA records of a Certificate's names before an order is placed. `Enforce` (the default): do not place
    /// an order that the CA must refuse, if its directory says which names it has in CAA records. `None`: do not look them up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa_check: Option<CaaCheck>,
    /// Request the lifetime in a Certificate's `duration` from the CA, as `notAfter` of the order (RFC 8555 section 7.4). Few
    /// CAs support it; Let's Encrypt rejects such orders. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_duration_feature: Option<bool>,
    /// Algorithm, size and rollover of the account key that Certwright generates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_key: Option<AccountKey>,
    /// Never generate an account key: use the one in the Secret `privateKeySecretRef`, or wait for it. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_account_key_generation: Option<bool>,
    /// What happens to the account when the issuer is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_policy: Option<AccountPolicy>,
    /// Solvers that prove control of names. For each name, the solver with the most specific matching selector is used.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_SOLVERS>"
    )]
    #[schemars(length(max = MAX_SOLVERS))]
    pub solvers: Vec<Solver>,
    /// Names whose authorizations are kept, if the CA offers pre-authorization (RFC 8555 section 7.4.1): control of them is proved
    /// ahead of any order over dns-01, and again before the proof expires. Certificates for these names then need no solver.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_AUTHORIZATIONS>"
    )]
    #[schemars(
        length(max = MAX_AUTHORIZATIONS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["dnsName"])
    )]
    pub authorizations: Vec<KeptAuthorization>,
}

/// Values for fields that a Certificate does not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDefaults {
    /// The certificate's private key. `size` applies only to Certificates that set neither `algorithm` nor `size`, or the same
    /// `algorithm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<CertificatePrivateKey>,
    /// How long before it expires the certificate is renewed, for Certificates without `renewBefore` and
    /// `renewBeforePercentage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RenewBefore::schema")]
    pub renew_before: Option<RenewBefore>,
}

/// Hash of the signatures of certificate signing requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum CsrSignatureHash {
    /// The hash that matches the key.
    #[default]
    MatchKey,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
}

/// Reference to the Secret that stores the account's private key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKeySecretRef {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("privateKeySecretRef.name: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit"))]
    pub name: String,
    /// Key in the Secret's data. Defaults to `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("privateKeySecretRef.key: must consist of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// Reference to a value in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeySelector {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("keySecretRef.name: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit"))]
    pub name: String,
    /// Key in the Secret's data. Defaults to `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("keySecretRef.key: must consist of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// Reference to a key id in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyIdSecretRef {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("keyIDSecretRef.name: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit"))]
    pub name: String,
    /// Key in the Secret's data. Defaults to `keyID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("keyIDSecretRef.key: must consist of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// Credentials that bind the ACME account to an account at the CA (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.keyID) != has(self.keyIDSecretRef)")
        .message("externalAccountBinding: set either keyID or keyIDSecretRef")
)]
pub struct ExternalAccountBinding {
    /// Key id from the CA. A different key id means a different account.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyID")]
    #[schemars(length(min = 1, max = 1024))]
    pub key_id: Option<String>,
    /// Secret with the key id, as an alternative to `keyID`. A different key id means a different account.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyIDSecretRef")]
    pub key_id_secret_ref: Option<KeyIdSecretRef>,
    /// Secret with the MAC key from the CA, in base64url. Standard base64, padding and surrounding white space are accepted.
    /// You can delete the Secret once the account is registered.
    pub key_secret_ref: SecretKeySelector,
    /// MAC algorithm: `HS256` (the default), `HS384` or `HS512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<MacAlgorithm>,
}

/// MAC algorithm of an external account binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(transform = schema::without_description)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

/// The account key that Certwright generates if the Secret has none, and when it is rolled over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('ECDSA') == 'RSA' ? self.size in [2048, 3072, 4096] : true)")
        .message("accountKey.size: must be 2048, 3072 or 4096 for RSA"),
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('ECDSA') == 'ECDSA' ? self.size in [256, 384] : true)")
        .message("accountKey.size: must be 256 or 384 for ECDSA")
)]
pub struct AccountKey {
    /// Algorithm of the key: `ECDSA` (the default) or `RSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AccountKeyAlgorithm>,
    /// Size of the key in bits. ECDSA: 256 (the default) or 384. RSA: 2048, 3072 (the default) or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
    /// Age at which the key is replaced by a new one at the CA (RFC 8555 section 7.3.5), such as `2160h`; at least `1h`. By
    /// default the key is not replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RolloverInterval::schema")]
    pub rollover_interval: Option<RolloverInterval>,
}

/// Algorithm of an account key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum AccountKeyAlgorithm {
    /// ECDSA on a NIST curve.
    #[default]
    #[serde(rename = "ECDSA")]
    Ecdsa,
    /// RSA.
    #[serde(rename = "RSA")]
    Rsa,
}

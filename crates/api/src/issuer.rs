//! `Issuer` and `ClusterIssuer`: an account at a CA, and the ways to prove control of names to it.

#![allow(clippy::duplicated_attributes, reason = "each printer column has a name, a type and a path")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account_end::{AccountPolicy, DeactivationStatus, PreviousAccount};
use crate::allow::Allow;
use crate::base64::PemBundle;
use crate::bounds::{self, MAX_SOLVERS, MAX_URL};
use crate::duration::RolloverInterval;
use crate::renewal::RenewalInformationSource;
use crate::schema;
use crate::solver::Solver;

/// What issues the certificates.
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
    /// The ACME CA.
    pub acme: AcmeIssuer,
}

/// What issues the certificates.
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
    /// The ACME CA.
    pub acme: AcmeIssuer,
    /// Which namespaces may use it, and for which names; without it, all may, for any name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
}

/// An account at an ACME CA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.caBundle) && self.?skipTLSVerify.orValue(false))")
        .message("caBundle and skipTLSVerify exclude each other; remove one")
)]
pub struct AcmeIssuer {
    /// URL of the CA's directory, such as `https://acme-v02.api.letsencrypt.org/directory`. Another URL, also one
    /// that differs in its path only, is another account.
    #[serde(deserialize_with = "bounds::text::<_, MAX_URL>")]
    #[schemars(length(min = 1, max = MAX_URL))]
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getScheme() == 'https' || url(self).getScheme() == 'http')")
        .message("server: the URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory"))]
    pub server: String,
    /// E-mail address that the CA writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254))]
    pub email: Option<String>,
    /// More e-mail addresses that the CA writes to, after `email`. Not every CA takes more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::email_addresses")]
    pub emails: Vec<String>,
    /// Secret that holds the account's private key in `tls.key` (or the key named). It is made if it does not exist.
    /// By default its name is the issuer's with `-account-key` behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<PrivateKeySecretRef>,
    /// Credentials of an account at the CA outside ACME. They are used once, to register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<ExternalAccountBinding>,
    /// PEM certificates that the CA's HTTPS certificate is checked against, in place of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "PemBundle::schema")]
    pub ca_bundle: Option<PemBundle>,
    /// Accept any HTTPS certificate from the CA. For tests only: whoever sits between can have certificates issued.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "skipTLSVerify")]
    pub skip_tls_verify: Option<bool>,
    /// Common name of an issuer in the chain that is preferred where the CA offers several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub preferred_chain: Option<String>,
    /// Profile to ask the CA for; the directory lists those that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub profile: Option<String>,
    /// Whom to ask when a certificate is best renewed: `ARI` (the default), the CA itself (RFC 9773), if it has a service for
    /// that; or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_information_source: Option<RenewalInformationSource>,
    /// Tell the CA the lifetime that a Certificate's `duration` asks for, as `notAfter` of the order (RFC 8555 section 7.4).
    /// Few CAs take it; Let's Encrypt refuses the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_duration_feature: Option<bool>,
    /// The account's private key, if Certwright makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_key: Option<AccountKey>,
    /// Never make an account key: the one in the Secret that `privateKeySecretRef` names is used, or waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_account_key_generation: Option<bool>,
    /// How the account ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_policy: Option<AccountPolicy>,
    /// Ways to prove control of names. The one whose selector fits a name best is used for it.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_SOLVERS>"
    )]
    #[schemars(length(max = MAX_SOLVERS))]
    pub solvers: Vec<Solver>,
}

/// Where the account's private key is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKeySecretRef {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("privateKeySecretRef.name: a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends"))]
    pub name: String,
    /// Key in its data; `tls.key` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("privateKeySecretRef.key: a key of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// A value in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeySelector {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("keySecretRef.name: a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends"))]
    pub name: String,
    /// Key in its data; `secret` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("keySecretRef.key: a key of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// A key id in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyIdSecretRef {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("keyIDSecretRef.name: a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends"))]
    pub name: String,
    /// Key in its data; `keyID` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("keyIDSecretRef.key: a key of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// Credentials that bind the ACME account to an account at the CA (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.keyID) != has(self.keyIDSecretRef)")
        .message("externalAccountBinding needs one of keyID and keyIDSecretRef")
)]
pub struct ExternalAccountBinding {
    /// Key id that the CA gave. Another one is another account.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyID")]
    #[schemars(length(min = 1, max = 1024))]
    pub key_id: Option<String>,
    /// The key id in a Secret, where it is not to be in the spec. Another one there is another account.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyIDSecretRef")]
    pub key_id_secret_ref: Option<KeyIdSecretRef>,
    /// The MAC key that the CA gave, in base64url; standard base64, padding and white space around it are accepted.
    /// It may go away once the account is registered.
    pub key_secret_ref: SecretKeySelector,
    /// Algorithm of the MAC; `HS256` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_algorithm: Option<MacAlgorithm>,
}

/// MAC algorithms of an external account binding.
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

/// The account key that Certwright makes where the Secret has none, and when it is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('ECDSA') == 'RSA' ? self.size in [2048, 3072, 4096] : true)")
        .message("accountKey.size: RSA account keys have 2048, 3072 or 4096 bits"),
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('ECDSA') == 'ECDSA' ? self.size in [256, 384] : true)")
        .message("accountKey.size: ECDSA account keys have 256 or 384 bits")
)]
pub struct AccountKey {
    /// `ECDSA` (the default) or `RSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AccountKeyAlgorithm>,
    /// Bits. ECDSA: 256 (the default) or 384. RSA: 2048, 3072 (the default) or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
    /// How old the key becomes before another is put in its place at the CA (RFC 8555 section 7.3.5), such as `2160h`; at
    /// least one hour. By default it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RolloverInterval::schema")]
    pub rollover_interval: Option<RolloverInterval>,
}

/// Families of account keys.
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

/// What is known of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IssuerStatus {
    /// `metadata.generation` that the conditions are about; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the account can be used. `KeyRollover`: the account key was changed when it last should be. While it is not
    /// ready, `Reconciling` or `Stalled` says whether that is being worked on.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The account at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeAccountStatus>,
    /// Failures since the last success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i32>,
    /// When the account was last refused, or the CA could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// Version of the Secrets with the MAC key and the key id that the CA refused. With another version it is tried at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_external_account_version: Option<String>,
    /// The deactivation of an account that was asked for and has failed so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation: Option<DeactivationStatus>,
}

/// An account at a CA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeAccountStatus {
    /// URL of the account.
    pub uri: String,
    /// URL of the directory of the CA that the account is at.
    pub server: String,
    /// E-mail address that the CA was last given; the first, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_registered_email: Option<String>,
    /// All e-mail addresses that the CA was last given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub last_registered_emails: Vec<String>,
    /// RFC 7638 thumbprint of the account key, in base64url.
    pub key_thumbprint: String,
    /// Algorithm and size of the account key, such as `ECDSA P-256`.
    pub key_algorithm: String,
    /// Key id of the external account that the account is bound to.
    #[serde(skip_serializing_if = "Option::is_none", rename = "boundKeyID")]
    pub bound_key_id: Option<String>,
    /// Terms of service that were agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// Terms of service that the CA has by now, if they are others than those that were agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_terms_of_service: Option<String>,
    /// When the CA confirmed that the account is deactivated; it cannot be used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation_time: Option<Time>,
    /// Accounts that this issuer had before, the oldest first. Those without `deactivationTime` are still valid at the CA.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previous_accounts: Vec<PreviousAccount>,
    /// When the account key was made; for one that you brought, when its Secret was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_created: Option<Time>,
    /// When the account key was last changed at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_key_rollover: Option<Time>,
    /// When it is changed next, or that is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_key_rollover: Option<Time>,
    /// The value of the annotation `certwright.dev/rollover-account-key` that was answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_rollover_request: Option<String>,
    /// The last attempt to change the account key, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_key_rollover: Option<FailedKeyRollover>,
}

/// An attempt to change the account key that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedKeyRollover {
    /// Failures in a row.
    pub attempts: i32,
    /// When it failed.
    pub time: Time,
    /// `metadata.generation` that it was for.
    pub generation: i64,
    /// The value of the annotation `certwright.dev/rollover-account-key` at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

//! `Certificate`: names, the Secret to keep filled with their certificate, and the issuer to request it from.

#![allow(clippy::duplicated_attributes, reason = "each printer column has a name, a type and a path")]

mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::status::*;
use crate::bounds::{self, MAX_ANNOTATION, MAX_CSR, MAX_LABEL, MAX_NAMES};
use crate::duration::{Lifetime, RenewBefore};
use crate::fallback::{FallbackPolicy, MAX_FALLBACK_ISSUERS};
use crate::ignored::IgnoredCertificateFields;
use crate::issuer_ref::IssuerRef;
use crate::outputs::{AdditionalOutputFormat, Keystores};
use crate::renewal::CertificateRenewal;
use crate::revocation::RevocationSpec;
use crate::schema;
use crate::served::ServedSpec;
use crate::unsupported::UnsupportedCertificateFields;

/// Desired state of the Certificate.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "certwright.dev",
    version = "v1alpha1",
    kind = "Certificate",
    plural = "certificates",
    shortname = "cert",
    shortname = "certs",
    category = "certwright",
    namespaced,
    status = "CertificateStatus",
    selectable = ".spec.secretName",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Certificate keeps a TLS Secret filled with a valid certificate for its names.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretName"),
    printcolumn(name = "Issuer", type_ = "string", json_path = ".spec.issuerRef.name"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.notAfter"),
    printcolumn(
        name = "Served",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Served")].status"#,
        priority = 1
    ),
    printcolumn(name = "Renewal", type_ = "string", json_path = ".status.renewalTime", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("size(self.?dnsNames.orValue([])) + size(self.?ipAddresses.orValue([])) > 0 || (has(self.commonName) && self.commonName != '') || has(self.csr)")
        .message("a certificate needs a name: set dnsNames, ipAddresses or commonName"),
    validation = Rule::new("!has(self.csr) || (size(self.?dnsNames.orValue([])) + size(self.?ipAddresses.orValue([])) == 0 && !has(self.commonName))")
        .message("csr: the names are those in the certificate signing request; remove dnsNames, ipAddresses and commonName"),
    validation = Rule::new("!has(self.csr) || !(has(self.privateKey) || has(self.keystores) || has(self.additionalOutputFormats))")
        .message("csr: the private key is kept elsewhere; remove privateKey, keystores and additionalOutputFormats"),
    validation = Rule::new("!(has(self.csr) && has(self.revocation))")
        .message("csr: only certificates whose private key is in the Secret are revoked; remove revocation"),
    validation = Rule::new("!(has(self.renewBefore) && has(self.renewBeforePercentage))")
        .message("renewBefore and renewBeforePercentage are mutually exclusive; remove one"),
    validation = Rule::new("!has(self.fallbackIssuerRefs) || self.fallbackIssuerRefs.all(one, one.name != self.issuerRef.name || one.kind != self.issuerRef.kind)")
        .message("fallbackIssuerRefs: must not name the issuer in issuerRef"),
    validation = Rule::new("!has(self.fallbackIssuerRefs) || self.fallbackIssuerRefs.all(one, self.fallbackIssuerRefs.exists_one(other, other.name == one.name && other.kind == one.kind))")
        .message("fallbackIssuerRefs: must not name an issuer twice"),
    validation = Rule::new("!has(self.rehearsalIssuerRef) || self.rehearsalIssuerRef.name != self.issuerRef.name || self.rehearsalIssuerRef.kind != self.issuerRef.kind")
        .message("rehearsalIssuerRef: must not name the issuer in issuerRef"),
    validation = Rule::new("!has(self.rehearsalIssuerRef) || !has(self.fallbackIssuerRefs) || !self.fallbackIssuerRefs.exists(one, one.name == self.rehearsalIssuerRef.name && one.kind == self.rehearsalIssuerRef.kind)")
        .message("rehearsalIssuerRef: must not name an issuer in fallbackIssuerRefs")
)]
pub struct CertificateSpec {
    /// Name of the Secret, in the Certificate's namespace, that stores `tls.crt`, `tls.key` and, if known, `ca.crt`. It is
    /// created if it does not exist. A Secret that belongs to something else is never changed.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("secretName: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit"))]
    pub secret_name: String,
    /// DNS names, each validated by the CA. `*.example.com` requires a dns-01 solver.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::dns_names")]
    pub dns_names: Vec<String>,
    /// IP addresses, each validated by the CA.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::ip_addresses")]
    pub ip_addresses: Vec<String>,
    /// Common name of the subject, at most 64 characters. It is also requested as a name, because CAs accept a common name
    /// only if it is one of the names they validated. One that is neither a DNS name nor an IP address has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub common_name: Option<String>,
    /// Certificate signing request in PEM (PKCS#10), for a private key that is kept elsewhere, such as in an HSM. The names are
    /// those in the request, and renewals use it again. The Secret has the type `Opaque`, and no `tls.key`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, MAX_CSR>"
    )]
    #[schemars(length(min = 1, max = MAX_CSR))]
    pub csr: Option<String>,
    /// The issuer to request the certificate from.
    pub issuer_ref: IssuerRef,
    /// Issuers to try, in this order, when the one in `issuerRef` cannot issue. Each renewal begins with `issuerRef` again.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_FALLBACK_ISSUERS>"
    )]
    #[schemars(length(max = MAX_FALLBACK_ISSUERS))]
    pub fallback_issuer_refs: Vec<IssuerRef>,
    /// When the next of these issuers is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_policy: Option<FallbackPolicy>,
    /// An issuer with a CA for tests, such as the staging environment of the CA in `issuerRef`. After a failed validation, the
    /// next attempts go there, until all names are validated; then `issuerRef` is used again. No certificate is requested from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal_issuer_ref: Option<IssuerRef>,
    /// The certificate's private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<CertificatePrivateKey>,
    /// Profile to request from the CA. Overrides the issuer's `profile`. A change takes effect with the next issuance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub profile: Option<String>,
    /// Lifetime to request from the CA, such as `720h`. Requires `enableDurationFeature` in the issuer; otherwise the CA
    /// chooses the lifetime. A change takes effect with the next issuance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "Lifetime::schema")]
    pub duration: Option<Lifetime>,
    /// How long before it expires the certificate is renewed, such as `720h`. By default it is renewed after two thirds of its
    /// lifetime, or after half if the lifetime is shorter than ten days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RenewBefore::schema")]
    pub renew_before: Option<RenewBefore>,
    /// Percentage of the lifetime that is left when the certificate is renewed, from 1 to 99.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 99))]
    pub renew_before_percentage: Option<i32>,
    /// Additional formats in which the certificate and its key are written to the Secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub additional_output_formats: Vec<AdditionalOutputFormat>,
    /// Password-protected keystores to create in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystores: Option<Keystores>,
    /// When the certificate may be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<CertificateRenewal>,
    /// Labels and annotations for the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Which certificates are revoked. By default none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationSpec>,
    /// Has no effect: Certwright creates no request objects. Accepted for compatibility with cert-manager manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// What happens to the Secret when the Certificate is deleted. `Delete`: it is deleted, too. `Orphan`: it stays. The flag
    /// `--enable-certificate-owner-ref` sets the default; without it, the Secret stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether and where to check that servers show the certificate in the Secret. The condition `Served` has the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedSpec>,
    /// Fields that have no effect.
    #[serde(flatten)]
    pub ignored: IgnoredCertificateFields,
    /// Fields that an ACME CA does not support.
    #[serde(flatten)]
    pub unsupported: UnsupportedCertificateFields,
}

/// Algorithm, size and encoding of the private key, and whether it is reused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('RSA') == 'RSA' ? self.size >= 2048 && self.size <= 8192 : true)")
        .message("privateKey.size: must be 2048 to 8192 for RSA"),
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('RSA') == 'ECDSA' ? self.size in [256, 384, 521] : true)")
        .message("privateKey.size: must be 256, 384 or 521 for ECDSA")
)]
pub struct CertificatePrivateKey {
    /// Algorithm of the key: `RSA` (the default), `ECDSA` or `Ed25519`. Few CAs accept Ed25519.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<PrivateKeyAlgorithm>,
    /// Size of the key in bits. RSA: 2048 (the default) to 8192. ECDSA: 256 (the default), 384 or 521. Ignored for Ed25519.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
    /// Encoding of the key: `PKCS1` (the default; SEC 1 for ECDSA) or `PKCS8`. Ed25519 keys are always PKCS#8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<PrivateKeyEncoding>,
    /// `Always` (the default): each issuance uses a new key. `Never`: the key in the Secret is reused if it has the specified
    /// algorithm and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy: Option<RotationPolicy>,
}

/// Algorithm of a private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum PrivateKeyAlgorithm {
    /// RSA.
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    /// ECDSA on a NIST curve.
    #[serde(rename = "ECDSA")]
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

/// PEM encoding of a private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum PrivateKeyEncoding {
    /// PKCS#1 for RSA, SEC 1 for ECDSA.
    #[default]
    #[serde(rename = "PKCS1")]
    Pkcs1,
    /// PKCS#8.
    #[serde(rename = "PKCS8")]
    Pkcs8,
}

/// Whether an issuance uses a new private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RotationPolicy {
    /// Each issuance uses a new key.
    #[default]
    Always,
    /// The key in the Secret is reused if it has the specified algorithm and size.
    Never,
}

/// What happens to the Secret when the Certificate is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum DeletionPolicy {
    /// It is deleted, too.
    Delete,
    /// It stays.
    Orphan,
}

/// Labels and annotations for the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Labels for the Secret.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_LABEL>"
    )]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the Secret.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_ANNOTATION>"
    )]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

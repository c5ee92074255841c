//! `Certificate`: names, the Secret that shall hold their certificate, and the issuer to ask.

#![allow(clippy::duplicated_attributes, reason = "each printer column has a name, a type and a path")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_ANNOTATION, MAX_LABEL, MAX_NAMES};
use crate::dns01::Dns01Solver;
use crate::duration::{Lifetime, RenewBefore};
use crate::outputs::{AdditionalOutputFormat, Keystores};
use crate::renewal::{CertificateAcmeStatus, CertificateRenewal};
use crate::revocation::{RevocationSpec, RevocationStatus};
use crate::schema;
use crate::unsupported::UnsupportedCertificateFields;

/// What the certificate shall be.
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
    printcolumn(name = "Renewal", type_ = "string", json_path = ".status.renewalTime", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("size(self.?dnsNames.orValue([])) + size(self.?ipAddresses.orValue([])) > 0 || (has(self.commonName) && self.commonName != '')")
        .message("a certificate needs a name: set dnsNames, ipAddresses or commonName"),
    validation = Rule::new("!(has(self.renewBefore) && has(self.renewBeforePercentage))")
        .message("renewBefore and renewBeforePercentage exclude each other; remove one")
)]
pub struct CertificateSpec {
    /// Name of the Secret, in the Certificate's namespace, that holds `tls.crt`, `tls.key` and, if known, `ca.crt`.
    /// It is made if it does not exist. One that belongs to somebody else is never touched.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("secretName: a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends"))]
    pub secret_name: String,
    /// DNS names, each validated by the CA. `*.example.com` needs a solver for dns-01.
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
    /// Common name of the subject, at most 64 characters. It is also requested as a name: CAs take it only as one
    /// of the names that they validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub common_name: Option<String>,
    /// The issuer to ask.
    pub issuer_ref: IssuerRef,
    /// The certificate's private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<CertificatePrivateKey>,
    /// Profile to ask the CA for, in the place of the issuer's. Another one counts from the next issuance on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub profile: Option<String>,
    /// Lifetime to ask the CA for, such as `720h`, if the issuer says `enableDurationFeature`; else the CA decides alone.
    /// Another one counts from the next issuance on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "Lifetime::schema")]
    pub duration: Option<Lifetime>,
    /// How long before its expiry the certificate is renewed, such as `720h`. By default it is renewed when two
    /// thirds of its lifetime have passed, or half of a lifetime under ten days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "RenewBefore::schema")]
    pub renew_before: Option<RenewBefore>,
    /// How much of the lifetime shall be left, in percent, when the certificate is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 99))]
    pub renew_before_percentage: Option<i32>,
    /// More ways to write the certificate and its key into the Secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub additional_output_formats: Vec<AdditionalOutputFormat>,
    /// Keystores in the Secret, each protected by a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystores: Option<Keystores>,
    /// When the certificate may be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<CertificateRenewal>,
    /// Labels and annotations for the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Which certificates are revoked. By default none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationSpec>,
    /// Accepted for manifests written for cert-manager, and without effect: no request objects exist to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Fields that an ACME CA cannot honour.
    #[serde(flatten)]
    pub unsupported: UnsupportedCertificateFields,
}

/// A reference to an Issuer in the same namespace, or to a ClusterIssuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `Issuer` (the default) or `ClusterIssuer`.
    #[serde(default)]
    pub kind: IssuerKind,
    /// `certwright.dev`, the default.
    #[serde(default = "IssuerRef::default_group")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self == 'certwright.dev'").message("issuerRef.group: only certwright.dev is known; remove the field"))]
    pub group: String,
}

impl IssuerRef {
    fn default_group() -> String {
        super::GROUP.to_owned()
    }
}

/// Kinds of issuer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(transform = schema::without_description)]
pub enum IssuerKind {
    /// In the Certificate's namespace.
    #[default]
    Issuer,
    /// For the whole cluster.
    ClusterIssuer,
}

impl IssuerKind {
    /// The kind as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            IssuerKind::Issuer => "Issuer",
            IssuerKind::ClusterIssuer => "ClusterIssuer",
        }
    }
}

/// What the private key shall be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('RSA') == 'RSA' ? self.size >= 2048 && self.size <= 8192 : true)")
        .message("privateKey.size: RSA keys have 2048 to 8192 bits"),
    validation = Rule::new("!has(self.size) || (self.?algorithm.orValue('RSA') == 'ECDSA' ? self.size in [256, 384, 521] : true)")
        .message("privateKey.size: ECDSA keys have 256, 384 or 521 bits")
)]
pub struct CertificatePrivateKey {
    /// `RSA` (the default), `ECDSA` or `Ed25519`. Few CAs take Ed25519.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<PrivateKeyAlgorithm>,
    /// Bits. RSA: 2048 (the default) to 8192. ECDSA: 256 (the default), 384 or 521. Of no meaning for Ed25519.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
    /// `PKCS1` (the default; for ECDSA it means SEC 1) or `PKCS8`. An Ed25519 key is always PKCS#8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<PrivateKeyEncoding>,
    /// `Always` (the default): each issuance has a new key. `Never`: the key in the Secret is used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy: Option<RotationPolicy>,
}

/// Families of private keys.
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

/// PEM encodings of a private key.
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

/// Whether an issuance has a new private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RotationPolicy {
    /// A new key each time.
    #[default]
    Always,
    /// The key in the Secret, if it has the right algorithm and size.
    Never,
}

/// Metadata for the Secret.
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

/// What is known of the certificate and of the issuance that is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateStatus {
    /// `metadata.generation` that the conditions are about; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the Secret holds a valid certificate as the spec asks for. `Issuing`: an issuance is under way. While it is not
    /// ready, `Reconciling` or `Stalled` says whether that is being worked on.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Start of the validity of the certificate in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// End of the validity of the certificate in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// When the certificate will be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
    /// What the ACME CA says of the certificate in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<CertificateAcmeStatus>,
    /// How many certificates were issued for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Serial number of the certificate in the Secret, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Secret that holds the private key of the issuance under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_private_key_secret_name: Option<String>,
    /// Failures since the last success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_issuance_attempts: Option<i32>,
    /// When the last issuance failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// When the next issuance is tried, after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// The value of the annotation `certwright.dev/renew` when the last issuance failed. Another one ends the wait after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_renew_request: Option<String>,
    /// The value of the annotation `certwright.dev/renew` that the last issuance answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_renew_request: Option<String>,
    /// Certificates that were issued lately, while they count among the equal ones that the CA issues within a week; the newest
    /// always stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_issuances: Vec<IssuanceRecord>,
    /// The order that is under way at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderStatus>,
    /// The challenges of that order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<ChallengeStatus>,
    /// TXT records that were put into the DNS and are not removed yet. Each is written down before it is put there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_records: Vec<DnsRecordStatus>,
    /// Certificates that may have to be revoked, and what became of those that had to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationStatus>,
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuanceRecord {
    /// When it was ordered.
    pub time: Time,
    /// End of its validity.
    pub not_after: Time,
    /// Digest of its names: equal certificates have the same.
    pub names_digest: String,
    /// URL of the account that ordered it.
    pub account: String,
}

/// An order that is under way at the CA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderStatus {
    /// URL of the order: what a restarted operator goes on with.
    pub url: String,
    /// State of the order as the CA last gave it: `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub state: String,
    /// When the CA forgets the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// When the order was made.
    pub created: Time,
    /// URL of the account that the order belongs to.
    pub account: String,
    /// By this the operator knows that it has written the entry. It does not act upon one that has no seal, or a wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// A challenge of the order under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeStatus {
    /// The name whose control is to be proved, without `*.`.
    pub name: String,
    /// Type of the challenge, such as `http-01`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `pending`, `processing`, `valid` or `invalid`, as of the last write of this status.
    pub state: String,
    /// What it waits for, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The token that the CA gave; every replica of the operator answers it from here.
    pub token: String,
    /// URL of the challenge.
    pub url: String,
    /// URL of the authorization that the challenge belongs to.
    pub authorization: String,
    /// How its answer is presented.
    #[serde(default)]
    pub way: ChallengeWay,
    /// The Ingress that is edited in place, and has to be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// By this the operator knows that it has written the entry. It does not act upon one that has no seal, or a wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// How the answer to a challenge is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum ChallengeWay {
    /// By a temporary Ingress.
    #[default]
    Ingress,
    /// By rules in an Ingress of somebody else.
    EditedIngress,
    /// By temporary HTTPRoutes.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// By a TXT record.
    #[serde(rename = "TXTRecord")]
    TxtRecord,
}

/// A TXT record that was put into the DNS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecordStatus {
    /// The name whose control is to be proved, without `*.`.
    pub name: String,
    /// Name of the record, with the trailing dot: `_acme-challenge.<name>.`, or where a CNAME there leads.
    pub fqdn: String,
    /// The zone that the record is in, with the trailing dot.
    pub zone: String,
    /// Its value.
    pub value: String,
    /// What `value` is the digest of; some providers want it.
    pub key_authorization: String,
    /// The solver that put it there, as it was then.
    #[schemars(schema_with = "schema::object")]
    pub solver: Dns01Solver,
    /// Namespace of the Secrets that the solver names.
    pub secrets_namespace: String,
    /// Whether the provider may use credentials of its surroundings: for a ClusterIssuer it may.
    #[serde(default)]
    pub allow_ambient_credentials: bool,
    /// Set once the record is not needed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<DnsRecordRemoval>,
    /// By this the operator knows that it has written the entry. It does not act upon one that has no seal, or a wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// How the removal of a TXT record goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecordRemoval {
    /// Since when the record is not needed any more.
    pub since: Time,
    /// When the provider is asked again to remove it.
    pub next_attempt_time: Time,
    /// Why it is not removed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

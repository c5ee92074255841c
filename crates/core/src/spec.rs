//! Validates a Certificate's spec once: everything derived from a [`ValidatedCertificate`] cannot fail.

pub mod csr;
pub mod ignored;
mod issuers;
pub mod names;
mod owner;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::SignedDuration;

use crate::issuers::FallbackRule;
use crate::naming::digest;
use crate::outputs::Outputs;
use crate::renewal::{InvalidWindow, RenewalRule, Windows};
use crate::secret::{TYPE_OPAQUE, TYPE_TLS};
use certwright_acme::Identifier;
use certwright_api::bounds::MAX_DNS_NAME;
use certwright_api::{
    CertificateDefaults, CertificatePrivateKey, CertificateSpec, IssuerKind, IssuerRef, PrivateKeyAlgorithm,
    PrivateKeyEncoding, RenewalPolicy, RevocationPolicy, RevokedPolicy, RotationPolicy, SecretTemplate,
};
use certwright_pki::{Curve, KeyAlgorithm, KeyEncoding, SigningRequest, Subject};
use certwright_text::escaped;

/// A Certificate's spec with its defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedCertificate {
    /// Name of the Secret to fill.
    pub secret_name: String,
    /// The names: lower case, sorted, each once; the common name, if there is one, is among them.
    pub subject: Subject,
    /// The certificate signing request, if the private key is kept elsewhere.
    pub csr: Option<SigningRequest>,
    /// The private key to generate, or the one of the certificate signing request.
    pub key: KeyAlgorithm,
    /// What the Certificate itself says about the private key.
    stated_key: StatedKey,
    /// The encoding of the private key.
    pub encoding: KeyEncoding,
    /// Whether each issuance has a new private key.
    pub rotation: RotationPolicy,
    /// Kind of the issuer in use.
    pub issuer_kind: IssuerKind,
    /// Name of the issuer in use.
    pub issuer_name: String,
    /// The issuer in `issuerRef`.
    pub first_issuer: IssuerRef,
    /// The issuer that is tried: the one in use, unless that one rehearses for it.
    pub tried_issuer: IssuerRef,
    /// The issuer for rehearsals.
    pub rehearsal_issuer: Option<IssuerRef>,
    /// Whether the issuer in use is that one.
    pub rehearses: bool,
    /// The fallback issuer that issued the certificate in the Secret.
    pub issued_by: Option<IssuerRef>,
    /// When the next issuer is tried; `None` if there is only one.
    pub fallback: Option<FallbackRule>,
    /// The profile to request, instead of the issuer's.
    pub profile: Option<String>,
    /// The lifetime to request, if the issuer requests one.
    pub duration: Option<SignedDuration>,
    /// When to renew.
    pub renewal: RenewalRule,
    /// What else the Secret contains.
    pub outputs: Outputs,
    /// Whether it is renewed without a request.
    pub renews: bool,
    /// When a renewal may start. A mistake here does not prevent renewals.
    pub windows: Result<Windows, InvalidWindow>,
    /// What to do if the CA has revoked the certificate without being asked by the operator.
    pub on_revoked: RevokedPolicy,
    /// Labels for the Secret.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the Secret.
    pub annotations: BTreeMap<String, String>,
    /// The UID of the Certificate, if the Secret is deleted with it.
    pub owner: Option<String>,
    /// Which fields have no effect, in words.
    pub ignored: Option<String>,
}

/// What a Certificate itself says about its private key, which may have defaults of its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatedKey {
    /// Nothing.
    Nothing,
    /// Only the algorithm.
    Algorithm(PrivateKeyAlgorithm),
    /// Both, or the size.
    Size,
}

/// Why a spec is invalid. The CRD's own rules are not repeated here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// There are no names.
    #[error("a certificate needs a name: set dnsNames, ipAddresses or commonName")]
    NoNames,
    /// An entry of `dnsNames` is invalid.
    #[error("dnsNames: '{0}' is not a DNS name")]
    DnsName(String),
    /// An entry of `ipAddresses` is invalid.
    #[error("ipAddresses: '{0}' is not an IP address")]
    IpAddress(String),
    /// `commonName` is not a DNS name, and there are no other names.
    #[error(
        "commonName: '{0}' is not a DNS name, and an ACME CA accepts only names that it can validate; use dnsNames"
    )]
    CommonName(String),
    /// `privateKey.size` is not supported for RSA.
    #[error("privateKey.size: RSA keys of {0} bits are not supported; use 2048, 3072, 4096 or 8192")]
    RsaSize(i32),
    /// `privateKey.size` is not supported for ECDSA.
    #[error("privateKey.size: ECDSA keys of {0} bits are not supported; use 256, 384 or 521")]
    EcdsaSize(i32),
    /// `secretTemplate` sets a reserved key.
    #[error("secretTemplate: '{0}' belongs to Certwright; choose another key")]
    ReservedKey(String),
    /// `secretTemplate.labels` has an invalid key.
    #[error("secretTemplate.labels: '{0}' is not a label key: {KEY}")]
    LabelKey(String),
    /// `secretTemplate.labels` has an invalid value.
    #[error(
        "secretTemplate.labels: '{0}' is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter \
         or digit at both ends"
    )]
    LabelValue(String),
    /// `secretTemplate.annotations` has an invalid key.
    #[error("secretTemplate.annotations: '{0}' is not an annotation key: {KEY}")]
    AnnotationKey(String),
    /// The certificate signing request cannot be used.
    #[error("csr: {0}")]
    Csr(String),
}

const KEY: &str = "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, optionally after a \
    DNS name and '/'";

impl ValidatedCertificate {
    /// Checks `spec`, and fills in the `defaults` of its issuer and those of the API.
    ///
    /// # Errors
    /// [`InvalidSpec`], with a message that names the field.
    pub fn new(spec: &CertificateSpec, defaults: Option<&CertificateDefaults>) -> Result<Self, InvalidSpec> {
        let template = spec.secret_template.clone().unwrap_or_default();
        for key in template.labels.keys().chain(template.annotations.keys()) {
            if key.starts_with("certwright.dev/") || key == certwright_api::LABEL_MANAGED_BY {
                return Err(InvalidSpec::ReservedKey(shown(key)));
            }
        }
        check_template(&template)?;
        let stated = spec.private_key.clone().unwrap_or_default();
        let key = with_defaults(stated.clone(), defaults);
        let renewal = spec.renewal.clone().unwrap_or_default();
        let csr = spec.csr.as_deref().map(csr::read).transpose()?;
        Ok(Self {
            secret_name: spec.secret_name.clone(),
            subject: match &csr {
                Some(request) => csr::names(request)?,
                None => subject_of(spec)?,
            },
            key: match &csr {
                Some(request) => request.key,
                None => key_algorithm(key.algorithm.unwrap_or_default(), key.size)?,
            },
            csr,
            stated_key: match (stated.algorithm, stated.size) {
                (None, None) => StatedKey::Nothing,
                (Some(algorithm), None) => StatedKey::Algorithm(algorithm),
                (_, Some(_)) => StatedKey::Size,
            },
            encoding: match key.encoding.unwrap_or_default() {
                PrivateKeyEncoding::Pkcs1 => KeyEncoding::Pkcs1,
                PrivateKeyEncoding::Pkcs8 => KeyEncoding::Pkcs8,
            },
            rotation: rotation(spec, key.rotation_policy.unwrap_or_default()),
            issuer_kind: spec.issuer_ref.kind,
            issuer_name: spec.issuer_ref.name.clone(),
            first_issuer: spec.issuer_ref.clone(),
            tried_issuer: spec.issuer_ref.clone(),
            rehearsal_issuer: spec.rehearsal_issuer_ref.clone(),
            rehearses: false,
            issued_by: None,
            fallback: FallbackRule::of(spec),
            profile: spec.profile.clone().filter(|profile| !profile.is_empty()),
            duration: spec.duration.map(SignedDuration::from),
            renewal: renewal_rule(spec, defaults),
            outputs: Outputs::of(spec),
            renews: renewal.policy.unwrap_or_default() == RenewalPolicy::RenewBefore,
            windows: Windows::new(&renewal.windows),
            on_revoked: spec.revocation.as_ref().map(|revocation| revocation.on_revoked).unwrap_or_default(),
            labels: template.labels,
            annotations: template.annotations,
            owner: None,
            ignored: ignored::of_certificate(spec),
        })
    }

    /// Whether a certificate with this key matches the spec. What the spec does not say takes effect with the next issuance: a
    /// change of an issuer's defaults must not replace all its certificates.
    pub fn accepts_key(&self, key: KeyAlgorithm) -> bool {
        let family = match key {
            KeyAlgorithm::Rsa(_) => PrivateKeyAlgorithm::Rsa,
            KeyAlgorithm::Ecdsa(_) => PrivateKeyAlgorithm::Ecdsa,
            KeyAlgorithm::Ed25519 => PrivateKeyAlgorithm::Ed25519,
        };
        match self.stated_key {
            StatedKey::Nothing => true,
            StatedKey::Algorithm(stated) => family == stated,
            StatedKey::Size => key == self.key,
        }
    }

    /// A digest of what can change in the Secret without a new certificate: its template, its owner, and the encoding of its key.
    /// Keystores have their own digest.
    pub fn written_as(&self) -> String {
        let formats = (self.outputs.der, self.outputs.combined_pem);
        let owner = self.owner.as_ref().map_or(String::new(), |uid| format!(" {uid}"));
        digest(&format!("{:?}{owner}", (&self.labels, &self.annotations, self.encoding, formats)))
    }

    /// The type of the Secret. `kubernetes.io/tls` requires a private key.
    pub fn secret_type(&self) -> &'static str {
        if self.csr.is_some() { TYPE_OPAQUE } else { TYPE_TLS }
    }

    /// The names, of both kinds, as text.
    pub fn names(&self) -> BTreeSet<String> {
        self.identifiers().into_iter().map(|identifier| identifier.value).collect()
    }

    /// The names as an order asks for them: DNS names first.
    pub fn identifiers(&self) -> Vec<Identifier> {
        let dns = self.subject.dns_names.iter().map(Identifier::dns);
        dns.chain(self.subject.ip_addresses.iter().copied().map(Identifier::ip)).collect()
    }
}

/// A user's text in a message.
fn shown(text: &str) -> String {
    escaped(text, MAX_DNS_NAME)
}

fn subject_of(spec: &CertificateSpec) -> Result<Subject, InvalidSpec> {
    let common_name = spec.common_name.clone().filter(|name| !name.is_empty());
    // One that is not a name has no effect, unless there is nothing else.
    let has_others = spec.dns_names.len() + spec.ip_addresses.len() > 0;
    let common_name = common_name.filter(|name| is_name(name) || !has_others);
    let addresses = spec.ip_addresses.iter();
    let addresses =
        addresses.map(|text| text.parse::<IpAddr>().map_err(|_| InvalidSpec::IpAddress(shown(text))));
    subject(common_name, spec.dns_names.clone(), addresses.collect::<Result<Vec<_>, _>>()?)
}

/// The names in the form in which they are requested.
fn subject(
    mut common_name: Option<String>,
    mut dns_names: Vec<String>,
    mut ip_addresses: Vec<IpAddr>,
) -> Result<Subject, InvalidSpec> {
    dns_names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    if let Some(wrong) = dns_names.iter().find(|name| !is_dns_name(name)) {
        return Err(InvalidSpec::DnsName(shown(wrong)));
    }
    if let Some(name) = &mut common_name {
        match name.parse::<IpAddr>() {
            Ok(address) => {
                *name = address.to_string();
                ip_addresses.push(address);
            }
            Err(_) if is_dns_name(name) => {
                name.make_ascii_lowercase();
                dns_names.push(name.clone());
            }
            Err(_) => return Err(InvalidSpec::CommonName(shown(name))),
        }
    }
    dns_names.sort();
    dns_names.dedup();
    ip_addresses.sort();
    ip_addresses.dedup();
    if dns_names.is_empty() && ip_addresses.is_empty() {
        return Err(InvalidSpec::NoNames);
    }
    Ok(Subject { common_name, dns_names, ip_addresses })
}

/// Whether this is a DNS name or an IP address, which an ACME CA could validate.
pub fn is_name(name: &str) -> bool {
    is_dns_name(name) || name.parse::<IpAddr>().is_ok()
}

/// Whether an ACME CA could validate this name, which may be a wildcard.
pub fn is_dns_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Checks what the API server would otherwise reject in the Secret, after the CA has issued the certificate.
fn check_template(template: &SecretTemplate) -> Result<(), InvalidSpec> {
    let wrong = |key: &&String| !is_qualified_name(key);
    if let Some(key) = template.labels.keys().find(wrong) {
        return Err(InvalidSpec::LabelKey(shown(key)));
    }
    if let Some(value) = template.labels.values().find(|value| !value.is_empty() && !is_key_name(value)) {
        return Err(InvalidSpec::LabelValue(shown(value)));
    }
    template.annotations.keys().find(wrong).map_or(Ok(()), |key| Err(InvalidSpec::AnnotationKey(shown(key))))
}

/// A label or annotation key, with or without a prefix.
fn is_qualified_name(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else { return is_key_name(key) };
    let lower_case = !prefix.contains(|c: char| c == '*' || c.is_ascii_uppercase());
    lower_case && is_dns_name(prefix) && is_key_name(name)
}

fn is_key_name(name: &str) -> bool {
    let ends = [name.bytes().next(), name.bytes().last()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The private key that the Certificate asks for, with the defaults of its issuer.
fn with_defaults(
    key: CertificatePrivateKey,
    defaults: Option<&CertificateDefaults>,
) -> CertificatePrivateKey {
    let Some(default) = defaults.and_then(|defaults| defaults.private_key.as_ref()) else { return key };
    let own = (key.algorithm, key.size);
    let (algorithm, size) = match own {
        (None, None) => (default.algorithm, default.size),
        (Some(algorithm), None) if algorithm == default.algorithm.unwrap_or_default() => {
            (Some(algorithm), default.size)
        }
        (None, Some(_)) => (default.algorithm, key.size),
        _ => own,
    };
    CertificatePrivateKey {
        algorithm,
        size,
        encoding: key.encoding.or(default.encoding),
        rotation_policy: key.rotation_policy.or(default.rotation_policy),
    }
}

fn key_algorithm(algorithm: PrivateKeyAlgorithm, size: Option<i32>) -> Result<KeyAlgorithm, InvalidSpec> {
    match (algorithm, size.filter(|size| *size != 0)) {
        (PrivateKeyAlgorithm::Rsa, None) => Ok(KeyAlgorithm::Rsa(2048)),
        (PrivateKeyAlgorithm::Rsa, Some(bits)) => u32::try_from(bits)
            .ok()
            .filter(|bits| KeyAlgorithm::RSA_SIZES.contains(bits))
            .map(KeyAlgorithm::Rsa)
            .ok_or(InvalidSpec::RsaSize(bits)),
        (PrivateKeyAlgorithm::Ecdsa, None | Some(256)) => Ok(KeyAlgorithm::Ecdsa(Curve::P256)),
        (PrivateKeyAlgorithm::Ecdsa, Some(384)) => Ok(KeyAlgorithm::Ecdsa(Curve::P384)),
        (PrivateKeyAlgorithm::Ecdsa, Some(521)) => Ok(KeyAlgorithm::Ecdsa(Curve::P521)),
        (PrivateKeyAlgorithm::Ecdsa, Some(size)) => Err(InvalidSpec::EcdsaSize(size)),
        (PrivateKeyAlgorithm::Ed25519, _) => Ok(KeyAlgorithm::Ed25519),
    }
}

/// If the predecessor is revoked because of its key, the next certificate must have a new key.
fn rotation(spec: &CertificateSpec, asked: RotationPolicy) -> RotationPolicy {
    let on_replace = spec.revocation.as_ref().map(|revocation| revocation.on_replace);
    if on_replace == Some(RevocationPolicy::KeyCompromise) { RotationPolicy::Always } else { asked }
}

fn renewal_rule(spec: &CertificateSpec, defaults: Option<&CertificateDefaults>) -> RenewalRule {
    if let Some(before) = spec.renew_before {
        return RenewalRule::Before(before.into());
    }
    if let Some(percent) = spec.renew_before_percentage.and_then(|percent| u8::try_from(percent).ok()) {
        return RenewalRule::BeforePercentage(percent);
    }
    let before = defaults.and_then(|defaults| defaults.renew_before);
    before.map_or(RenewalRule::Default, |before| RenewalRule::Before(before.into()))
}

#[cfg(test)]
mod tests;

//! A certificate authority for the one certificate that we serve.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use secrecy::zeroize::Zeroizing;
use time::OffsetDateTime;

use super::{CertificateError, common_name, x509};

/// A certificate is valid for this long before it is created, since clocks differ.
const BACKDATED: Duration = Duration::from_secs(300);

/// An authority, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its own certificate, and its key.
    pub own: Signed,
}

/// A certificate with its key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: Zeroizing<String>,
    /// The common name of its subject.
    pub subject: String,
    /// The common name of its issuer.
    pub issuer: String,
    /// Its DNS names.
    pub names: Vec<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn create(lifetime: Duration, now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // Each has a name of its own, so that a chain leads to one of them only.
        let id = digest(&SHA256, key.der_bytes());
        let id: String = id.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let mut params = params(&format!("certwright-dns {id}"));
        (params.not_before, params.not_after) = validity(now, later(now, lifetime)?)?;
        let certificate = params.self_signed(&key)?.pem();
        Self::read(certificate, key.serialize_pem())
    }

    /// One that was [created](Self::create) before.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn read(certificate: String, key: String) -> Result<Self, CertificateError> {
        Ok(Self { own: Signed::read("ca.crt", certificate, key)? })
    }

    /// A certificate for these names, signed by this authority, which it does not outlive.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn sign(
        &self,
        names: &[String],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Signed, CertificateError> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "certwright-dns");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let until = later(now, lifetime)?.min(self.own.expires);
        (params.not_before, params.not_after) = validity(now, until)?;
        let issuer = Issuer::new(self::params(&self.own.subject), KeyPair::from_pem(&self.own.key)?);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Signed::read("tls.crt", certificate, key.serialize_pem())
    }
}

impl Signed {
    /// A certificate and its key, both PEM.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn read(what: &'static str, certificate: String, key: String) -> Result<Self, CertificateError> {
        KeyPair::from_pem(&key)?;
        let chain = super::certificates(what, certificate.as_bytes())?;
        let parsed = x509(what, chain.first().ok_or(CertificateError::None(what))?)?;
        let issuer = parsed.issuer().iter_common_name().next().and_then(|name| name.as_str().ok());
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().filter_map(dns).collect());
        let from = timestamp(parsed.validity().not_before.timestamp())?;
        Ok(Self {
            subject: common_name(&parsed).unwrap_or_default().to_owned(),
            issuer: issuer.unwrap_or_default().to_owned(),
            names: names.unwrap_or_default(),
            created: later(from, BACKDATED)?,
            expires: timestamp(parsed.validity().not_after.timestamp())?,
            certificate,
            key: Zeroizing::new(key),
        })
    }

    /// When it should be replaced: after two thirds of its lifetime.
    #[must_use]
    pub fn renewal(&self) -> Timestamp {
        let lifetime = self.expires.duration_since(self.created);
        self.created.checked_add(lifetime * 2 / 3).unwrap_or(self.created)
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, issuer, names, created, expires, .. } = self;
        write!(f, "{subject} by {issuer} for {names:?}, {created} to {expires}")
    }
}

fn dns(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    }
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn validity(now: Timestamp, until: Timestamp) -> Result<(OffsetDateTime, OffsetDateTime), CertificateError> {
    let time = |at: Timestamp| {
        OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| CertificateError::Time)
    };
    let from = now.checked_sub(BACKDATED).map_err(|_| CertificateError::Time)?;
    Ok((time(from)?, time(until)?))
}

fn timestamp(seconds: i64) -> Result<Timestamp, CertificateError> {
    Timestamp::from_second(seconds).map_err(|_| CertificateError::Time)
}

fn later(time: Timestamp, duration: Duration) -> Result<Timestamp, CertificateError> {
    time.checked_add(duration).map_err(|_| CertificateError::Time)
}

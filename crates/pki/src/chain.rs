use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::{SignedDuration, Timestamp};
use pem::{EncodeConfig, LineEnding, Pem};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use crate::distribution_point::revocation_list_url;
use crate::signature::{key_algorithm, signed_by};
use crate::{KeyAlgorithm, PrivateKey, Subject};
use certwright_text::clean;

/// How far the local clock may be behind the CA's before a new certificate is considered not yet valid.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// Names are cut after this many characters. RFC 5280 allows 64 for a common name.
const LONGEST_NAME: usize = 256;

/// A certificate and its issuers up to a root, as a CA sends them (RFC 8555 section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    leaf: Leaf,
    issuers: Vec<String>,
    certificates: Vec<Vec<u8>>,
}

impl Chain {
    /// Parses a PEM text whose first certificate is the leaf. Anything that is not a certificate is ignored.
    ///
    /// # Errors
    /// [`ChainError::Pem`], [`ChainError::Empty`] or [`ChainError::Malformed`].
    pub fn parse_pem(text: &[u8]) -> Result<Self, ChainError> {
        let blocks = pem::parse_many(text).map_err(|_| ChainError::Pem)?;
        let certificates: Vec<_> =
            blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").map(Pem::into_contents).collect();
        let parsed = parse_all(&certificates)?;
        let leaf = Leaf::read(parsed.first().ok_or(ChainError::Empty)?)?;
        let issuers = parsed.iter().map(|certificate| name(certificate.issuer())).collect();
        Ok(Self { leaf, issuers, certificates })
    }

    /// The first certificate.
    #[must_use]
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The name of each certificate's issuer, starting with the leaf's: the common name, or the whole name if it has none.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Whether a certificate in the chain was issued by `name`, for `preferredChain`.
    #[must_use]
    pub fn issued_by(&self, name: &str) -> bool {
        self.issuers.iter().any(|issuer| issuer == name)
    }

    /// The certificates as DER, the leaf first.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certificates.iter().map(Vec::as_slice)
    }

    /// The certificates as PEM, the leaf first, with `\n` line endings and nothing in between.
    #[must_use]
    pub fn pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        let encode = |der: &Vec<u8>| pem::encode_config(&Pem::new("CERTIFICATE", der.as_slice()), config);
        self.certificates.iter().map(encode).collect()
    }

    /// The certificate of the leaf's issuer as DER: the second one, if its subject is that issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&[u8]> {
        let (leaf, issuer) = (self.certificates.first()?, self.certificates.get(1)?);
        let (leaf, parsed) = (parse(1, leaf).ok()?, parse(2, issuer).ok()?);
        (leaf.issuer().as_raw() == parsed.subject().as_raw()).then_some(issuer)
    }

    /// The topmost certificate as PEM, which clients may trust if they have nothing better; `None` if there is only the leaf.
    #[must_use]
    pub fn topmost_pem(&self) -> Option<String> {
        let top = self.certificates().skip(1).last()?;
        Some(pem::encode(&Pem::new("CERTIFICATE", top)))
    }

    /// Checks that the chain can be served with `key` for the names in `wanted`: the leaf is for this key, contains every DNS
    /// name (in any case) and IP address, and is valid at `now`; and each certificate is signed by the next, of which there is
    /// at least one. Additional names are accepted.
    ///
    /// # Errors
    /// The first failure in the order above, as a variant of [`ChainError`].
    pub fn check(&self, key: &PrivateKey, wanted: &Subject, now: Timestamp) -> Result<(), ChainError> {
        self.check_for(key.public_key_der(), wanted, now)
    }

    /// The same, for a private key that is elsewhere: `public_key_der` is its `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// As [`Chain::check`].
    pub fn check_for(
        &self,
        public_key_der: &[u8],
        wanted: &Subject,
        now: Timestamp,
    ) -> Result<(), ChainError> {
        self.leaf.check_public_key(public_key_der)?;
        self.leaf.check_names(wanted)?;
        self.leaf.check_validity(now)?;
        check_signatures(&parse_all(&self.certificates)?)
    }
}

/// The contents of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The first second at which it is valid.
    pub not_before: Timestamp,
    /// The last second at which it is valid.
    pub not_after: Timestamp,
    /// The serial number in lower-case hexadecimal, two digits for each byte.
    pub serial_number: String,
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// The DNS names among the subject alternative names, in lower case.
    pub dns_names: BTreeSet<String>,
    /// The IP addresses among the subject alternative names.
    pub ip_addresses: BTreeSet<IpAddr>,
    /// The `SubjectPublicKeyInfo` as DER; compare it with [`PrivateKey::public_key_der`].
    pub public_key_der: Vec<u8>,
    /// The algorithm of the public key, if we can generate such keys.
    pub public_key_algorithm: Option<KeyAlgorithm>,
    /// The issuer's common name, or the whole name if it has none.
    pub issuer_name: String,
    /// The certificate's id in the CA's renewal information (RFC 9773 section 4.1): the authority key identifier and the serial
    /// number, each in base64url. `None` if it has no authority key identifier.
    pub certificate_id: Option<String>,
    /// The HTTP URL of the revocation list that tells whether the certificate is revoked. `None` if it names none.
    pub revocation_list_url: Option<String>,
    /// The certificate itself, as DER.
    pub der: Vec<u8>,
}

impl Leaf {
    /// Parses a DER certificate.
    ///
    /// # Errors
    /// [`ChainError::Malformed`]
    pub fn from_der(der: &[u8]) -> Result<Self, ChainError> {
        Self::read(&parse(1, der)?)
    }

    fn read(certificate: &X509Certificate<'_>) -> Result<Self, ChainError> {
        let malformed = ChainError::Malformed { position: 1 };
        let names = certificate.subject_alternative_name().map_err(|_| malformed.clone())?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        Ok(Self {
            not_before: timestamp(certificate.validity().not_before).ok_or(malformed.clone())?,
            not_after: timestamp(certificate.validity().not_after).ok_or(malformed)?,
            serial_number: hex(&certificate.serial.to_bytes_be()),
            common_name: common_name(certificate.subject()),
            dns_names: names.iter().filter_map(dns_name).collect(),
            ip_addresses: names.iter().filter_map(ip_address).collect(),
            public_key_der: certificate.public_key().raw.to_vec(),
            public_key_algorithm: key_algorithm(certificate.public_key()),
            issuer_name: name(certificate.issuer()),
            certificate_id: certificate_id(certificate),
            revocation_list_url: revocation_list_url(certificate),
            der: certificate.as_raw().to_vec(),
        })
    }

    /// Whether a client accepts the certificate for `identifier`, a DNS name or an IP address. The common name does not count.
    #[must_use]
    pub fn is_for(&self, identifier: &str) -> bool {
        if let Ok(address) = identifier.parse() {
            return self.ip_addresses.contains(&address);
        }
        let name = identifier.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        [Some(name), wildcard].iter().flatten().any(|name| self.dns_names.contains(name))
    }

    /// Checks that the certificate is for `key`.
    ///
    /// # Errors
    /// [`ChainError::OtherKey`]
    pub fn check_key(&self, key: &PrivateKey) -> Result<(), ChainError> {
        self.check_public_key(key.public_key_der())
    }

    fn check_public_key(&self, public_key_der: &[u8]) -> Result<(), ChainError> {
        if self.public_key_der == public_key_der { Ok(()) } else { Err(ChainError::OtherKey) }
    }

    /// Checks that the certificate contains every name in `wanted`. The common name is not checked: clients ignore it, and some
    /// CAs omit it.
    ///
    /// # Errors
    /// [`ChainError::MissingNames`], with all missing names.
    pub fn check_names(&self, wanted: &Subject) -> Result<(), ChainError> {
        let dns_names =
            wanted.dns_names.iter().filter(|name| !self.dns_names.contains(&name.to_ascii_lowercase()));
        let ip_addresses = wanted.ip_addresses.iter().filter(|address| !self.ip_addresses.contains(address));
        let missing: Vec<_> = dns_names.cloned().chain(ip_addresses.map(IpAddr::to_string)).collect();
        if missing.is_empty() { Ok(()) } else { Err(ChainError::MissingNames(missing)) }
    }

    /// Checks that the certificate is valid at `now`, with a tolerance of an hour for its start.
    ///
    /// # Errors
    /// [`ChainError::NotYetValid`] or [`ChainError::Expired`]
    pub fn check_validity(&self, now: Timestamp) -> Result<(), ChainError> {
        if self.not_before.duration_since(now) > CLOCK_SKEW {
            return Err(ChainError::NotYetValid { not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(ChainError::Expired { not_after: self.not_after });
        }
        Ok(())
    }
}

/// Why a chain was rejected. Positions count from 1, the leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The text is not PEM.
    #[error("the certificate is not valid PEM")]
    Pem,
    /// The text contains no certificate.
    #[error("the PEM text contains no certificate")]
    Empty,
    /// A certificate cannot be parsed.
    #[error("certificate {position} of the chain cannot be read")]
    Malformed {
        /// Its position in the chain.
        position: usize,
    },
    /// The leaf is for another key.
    #[error("the certificate is for another private key")]
    OtherKey,
    /// The leaf does not contain all requested names.
    #[error("the certificate lacks {}", .0.join(", "))]
    MissingNames(Vec<String>),
    /// The leaf is not yet valid.
    #[error("the certificate is not valid before {not_before}")]
    NotYetValid {
        /// When it becomes valid.
        not_before: Timestamp,
    },
    /// The leaf has expired.
    #[error("the certificate expired at {not_after}")]
    Expired {
        /// When it expired.
        not_after: Timestamp,
    },
    /// The chain contains only the leaf.
    #[error("the chain contains only the certificate, without its issuers")]
    NoChain,
    /// The next certificate is not the issuer's.
    #[error("certificate {position} of the chain was issued by {issuer}, but the next one is for {subject}")]
    WrongIssuer {
        /// Its position in the chain.
        position: usize,
        /// Its issuer.
        issuer: String,
        /// The subject of the next certificate.
        subject: String,
    },
    /// The next certificate did not sign this one.
    #[error("certificate {position} of the chain was not signed with the key of the next one, {issuer}")]
    WrongSignature {
        /// Its position in the chain.
        position: usize,
        /// Its issuer.
        issuer: String,
    },
}

fn parse_all(certificates: &[Vec<u8>]) -> Result<Vec<X509Certificate<'_>>, ChainError> {
    (1..).zip(certificates).map(|(position, der)| parse(position, der)).collect()
}

fn parse(position: usize, der: &[u8]) -> Result<X509Certificate<'_>, ChainError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(ChainError::Malformed { position }),
    }
}

fn check_signatures(chain: &[X509Certificate<'_>]) -> Result<(), ChainError> {
    if chain.len() < 2 {
        return Err(ChainError::NoChain);
    }
    for (position, pair) in (1..).zip(chain.windows(2)) {
        let [certificate, issuer] = pair else { continue };
        if certificate.issuer().as_raw() != issuer.subject().as_raw() {
            return Err(ChainError::WrongIssuer {
                position,
                issuer: name(certificate.issuer()),
                subject: name(issuer.subject()),
            });
        }
        if !signed_by(
            issuer.public_key(),
            &certificate.signature_algorithm,
            &certificate.signature_value,
            certificate.tbs_certificate.as_ref(),
        ) {
            return Err(ChainError::WrongSignature { position, issuer: name(certificate.issuer()) });
        }
    }
    Ok(())
}

fn name(name: &X509Name<'_>) -> String {
    common_name(name).unwrap_or_else(|| shown(&name.to_string()))
}

pub(super) fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next()?.as_str().ok().map(shown)
}

/// A name that is safe in a message: a CA may have put anything there.
fn shown(name: &str) -> String {
    clean(name, LONGEST_NAME)
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

pub(super) fn ip_address(name: &GeneralName<'_>) -> Option<IpAddr> {
    let GeneralName::IPAddress(bytes) = name else { return None };
    match bytes.len() {
        4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
    }
}

fn certificate_id(certificate: &X509Certificate<'_>) -> Option<String> {
    let authority =
        certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        })?;
    // With the leading zero that keeps the number positive.
    Some(format!("{}.{}", BASE64.encode(authority.0), BASE64.encode(certificate.raw_serial())))
}

pub(super) fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests;

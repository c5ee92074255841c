//! Certificate revocation lists (RFC 5280 section 5).
//!
//! A list may have millions of bytes, so it is not held as a whole in parsed form: its entries are read one at a time.

use jiff::{SignedDuration, Timestamp};
use x509_parser::asn1_rs::{Any, BitString};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::RevokedCertificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

use crate::chain::{hex, timestamp};
use crate::signature::verify;

/// How far the local clock may differ from the CA's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);
/// The code of an entry that is no longer on the list (section 5.3.1).
const REMOVE_FROM_CRL: u8 = 8;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXTENSIONS: u8 = 0xa0;

/// A revocation list that is complete for the certificates of its issuer. Its signature is not verified yet.
#[derive(Clone, Debug)]
pub struct RevocationList<'a> {
    issuer: &'a [u8],
    this_update: Timestamp,
    next_update: Timestamp,
    entries: &'a [u8],
    signed: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: BitString<'a>,
}

/// A certificate on a revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedEntry {
    /// The serial number, in the same form as that of a [`Leaf`](crate::Leaf).
    pub serial_number: String,
    /// When the CA revoked it.
    pub time: Timestamp,
    /// The reason (section 5.3.1); 0 if the list has none.
    pub reason: u8,
}

/// Why a revocation list is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationListError {
    /// It cannot be parsed.
    #[error("it is not a DER-encoded CRL")]
    Malformed,
    /// It has no `nextUpdate`, which RFC 5280 requires.
    #[error("it does not say when the next one is published")]
    NoNextUpdate,
    /// The next one should have been published.
    #[error("it is out of date: the next one was due at {next_update}")]
    OutOfDate {
        /// When that was.
        next_update: Timestamp,
    },
    /// It was made in the future.
    #[error("it is from the future: {this_update}")]
    FromTheFuture {
        /// When it was made.
        this_update: Timestamp,
    },
    /// It lists changes, certificates of other issuers, or other certificates only.
    #[error("it is a delta or indirect CRL, or not for certificates of servers")]
    OtherScope,
    /// It has a critical extension that is not known here.
    #[error("it has a critical extension that is not supported")]
    UnknownExtension,
}

impl<'a> RevocationList<'a> {
    /// Parses a DER list, except its entries.
    ///
    /// # Errors
    /// [`RevocationListError::Malformed`], or why it is not a complete list of its issuer's certificates.
    pub fn from_der(der: &'a [u8]) -> Result<Self, RevocationListError> {
        let (list, rest) = sequence(der)?;
        let (tbs, after) = sequence(list)?;
        let signed = &list[..list.len() - after.len()];
        let (end, algorithm) = AlgorithmIdentifier::from_der(after).map_err(malformed)?;
        let outer = &after[..after.len() - end.len()];
        let (end, signature) = BitString::from_der(end).map_err(malformed)?;
        let next = if tbs.first() == Some(&INTEGER) { element(tbs)?.1 } else { tbs };
        let (_, after) = sequence(next)?;
        let is_same_algorithm = next[..next.len() - after.len()] == *outer;
        let (_, next) = sequence(after)?;
        let issuer = &after[..after.len() - next.len()];
        let (this_update, next) = time(next)?;
        let is_time = next.first().is_some_and(|tag| [UTC_TIME, GENERALIZED_TIME].contains(tag));
        let (next_update, next) = match is_time {
            true => time(next).map(|(time, next)| (Some(time), next))?,
            false => (None, next),
        };
        let (entries, next) = if next.first() == Some(&SEQUENCE) { sequence(next)? } else { (&[][..], next) };
        let (extensions, next) = match next.first() {
            Some(&EXTENSIONS) => element(next)?,
            _ => (&[][..], next),
        };
        if !(rest.is_empty() && end.is_empty() && next.is_empty() && is_same_algorithm) {
            return Err(RevocationListError::Malformed);
        }
        check_extensions(extensions)?;
        let next_update = next_update.ok_or(RevocationListError::NoNextUpdate)?;
        Ok(Self { issuer, this_update, next_update, entries, signed, algorithm, signature })
    }

    /// Checks that it is current at `now`.
    ///
    /// # Errors
    /// [`RevocationListError::OutOfDate`] or [`RevocationListError::FromTheFuture`]
    pub fn check_time(&self, now: Timestamp) -> Result<(), RevocationListError> {
        let &Self { this_update, next_update, .. } = self;
        if now.duration_since(next_update) > CLOCK_SKEW {
            return Err(RevocationListError::OutOfDate { next_update });
        }
        if this_update.duration_since(now) > CLOCK_SKEW {
            return Err(RevocationListError::FromTheFuture { this_update });
        }
        Ok(())
    }

    /// The revoked certificates, as far as they can be parsed: after an error, there are no more.
    pub fn entries(&self) -> impl Iterator<Item = Result<RevokedEntry, RevocationListError>> + use<'a> {
        let mut rest = self.entries;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let read = entry(rest);
                rest = read.as_ref().map_or(&[], |(_, rest)| rest);
                match read {
                    Ok((None, _)) => {}
                    Ok((Some(entry), _)) => return Some(Ok(entry)),
                    Err(error) => return Some(Err(error)),
                }
            }
            None
        })
    }

    /// Whether the list is from the issuer with this certificate, given as DER: it has its name, and certainly its signature.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &[u8]) -> bool {
        let Ok((_, issuer)) = X509Certificate::from_der(issuer) else { return false };
        issuer.subject().as_raw() == self.issuer
            && verify(issuer.public_key(), &self.algorithm, &self.signature, self.signed) == Some(true)
    }
}

/// The first entry, and the rest. There is none if the certificate was removed from the list.
fn entry(entries: &[u8]) -> Result<(Option<RevokedEntry>, &[u8]), RevocationListError> {
    let (rest, revoked) = RevokedCertificate::from_der(entries).map_err(malformed)?;
    // Such as the issuer of an entry in an indirect list.
    let is_known = |extension: &X509Extension<'_>| {
        matches!(extension.parsed_extension(), ParsedExtension::ReasonCode(_))
    };
    if revoked.extensions().iter().any(|extension| extension.critical && !is_known(extension)) {
        return Err(RevocationListError::UnknownExtension);
    }
    let reason = revoked.reason_code().map_or(0, |(_, reason)| reason.0);
    let entry = RevokedEntry {
        serial_number: hex(&revoked.serial().to_bytes_be()),
        time: timestamp(revoked.revocation_date).ok_or(RevocationListError::Malformed)?,
        reason,
    };
    Ok((Some(entry).filter(|_| reason != REMOVE_FROM_CRL), rest))
}

fn check_extensions(extensions: &[u8]) -> Result<(), RevocationListError> {
    let mut rest = if extensions.is_empty() { extensions } else { sequence(extensions)?.0 };
    while !rest.is_empty() {
        let (next, extension) = X509Extension::from_der(rest).map_err(malformed)?;
        rest = next;
        let fault = match extension.parsed_extension() {
            ParsedExtension::IssuingDistributionPoint(scope) => {
                let is_other =
                    scope.indirect_crl || scope.only_contains_ca_certs || scope.only_contains_attribute_certs;
                is_other.then_some(RevocationListError::OtherScope)
            }
            _ if extension.oid == oid::OID_X509_EXT_DELTA_CRL_INDICATOR => {
                Some(RevocationListError::OtherScope)
            }
            _ if extension.critical => Some(RevocationListError::UnknownExtension),
            _ => None,
        };
        fault.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// The content of a sequence, and what follows it.
fn sequence(der: &[u8]) -> Result<(&[u8], &[u8]), RevocationListError> {
    if der.first() != Some(&SEQUENCE) {
        return Err(RevocationListError::Malformed);
    }
    element(der)
}

/// The content of an element, and what follows it.
fn element(der: &[u8]) -> Result<(&[u8], &[u8]), RevocationListError> {
    let (rest, any) = Any::from_der(der).map_err(|_| RevocationListError::Malformed)?;
    Ok((any.data, rest))
}

fn time(der: &[u8]) -> Result<(Timestamp, &[u8]), RevocationListError> {
    let (rest, time) = ASN1Time::from_der(der).map_err(malformed)?;
    Ok((timestamp(time).ok_or(RevocationListError::Malformed)?, rest))
}

fn malformed<E>(_: E) -> RevocationListError {
    RevocationListError::Malformed
}

#[cfg(test)]
mod tests;

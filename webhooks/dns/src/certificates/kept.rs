//! What is kept in the Secret, and what is due: authorities and the certificate that is served.
//!
//! A new authority is published in the APIService for a while before it signs what is served, and the old one stays there for a
//! while after. So an API server that learns of changes late trusts whatever it meets.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use pem::parse_many;

use super::authority::{Authority, Signed};
use super::{CertificateError, Shown};

const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEYS: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An authority.
    pub authority: Duration,
    /// A certificate that is served.
    pub certificate: Duration,
}

impl Lifetimes {
    /// How long an authority is published before and after it is used.
    #[must_use]
    pub fn overlap(&self) -> Duration {
        (self.authority / 10).min(Duration::from_secs(3600))
    }
}

/// The authorities, oldest first, and the certificate that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    authorities: Vec<Authority>,
    serving: Option<Signed>,
}

impl Kept {
    /// From the content of the Secret.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, CertificateError> {
        let text = |key: &str| {
            let bytes = data.get(key).map(|value| value.0.as_slice()).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let entries = |key: &'static str| {
            let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
            let parsed = parse_many(text(key)).map_err(|_| CertificateError::X509(key))?;
            let entries = parsed.iter().map(|entry| pem::encode_config(entry, unix));
            Ok::<Vec<_>, CertificateError>(entries.collect())
        };
        let (certificates, keys) = (entries(AUTHORITIES)?, entries(AUTHORITY_KEYS)?);
        if certificates.len() != keys.len() {
            return Err(CertificateError::Keys);
        }
        let authorities = certificates.into_iter().zip(keys).map(|(own, key)| Authority::read(own, key));
        let serving = Signed::read(CERTIFICATE, text(CERTIFICATE), text(KEY))?;
        Ok(Self { authorities: authorities.collect::<Result<_, _>>()?, serving: Some(serving) })
    }

    /// The content of the Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let keys: String = self.authorities.iter().map(|authority| authority.own.key.as_str()).collect();
        let serving = self.serving.as_ref();
        let certificate = serving.map(|serving| serving.certificate.clone()).unwrap_or_default();
        let key = serving.map(|serving| serving.key.to_string()).unwrap_or_default();
        let entries =
            [(AUTHORITIES, self.bundle()), (AUTHORITY_KEYS, keys), (CERTIFICATE, certificate), (KEY, key)];
        entries.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).into()
    }

    /// The certificates of all authorities, for the APIService.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.authorities.iter().map(|authority| authority.own.certificate.as_str()).collect()
    }

    /// The certificate of the newest authority.
    #[must_use]
    pub fn newest(&self) -> Option<&str> {
        self.authorities.last().map(|authority| authority.own.certificate.as_str())
    }

    /// What to serve.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn shown(&self) -> Result<Shown, CertificateError> {
        let serving = self.serving.as_ref().ok_or(CertificateError::None(CERTIFICATE))?;
        Shown::read(serving.certificate.as_bytes(), serving.key.as_bytes())
    }

    /// What should be kept at `now`; the same, if nothing is due. `published` is when the newest authority was first seen in the
    /// APIService.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn renewed(
        &self,
        names: &[String],
        lifetimes: Lifetimes,
        published: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let long_ago = |time: Timestamp| {
            Duration::try_from(now.duration_since(time)).is_ok_and(|since| since >= lifetimes.overlap())
        };
        let mut authorities: Vec<_> =
            self.authorities.iter().filter(|authority| authority.own.expires > now).cloned().collect();
        let is_known = authorities.last().is_some_and(|newest| newest.own.renewal() > now);
        if !is_known {
            authorities.push(Authority::create(lifetimes.authority, now)?);
        }
        let Some((newest, others)) = authorities.split_last() else { return Ok(self.clone()) };
        let issuer = self.serving.as_ref().map(|serving| &serving.issuer);
        let signs = issuer == Some(&newest.own.subject);
        let issuing = others.iter().rev().find(|other| Some(&other.own.subject) == issuer).or(others.last());
        let may_sign = signs || (is_known && published.is_some_and(long_ago));
        let signer = issuing.filter(|_| !may_sign).unwrap_or(newest);
        let serving = match &self.serving {
            Some(serving)
                if serving.issuer == signer.own.subject
                    && serving.renewal() > now
                    && serving.names == names =>
            {
                serving.clone()
            }
            _ => signer.sign(names, lifetimes.certificate, now)?,
        };
        let signed_long_ago = long_ago(serving.created);
        let (newest, signer) = (newest.own.subject.clone(), serving.issuer.clone());
        authorities.retain(|authority| {
            let needed = [&newest, &signer].contains(&&authority.own.subject);
            needed || !signed_long_ago
        });
        Ok(Self { authorities, serving: Some(serving) })
    }
}

#[cfg(test)]
mod tests;

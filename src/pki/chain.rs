use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use super::{KeyAlgorithm, PrivateKey, Subject};

/// A certificate and the certificates that lead from it to a root, as a CA delivers them (RFC 8555 section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What the first certificate says.
    pub leaf: Leaf,
    /// The common name of the issuer of each certificate in the chain, the leaf's first.
    pub issuers: Vec<String>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub serial_number: String,
    pub common_name: Option<String>,
    pub dns_names: BTreeSet<String>,
    pub ip_addresses: BTreeSet<IpAddr>,
    pub public_key_der: Vec<u8>,
    pub public_key_algorithm: Option<KeyAlgorithm>,
    pub issuer_name: String,
}

impl Chain {
    /// Reads a chain.
    ///
    /// # Errors
    /// [`ChainError`]
    pub fn parse_pem(text: &[u8]) -> Result<Self, ChainError> {
        let _ = text;
        Err(ChainError::Empty)
    }

    /// Checks the chain.
    ///
    /// # Errors
    /// [`ChainError`]
    pub fn check(&self, key: &PrivateKey, wanted: &Subject, now: Timestamp) -> Result<(), ChainError> {
        let _ = (key, wanted, now);
        Ok(())
    }

    /// Whether any certificate of the chain was issued by `name`.
    #[must_use]
    pub fn issued_by(&self, name: &str) -> bool {
        self.issuers.iter().any(|issuer| issuer == name)
    }
}

/// Why a chain was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("no certificate")]
    Empty,
}

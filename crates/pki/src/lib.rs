//! Private keys, certificate signing requests, certificate chains, revocation lists, keystores, answers to tls-alpn-01.

mod chain;
mod challenge;
mod crl;
mod csr;
mod distribution_point;
mod key;
pub mod keystore;
mod signature;
mod signing_request;

pub use chain::{Chain, ChainError, Leaf};
pub use challenge::{ChallengeCertificateError, ChallengeSigner, ShownCertificate, acme_identifier};
pub use crl::{RevocationList, RevocationListError, RevokedEntry};
pub use csr::{CsrError, SignatureHash, Subject, certificate_signing_request};
pub use key::{Curve, KeyAlgorithm, KeyEncoding, KeyError, PrivateKey, PublicNumbers};
pub use signing_request::{SigningRequest, SigningRequestError};

//! Revocation (RFC 8555 section 7.6).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::jws::{AccountKey, KeyName, encode};
use crate::{Account, AcmeError, Directory, Operation, Server};
use certwright_pki::PrivateKey;

impl Account {
    /// Has a certificate revoked that this account ordered, or whose names it may have certificates for. `reason` is a
    /// number of RFC 5280 section 5.3.1. One that is revoked already is no error.
    ///
    /// # Errors
    /// [`AcmeError`]; [`AcmeError::NotOffered`] if the CA's directory has no place for it.
    pub async fn revoke_certificate(&self, der: &[u8], reason: u8) -> Result<(), AcmeError> {
        let url = revoke_cert(&*self.directory().await?, self.server())?;
        revoked(self.post(Operation::RevokeCertificate, &url, &payload(der, reason)).await.map(drop))
    }
}

impl Server {
    /// The same, signed with the certificate's own private key: without an account.
    ///
    /// # Errors
    /// [`AcmeError`]; [`AcmeError::NotOffered`] if the CA's directory has no place for it.
    pub async fn revoke_certificate_with_its_key(
        &self,
        key: PrivateKey,
        der: &[u8],
        reason: u8,
    ) -> Result<(), AcmeError> {
        let url = revoke_cert(&*self.directory().await?, self)?;
        let (key, payload) = (Arc::new(AccountKey::new(key)), payload(der, reason).to_string());
        let posted = self.post(Operation::RevokeCertificate, &key, &KeyName::Jwk, &url, &payload).await;
        revoked(posted.map(drop))
    }
}

fn revoke_cert(directory: &Directory, server: &Server) -> Result<String, AcmeError> {
    directory.revoke_cert.clone().ok_or_else(|| AcmeError::NotOffered {
        operation: Operation::RevokeCertificate,
        host: server.host(),
        entry: "revokeCert",
    })
}

/// The reason 0, that there is none, is better left out (RFC 5280 section 5.3.1).
fn payload(der: &[u8], reason: u8) -> Value {
    let mut payload = json!({ "certificate": encode(der) });
    if reason != 0 {
        payload["reason"] = reason.into();
    }
    payload
}

fn revoked(outcome: Result<(), AcmeError>) -> Result<(), AcmeError> {
    match outcome {
        Err(error) if error.code() == "alreadyRevoked" => Ok(()),
        outcome => outcome,
    }
}

//! Revocation (RFC 8555 section 7.6).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::jws::{AccountKey, KeyName, encode};
use crate::{Account, AcmeError, Directory, Operation, Server};
use certwright_pki::PrivateKey;

impl Account {
    /// Revokes a certificate that this account ordered, or for whose names it is authorized. `reason` is a number from RFC 5280
    /// section 5.3.1. It is not an error if the certificate is already revoked.
    ///
    /// # Errors
    /// [`AcmeError`]; [`AcmeError::NotOffered`] if the CA's directory has no `revokeCert`.
    pub async fn revoke_certificate(&self, der: &[u8], reason: u8) -> Result<(), AcmeError> {
        let url = revoke_cert(&*self.directory().await?, self.server())?;
        revoked(self.post(Operation::RevokeCertificate, &url, &payload(der, reason)).await.map(drop))
    }
}

impl Server {
    /// Like [`Account::revoke_certificate`], but signed with the certificate's own private key, without an account.
    ///
    /// # Errors
    /// [`AcmeError`]; [`AcmeError::NotOffered`] if the CA's directory has no `revokeCert`.
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

/// Reason 0, unspecified, should be omitted (RFC 5280 section 5.3.1).
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

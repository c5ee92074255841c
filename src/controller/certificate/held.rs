//! A certificate with its key, as a Secret holds it.

use k8s_openapi::api::core::v1::Secret;

use crate::controller::secrets;
use certwright_pki::{Chain, PrivateKey};

/// A certificate with its key, as a Secret holds it.
#[derive(Clone)]
pub(super) struct Held {
    /// The certificate and its chain, in PEM.
    pub(super) chain: Vec<u8>,
    /// The content of `ca.crt`.
    pub(super) ca: Option<Vec<u8>>,
    pub(super) key: PrivateKey,
}

impl Held {
    /// The certificate that a CA issued, with its key.
    pub(super) fn new(chain: &Chain, key: PrivateKey) -> Self {
        Self { chain: chain.pem().into_bytes(), ca: chain.topmost_pem().map(String::into_bytes), key }
    }

    /// The certificate in a Secret.
    pub(super) fn by(secret: &Secret) -> Option<Self> {
        let bytes = |name: &str| secrets::data(secret, name).map(<[u8]>::to_vec);
        Some(Self {
            chain: bytes(certwright_api::SECRET_KEY_TLS_CRT)?,
            ca: bytes(certwright_api::SECRET_KEY_CA_CRT),
            key: private_key(secret)?,
        })
    }
}

/// Whether the Secret for the key of an issuance also holds a certificate.
pub(super) fn is_backup(secret: &Secret) -> bool {
    secrets::data(secret, certwright_api::SECRET_KEY_TLS_CRT).is_some()
}

/// The private key in a Secret.
pub(super) fn private_key(secret: &Secret) -> Option<PrivateKey> {
    PrivateKey::from_pem(secrets::data(secret, certwright_api::SECRET_KEY_TLS_KEY)?).ok()
}

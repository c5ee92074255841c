//! The key of an order, and a certificate as a Secret holds it.

use k8s_openapi::api::core::v1::Secret;

use crate::controller::secrets;
use certwright_core::spec::ValidatedCertificate;
use certwright_pki::{Chain, PrivateKey, SigningRequest};

/// What an order is finalized with.
pub(super) enum OrderKey {
    /// The private key, for which we create a certificate signing request.
    Own(PrivateKey),
    /// A certificate signing request for a private key that is kept elsewhere.
    Elsewhere(SigningRequest),
}

impl OrderKey {
    /// The public key, as `SubjectPublicKeyInfo`.
    pub(super) fn public_key_der(&self) -> &[u8] {
        match self {
            Self::Own(key) => key.public_key_der(),
            Self::Elsewhere(request) => &request.public_key_der,
        }
    }
}

/// A certificate, as a Secret holds it: with its key, unless that is kept elsewhere.
#[derive(Clone)]
pub(super) struct Held {
    /// The certificate and its chain, in PEM.
    pub(super) chain: Vec<u8>,
    /// The content of `ca.crt`.
    pub(super) ca: Option<Vec<u8>>,
    pub(super) key: Option<PrivateKey>,
}

impl Held {
    /// The certificate that a CA issued.
    pub(super) fn new(chain: &Chain, key: OrderKey) -> Self {
        let key = match key {
            OrderKey::Own(key) => Some(key),
            OrderKey::Elsewhere(_) => None,
        };
        Self { chain: chain.pem().into_bytes(), ca: chain.topmost_pem().map(String::into_bytes), key }
    }

    /// The certificate in a Secret, which must have its key unless that is kept elsewhere.
    pub(super) fn by(secret: &Secret, wanted: &ValidatedCertificate) -> Option<Self> {
        let bytes = |name: &str| secrets::data(secret, name).map(<[u8]>::to_vec);
        Some(Self {
            chain: bytes(certwright_api::SECRET_KEY_TLS_CRT)?,
            ca: bytes(certwright_api::SECRET_KEY_CA_CRT),
            key: match wanted.csr {
                Some(_) => None,
                None => Some(private_key(secret)?),
            },
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

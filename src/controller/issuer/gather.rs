//! Gather: everything that the next step is decided on.

use k8s_openapi::api::core::v1::Secret;

use crate::acme::{ExternalAccountKey, MacAlgorithm, jwk_thumbprint, parse_mac_key};
use crate::api::{self, SECRET_ACCOUNT_KEY};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{AccountSecret, IssuerRecord, account_secret};
use crate::controller::secrets;
use crate::core::account::{KeySecret, MacKey, Recorded, Situation, mac_key_in_secret};
use crate::pki::{Curve, KeyAlgorithm, PrivateKey};

/// One reconcile's view of an issuer.
pub(super) struct Work {
    pub(super) issuer: IssuerRecord,
    /// The status as the API server has it.
    pub(super) recorded_status: api::IssuerStatus,
    pub(super) account_secret: AccountSecret,
    pub(super) secret: Option<Secret>,
    pub(super) key_secret: KeySecret,
    pub(super) key: Option<PrivateKey>,
    pub(super) mac_key: MacKey,
    pub(super) external_account: Option<ExternalAccountKey>,
    pub(super) looked_up: bool,
    /// Whether this reconcile has written something.
    pub(super) written: bool,
}

impl Work {
    /// Reads what there is.
    pub(super) async fn gather(issuer: IssuerRecord, context: &Context) -> Result<Self, Error> {
        let account_secret = account_secret(&issuer, &context.config.namespace);
        let secret = secrets::read(&context.client, &account_secret.0, &account_secret.1).await?;
        let mut work = Self {
            recorded_status: issuer.status.clone(),
            issuer,
            account_secret,
            secret: None,
            key_secret: KeySecret::Missing,
            key: None,
            mac_key: MacKey::NotRead,
            external_account: None,
            looked_up: false,
            written: false,
        };
        work.see_secret(secret);
        Ok(work)
    }

    /// What the next step is decided on.
    pub(super) fn situation(&self) -> Situation<'_> {
        Situation {
            spec: &self.issuer.spec,
            generation: self.issuer.generation,
            status: &self.issuer.status,
            key_secret_name: (&self.account_secret.1, &self.account_secret.2),
            secrets_namespace: self.issuer.id.namespace.is_none().then_some(self.account_secret.0.as_str()),
            key_secret: &self.key_secret,
            mac_key: &self.mac_key,
            looked_up: self.looked_up,
        }
    }

    /// Takes note of the account key Secret.
    pub(super) fn see_secret(&mut self, secret: Option<Secret>) {
        self.key = None;
        self.key_secret = match &secret {
            None => KeySecret::Missing,
            Some(secret) => match secrets::data(secret, &self.account_secret.2) {
                None => KeySecret::NoSuchKey,
                Some(pem) => {
                    match PrivateKey::from_pem(pem).map_err(|error| error.to_string()).and_then(usable) {
                        Err(why) => KeySecret::Unusable(why),
                        Ok(key) => {
                            let thumbprint = jwk_thumbprint(&key);
                            self.key = Some(key);
                            KeySecret::Key {
                                account: recorded(secret, &thumbprint),
                                thumbprint,
                                ours: secrets::purpose(secret) == Some(SECRET_ACCOUNT_KEY),
                            }
                        }
                    }
                }
            },
        };
        self.secret = secret;
    }

    /// Reads the MAC key.
    pub(super) async fn read_mac_key(&mut self, context: &Context) -> Result<(), Error> {
        let Some(binding) = self.issuer.spec.external_account_binding.clone() else { return Ok(()) };
        let secret =
            secrets::read(&context.client, &self.account_secret.0, &binding.key_secret_ref.name).await?;
        self.mac_key = match secret {
            None => MacKey::SecretMissing,
            Some(secret) => match secrets::data(&secret, mac_key_in_secret(&self.issuer.spec)) {
                None => MacKey::NoSuchKey,
                Some(text) => match parse_mac_key(text) {
                    Err(error) => MacKey::Unusable(error.to_string()),
                    Ok(mac_key) => {
                        self.external_account = Some(ExternalAccountKey {
                            key_id: binding.key_id.clone(),
                            mac_key,
                            algorithm: match binding.key_algorithm.unwrap_or_default() {
                                api::MacAlgorithm::Hs256 => MacAlgorithm::Hs256,
                                api::MacAlgorithm::Hs384 => MacAlgorithm::Hs384,
                                api::MacAlgorithm::Hs512 => MacAlgorithm::Hs512,
                            },
                        });
                        MacKey::Usable
                    }
                },
            },
        };
        Ok(())
    }
}

/// A key that an account can have.
fn usable(key: PrivateKey) -> Result<PrivateKey, String> {
    match key.algorithm() {
        KeyAlgorithm::Ecdsa(Curve::P256 | Curve::P384) | KeyAlgorithm::Rsa(2048..=4096) => Ok(key),
        other => Err(format!(
            "an ACME account cannot have a key of {other}; use ECDSA P-256 or P-384, or RSA 2048 to 4096"
        )),
    }
}

/// The account that a Secret says its key has, unless it says so of a key that somebody has replaced since.
fn recorded(secret: &Secret, thumbprint: &str) -> Option<Recorded> {
    if secrets::annotation(secret, api::ANNOTATION_KEY_THUMBPRINT).is_some_and(|of| of != thumbprint) {
        return None;
    }
    Some(Recorded {
        url: secrets::annotation(secret, api::ANNOTATION_ACCOUNT_URL)?.to_owned(),
        server: secrets::annotation(secret, api::ANNOTATION_ACME_SERVER)?.to_owned(),
        key_id: secrets::annotation(secret, api::ANNOTATION_EAB_KEY_ID).map(str::to_owned),
    })
}

//! Gather: everything that the next step is decided on.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use tracing::warn;

use super::ownership::of_somebody_else;
use super::rollover::Rollover;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{AccountSecret, IssuerRecord};
use crate::controller::secrets;
use certwright_acme::{ExternalAccountKey, MacAlgorithm, jwk_thumbprint, parse_mac_key};
use certwright_api::{PreviousAccount, SECRET_ACCOUNT_KEY};
use certwright_core::account::evidence;
use certwright_core::account::{
    KeyId, KeySecret, MacKey, Recorded, Situation, key_id_in_secret, mac_key_in_secret,
};
use certwright_pki::{Curve, KeyAlgorithm, PrivateKey};

/// One reconcile's view of an issuer.
pub(super) struct Work {
    pub(super) issuer: IssuerRecord,
    /// The status as the API server has it.
    pub(super) recorded_status: certwright_api::IssuerStatus,
    pub(super) account_secret: AccountSecret,
    pub(super) secret: Option<Secret>,
    pub(super) key_secret: KeySecret,
    pub(super) key: Option<PrivateKey>,
    pub(super) key_id: KeyId,
    pub(super) mac_key: MacKey,
    pub(super) external_account: Option<ExternalAccountKey>,
    /// Version of the Secrets that the external account is from, once they were read.
    pub(super) external_account_version: Option<String>,
    external_account_versions: [String; 2],
    /// The accounts that the issuers of this Secret had before.
    pub(super) history: Vec<PreviousAccount>,
    pub(super) looked_up: bool,
    pub(super) rollover: Rollover,
    /// Whether this reconcile has written something.
    pub(super) written: bool,
}

impl Work {
    /// Reads what there is.
    pub(super) async fn gather(
        issuer: IssuerRecord,
        account_secret: AccountSecret,
        context: &Context,
    ) -> Result<Self, Error> {
        let secret = secrets::read(&context.client, &account_secret.0, &account_secret.1).await?;
        let mut work = Self {
            recorded_status: issuer.status.clone(),
            issuer,
            account_secret,
            secret: None,
            key_secret: KeySecret::Missing,
            key: None,
            key_id: KeyId::Unbound,
            mac_key: MacKey::NotRead,
            external_account: None,
            external_account_version: None,
            external_account_versions: Default::default(),
            history: Vec::new(),
            looked_up: false,
            rollover: Rollover::default(),
            written: false,
        };
        let server = &work.issuer.spec.server;
        let previous = work.issuer.status.acme.iter().flat_map(|acme| &acme.previous_accounts);
        work.history = previous.filter(|previous| evidence::is_harmless(previous, server)).cloned().collect();
        work.see_secret(secret);
        work.doubt_account();
        work.read_key_id(context).await?;
        work.gather_rollover(context);
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
            key_id: &self.key_id,
            mac_key: &self.mac_key,
            external_account_version: self.external_account_version.as_deref(),
            history: &self.history,
            deactivate: self.issuer.deactivate.as_deref(),
            held: self.issuer.held,
            looked_up: self.looked_up,
            rollover: self.rollover_view(),
        }
    }

    /// Forgets an account in the status that the Secret does not confirm. It is found out again.
    fn doubt_account(&mut self) {
        let KeySecret::Key { account: on_secret, .. } = &self.key_secret else { return };
        let Some(acme) = &self.issuer.status.acme else { return };
        if !evidence::is_confirmed(acme, on_secret.as_ref()) {
            warn!(
                account = acme.uri,
                secret = self.account_secret.1,
                "the Secret with the account key does not confirm the account in the status; it is looked for again"
            );
            self.issuer.status.acme = None;
        }
    }

    /// Takes note of the account key Secret.
    pub(super) fn see_secret(&mut self, secret: Option<Secret>) {
        self.key = None;
        self.key_secret = match &secret {
            None => KeySecret::Missing,
            Some(secret) if let Some(why) = of_somebody_else(secret) => KeySecret::OfSomebodyElse(why),
            Some(secret) => match secrets::data(secret, &self.account_secret.2) {
                None => KeySecret::NoSuchKey,
                Some(text) => {
                    match PrivateKey::from_pem_or_jwk(text)
                        .map_err(|error| error.to_string())
                        .and_then(usable)
                    {
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
        if let Some(history) = secret.as_ref().and_then(previous_accounts) {
            self.history = history;
        }
        if let Some(acme) = &mut self.issuer.status.acme {
            acme.previous_accounts.clone_from(&self.history);
        }
        self.secret = secret;
        self.see_next_key();
    }

    /// Learns which external account the spec wants; and, if a CA has refused it before, whether its Secrets have changed.
    async fn read_key_id(&mut self, context: &Context) -> Result<(), Error> {
        let Some(binding) = self.issuer.spec.external_account_binding.clone() else { return Ok(()) };
        self.key_id = match (binding.key_id, &binding.key_id_secret_ref) {
            (Some(key_id), _) => KeyId::Known(key_id),
            (None, None) => KeyId::Unbound,
            (None, Some(reference)) => {
                let secret = secrets::read(&context.client, &self.account_secret.0, &reference.name).await?;
                self.saw_external_account(0, secret.as_ref());
                match &secret {
                    None => KeyId::SecretMissing,
                    Some(secret) => {
                        secrets::data(secret, key_id_in_secret(reference)).map_or(KeyId::NoSuchKey, key_id)
                    }
                }
            }
        };
        if self.issuer.status.refused_external_account_version.is_some() {
            let name = &binding.key_secret_ref.name;
            let secret = secrets::read(&context.client, &self.account_secret.0, name).await?;
            self.saw_external_account(1, secret.as_ref());
        }
        Ok(())
    }

    /// Takes note of the version of a Secret of the external account: the one with the key id (0), or the MAC key (1).
    fn saw_external_account(&mut self, part: usize, secret: Option<&Secret>) {
        let seen = secret.and_then(|secret| secret.metadata.resource_version.clone()).unwrap_or_default();
        if let Some(version) = self.external_account_versions.get_mut(part) {
            *version = seen;
        }
        self.external_account_version = Some(self.external_account_versions.join("/"));
    }

    /// Reads the MAC key.
    pub(super) async fn read_mac_key(&mut self, context: &Context) -> Result<(), Error> {
        let Some(binding) = self.issuer.spec.external_account_binding.clone() else { return Ok(()) };
        let KeyId::Known(key_id) = self.key_id.clone() else { return Ok(()) };
        let secret =
            secrets::read(&context.client, &self.account_secret.0, &binding.key_secret_ref.name).await?;
        self.saw_external_account(1, secret.as_ref());
        self.mac_key = match secret {
            None => MacKey::SecretMissing,
            Some(secret) => match secrets::data(&secret, mac_key_in_secret(&self.issuer.spec)) {
                None => MacKey::NoSuchKey,
                Some(text) => match parse_mac_key(text) {
                    Err(error) => MacKey::Unusable(error.to_string()),
                    Ok(mac_key) => {
                        self.external_account = Some(ExternalAccountKey {
                            key_id,
                            mac_key,
                            algorithm: match binding.key_algorithm.unwrap_or_default() {
                                certwright_api::MacAlgorithm::Hs256 => MacAlgorithm::Hs256,
                                certwright_api::MacAlgorithm::Hs384 => MacAlgorithm::Hs384,
                                certwright_api::MacAlgorithm::Hs512 => MacAlgorithm::Hs512,
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
pub(super) fn usable(key: PrivateKey) -> Result<PrivateKey, String> {
    match key.algorithm() {
        KeyAlgorithm::Ecdsa(Curve::P256 | Curve::P384) | KeyAlgorithm::Rsa(2048..=4096) => Ok(key),
        other => Err(format!(
            "an ACME account cannot have a key of {other}; use ECDSA P-256 or P-384, or RSA 2048 to 4096"
        )),
    }
}

/// The account that a Secret says its key has, unless it says so of a key that somebody has replaced since.
pub(super) fn recorded(secret: &Secret, thumbprint: &str) -> Option<Recorded> {
    if secrets::annotation(secret, certwright_api::ANNOTATION_KEY_THUMBPRINT)
        .is_some_and(|of| of != thumbprint)
    {
        return None;
    }
    Some(Recorded {
        url: secrets::annotation(secret, certwright_api::ANNOTATION_ACCOUNT_URL)?.to_owned(),
        server: secrets::annotation(secret, certwright_api::ANNOTATION_ACME_SERVER)?.to_owned(),
        key_id: secrets::annotation(secret, certwright_api::ANNOTATION_EAB_KEY_ID).map(str::to_owned),
        deactivated: secrets::annotation(secret, certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED)
            .map(|time| time.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
    })
}

/// The accounts that a Secret says its issuers had before. One that was restored without its annotations says nothing.
fn previous_accounts(secret: &Secret) -> Option<Vec<PreviousAccount>> {
    let written = secrets::annotation(secret, certwright_api::ANNOTATION_PREVIOUS_ACCOUNTS)?;
    serde_json::from_str(written).ok()
}

/// A key id as people paste it.
fn key_id(text: &[u8]) -> KeyId {
    match std::str::from_utf8(text).map(str::trim) {
        Ok("") => KeyId::Unusable("the key id is empty".to_owned()),
        Ok(text) if text.len() > 1024 => {
            KeyId::Unusable("the key id has more than 1024 characters".to_owned())
        }
        Ok(text) if text.chars().any(char::is_control) => {
            KeyId::Unusable("the key id has more than one line, or control characters".to_owned())
        }
        Ok(text) => KeyId::Known(text.to_owned()),
        Err(_) => KeyId::Unusable("the key id is not text".to_owned()),
    }
}

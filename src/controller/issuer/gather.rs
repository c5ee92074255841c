//! Gather: everything that the decision on the next step is based on.

use std::ops::Deref;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use tracing::warn;

use super::account_keys::{AccountKeys, usable};
use super::verified::verified;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{AccountSecret, IssuerRecord};
use crate::controller::secrets;
use certwright_acme::{Account, ExternalAccountKey, KeyChange, MacAlgorithm, jwk_thumbprint, parse_mac_key};
use certwright_api::{PreviousAccount, SECRET_ACCOUNT_KEY};
use certwright_core::account::{
    AccountRefusal, KeyId, KeySecret, MacKey, Recorded, Snapshot, State, key_id_in_secret, mac_key_in_secret,
    of_somebody_else,
};
use certwright_core::authorization::Progress;
use certwright_core::backoff::Backoff;
use certwright_core::ledger::Unverified;
use certwright_pki::PrivateKey;

/// One reconcile of an issuer.
pub(super) struct ReconcileIssuer {
    pub(super) seen: Seen,
    pub(super) state: State,
    /// What is known of the authorization that is being validated.
    pub(super) progress: Progress,
    /// TXT records in the status that are not verifiably the operator's.
    pub(super) unverified: Unverified,
    /// The key change that the CA was asked for. While it is kept here, no other request is sent for the account.
    pub(super) change: Option<KeyChange>,
    /// Whether this reconcile has written an object.
    pub(super) written: bool,
}

impl Deref for ReconcileIssuer {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

/// What was gathered.
pub(super) struct Seen {
    pub(super) issuer: IssuerRecord,
    pub(super) account_secret: AccountSecret,
    pub(super) secret: Option<Secret>,
    key_secret: KeySecret,
    pub(super) key: Option<PrivateKey>,
    key_id: KeyId,
    mac_key: MacKey,
    pub(super) external_account: Option<ExternalAccountKey>,
    /// Version of the Secrets with the external account; `None` if neither has been read.
    external_account_version: Option<String>,
    external_account_versions: [String; 2],
    pub(super) account_keys: AccountKeys,
    pub(super) refusal: Option<AccountRefusal>,
    pub(super) latest_terms: Option<String>,
    backoff: Backoff,
    orders_per_account: usize,
}

impl ReconcileIssuer {
    /// Reads everything that is needed at the beginning of a reconcile.
    pub(super) async fn gather(
        issuer: IssuerRecord,
        account_secret: AccountSecret,
        context: &Context,
    ) -> Result<Self, Error> {
        let secret = secrets::read(&context.client, &account_secret.0, &account_secret.1).await?;
        let (mut status, unverified) = verified(&issuer, context);
        let mut progress = context.authorizations.recall(&issuer.uid);
        progress.resume(&mut status);
        let mut state = State::new(status, &issuer.spec.server);
        state.recorded = issuer.status.clone();
        let seen = Seen {
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
            account_keys: AccountKeys::default(),
            refusal: None,
            latest_terms: None,
            backoff: context.config.backoff,
            orders_per_account: context.order_slots.per_account(),
        };
        let mut work = Self { seen, state, progress, unverified, change: None, written: false };
        work.see_secret(secret);
        if let Some(account) = work.state.drop_unconfirmed(&work.seen.key_secret) {
            warn!(
                account,
                secret = work.account_secret.1,
                "the Secret with the account key does not confirm the account in the status; it is looked for again"
            );
        }
        work.seen.read_key_id(context).await?;
        let seen = &mut work.seen;
        seen.account_keys.gather_sharing(&seen.issuer, &seen.account_secret, context).await?;
        if work.account_in_use(context).is_some() {
            work.state.key_is_known();
        }
        Ok(work)
    }

    /// Records the content of the account key Secret.
    pub(super) fn see_secret(&mut self, secret: Option<Secret>) {
        self.state.note_history(secret.as_ref().and_then(previous_accounts));
        self.seen.see_secret(secret);
    }

    /// The account recorded in the status, if this process already uses it and knows which key it has.
    pub(super) fn account_in_use(&self, context: &Context) -> Option<Account> {
        let acme = self.state.status.acme.as_ref()?;
        context.accounts.as_recorded(acme, &self.issuer.spec, &self.account_secret)
    }
}

impl Seen {
    /// Records what may have changed since the last step.
    pub(super) fn look_around(&mut self, context: &Context) {
        self.refusal = context.account_refusals.on(&self.issuer.id, self.issuer.generation);
    }

    /// Bounds of the wait after failures.
    pub(super) fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// The snapshot of what was gathered.
    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            spec: &self.issuer.spec,
            name: &self.issuer.id.name,
            uid: &self.issuer.uid,
            generation: self.issuer.generation,
            key_secret_name: (&self.account_secret.1, &self.account_secret.2),
            secrets_namespace: self.issuer.id.namespace.is_none().then_some(self.account_secret.0.as_str()),
            key_secret: &self.key_secret,
            key_id: &self.key_id,
            mac_key: &self.mac_key,
            external_account_version: self.external_account_version.as_deref(),
            deactivate: self.issuer.deactivate.as_deref(),
            rebind: self.issuer.rebind.as_deref(),
            retry_request: self.issuer.retry.as_deref(),
            deleted: self.issuer.deleted,
            has_finalizer: self.issuer.has_finalizer,
            keys: self.account_keys.view(self.key.as_ref(), self.issuer.roll_over.as_deref()),
            refusal: self.refusal.as_ref(),
            latest_terms: self.latest_terms.as_deref(),
            backoff: self.backoff,
            orders_per_account: self.orders_per_account,
        }
    }

    /// Records the content of the account key Secret.
    fn see_secret(&mut self, secret: Option<Secret>) {
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
        self.secret = secret;
        let (key, data_key) = (self.key.as_ref(), &self.account_secret.2);
        self.account_keys.see(self.secret.as_ref(), key, data_key, &self.issuer.spec);
    }

    /// Reads the key id of the external account. If a CA has rejected the external account, also reads whether its Secrets have
    /// changed.
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
                    Some(secret) => secrets::data(secret, key_id_in_secret(reference))
                        .map_or(KeyId::NoSuchKey, KeyId::parse),
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

    /// Records the version of a Secret of the external account: the one with the key id (0), or the one with the MAC key (1).
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

/// The account that a Secret records for its key; `None` if the record is about a key that has since been replaced.
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

/// The previous accounts that a Secret lists; `None` if it has no list, such as one that was restored without its annotations.
fn previous_accounts(secret: &Secret) -> Option<Vec<PreviousAccount>> {
    let written = secrets::annotation(secret, certwright_api::ANNOTATION_PREVIOUS_ACCOUNTS)?;
    serde_json::from_str(written).ok()
}

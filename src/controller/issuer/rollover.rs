//! Executes the steps of an account key rollover.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tracing::info;

use super::account_keys::next_key;
use super::gather::{ReconcileIssuer, Seen};
use crate::controller::context::Context;
use crate::controller::error::Error;
use certwright_acme::{Account, AcmeError, jwk_thumbprint};
use certwright_core::account::rollover::{NextKey, RolloverStep};
use certwright_core::account::{Outcome, Recorded};
use certwright_core::renewal::whole_seconds;
use certwright_pki::{KeyAlgorithm, KeyEncoding, PrivateKey};

impl Seen {
    pub(super) fn resource_version(&self) -> Option<&str> {
        self.secret.as_ref()?.metadata.resource_version.as_deref()
    }

    fn next_private_key(&self) -> Result<(PrivateKey, NextKey), Error> {
        self.account_keys.next.clone().ok_or(Error::Missing("the next account key"))
    }
}

impl ReconcileIssuer {
    /// Executes one step.
    pub(super) async fn roll_over(
        &mut self,
        step: RolloverStep,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let waits = matches!(step, RolloverStep::WaitForValidations { .. });
        context.accounts.wait_for_validations(&self.account_secret, waits);
        match step {
            RolloverStep::AskWhichKey(account) => self.ask_for_next_key(account, context).await,
            RolloverStep::AskForPresentKey(account) => self.ask_for_present_key(account, context).await,
            RolloverStep::StoreNextKey(algorithm) => self.store_next_key(algorithm, now, context).await,
            RolloverStep::WaitForValidations { until } => {
                self.see_terms(context);
                Ok(Outcome::WaitedForValidations { until })
            }
            RolloverStep::ChangeKey { account } => self.change_key(&account, context).await,
            RolloverStep::PromoteKey(account) => self.promote_key(account, now, context).await,
            RolloverStep::DiscardNextKey => self.discard_next_key(context).await,
            RolloverStep::Refuse { reason, message } => Ok(Outcome::KeyChangeRefused { reason, message }),
        }
    }

    async fn store_next_key(
        &mut self,
        algorithm: KeyAlgorithm,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let directory = match context.accounts.server(&self.issuer.spec, &self.account_secret.0) {
            Ok(server) => server.directory().await,
            Err(error) => Err(error),
        };
        match directory {
            Ok(directory) if directory.key_change.is_none() => return Ok(Outcome::KeyChangeNotOffered),
            Ok(_) => {}
            Err(error) => return Ok(self.not_changed(error, context)),
        }
        let key = context.key_makers.make(algorithm, &self.account_secret.0).await?;
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": { (certwright_api::ANNOTATION_NEXT_KEY_CREATED): whole_seconds(now).to_string() },
            },
            "data": { (next_key(&self.account_secret.2)): pem(&key)? },
        });
        self.patch_secret(&patch, context).await?;
        info!(secret = self.account_secret.1, key = %algorithm, "stored the next account key");
        self.seen.account_keys.see_validations(&self.seen.account_secret, context).await?;
        Ok(Outcome::NextKeyStored)
    }

    async fn change_key(&mut self, url: &str, context: &Context) -> Result<Outcome, Error> {
        let (key, (next, _)) = (self.key()?, self.next_private_key()?);
        let secret = self.account_secret.clone();
        let asked = match context.accounts.resume(&self.issuer.spec, secret, key, url) {
            Ok(account) => account.change_key(&next).await,
            Err(error) => Err(error),
        };
        Ok(match asked {
            Ok(change) => {
                info!(answer = ?change.answer, "asked the CA to change the account key");
                let answer = change.answer.clone();
                self.change = Some(change);
                Outcome::KeyChangeAsked(answer)
            }
            Err(error) => self.not_changed(error, context),
        })
    }

    fn not_changed(&mut self, error: AcmeError, context: &Context) -> Outcome {
        self.see_terms(context);
        Outcome::KeyNotChanged(error)
    }

    /// Looks up the account of the next key at the CA.
    async fn ask_for_next_key(&self, account: Recorded, context: &Context) -> Result<Outcome, Error> {
        let (next, _) = self.next_private_key()?;
        let found = self.account_of(next, context).await;
        Ok(Outcome::NextKeyLookedUp(account, found))
    }

    /// Looks up the account of the current key at the CA.
    async fn ask_for_present_key(&self, account: Recorded, context: &Context) -> Result<Outcome, Error> {
        let found = self.account_of(self.key()?, context).await;
        Ok(Outcome::PresentKeyLookedUp(account, found.map(|url| url.is_some())))
    }

    async fn account_of(&self, key: PrivateKey, context: &Context) -> Result<Option<String>, AcmeError> {
        let server = context.accounts.server(&self.issuer.spec, &self.account_secret.0)?;
        let found = Account::look_up(&server, key).await?;
        Ok(found.map(|found| found.account.url().to_owned()))
    }

    /// Replaces the current key in the Secret with the next key, in one write.
    async fn promote_key(
        &mut self,
        account: Recorded,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let (next, seen) = self.next_private_key()?;
        let data_key = &self.account_secret.2;
        let created = seen.created.unwrap_or(now);
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": {
                    (certwright_api::ANNOTATION_ACCOUNT_URL): account.url,
                    (certwright_api::ANNOTATION_ACME_SERVER): account.server,
                    (certwright_api::ANNOTATION_EAB_KEY_ID): account.key_id,
                    (certwright_api::ANNOTATION_KEY_THUMBPRINT): jwk_thumbprint(&next),
                    (certwright_api::ANNOTATION_KEY_CREATED): whole_seconds(created).to_string(),
                    (certwright_api::ANNOTATION_NEXT_KEY_CREATED): null,
                    (certwright_api::ANNOTATION_LAST_KEY_ROLLOVER): whole_seconds(now).to_string(),
                },
            },
            "data": { (data_key): pem(&next)?, (next_key(data_key)): null },
        });
        self.patch_secret(&patch, context).await?;
        Ok(Outcome::KeyPromoted)
    }

    async fn discard_next_key(&mut self, context: &Context) -> Result<Outcome, Error> {
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": { (certwright_api::ANNOTATION_NEXT_KEY_CREATED): null },
            },
            "data": { (next_key(&self.account_secret.2)): null },
        });
        self.patch_secret(&patch, context).await?;
        Ok(Outcome::NextKeyDiscarded)
    }
}

fn pem(key: &PrivateKey) -> Result<Value, Error> {
    Ok(json!(ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec())))
}

//! Act: executes one step. What follows from its outcome is decided in `core`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::info;

use super::gather::ReconcileIssuer;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use crate::runtime::metrics::ApiVerb;
use certwright_acme::{Account, AccountState, AcmeError, Registered, Registration};
use certwright_api::{FIELD_MANAGER, FINALIZER_ACCOUNT};
use certwright_core::account::{
    AccountStep, CaAccount, Outcome, Recorded, account_key_algorithm, wanted_contact, with_deactivated,
};
use certwright_core::renewal::whole_seconds;
use certwright_pki::{KeyEncoding, PrivateKey};

impl ReconcileIssuer {
    /// Executes one step.
    pub(super) async fn act(
        &mut self,
        step: AccountStep,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        Ok(match step {
            AccountStep::Rest => {
                self.see_terms(context);
                Outcome::Rested
            }
            AccountStep::Wait { until, reason, message } => Outcome::Waited { until, reason, message },
            AccountStep::Hold { until } => Outcome::Held { until },
            AccountStep::MakeKey => self.make_key(now, context).await?,
            AccountStep::ReplaceKey => self.replace_key(now, context).await?,
            AccountStep::LookUp => Outcome::LookedUp(self.look_up(context).await?),
            AccountStep::ReadMacKey => {
                self.seen.read_mac_key(context).await?;
                Outcome::MacKeyRead
            }
            AccountStep::Register => self.register(context).await?,
            AccountStep::Adopt(recorded) => self.adopt(recorded, context).await?,
            AccountStep::RecordAccount { url, key_id } => self.record_account(&url, key_id, context).await?,
            AccountStep::RecordEnd(url) => self.record_end(&url, now, context).await?,
            AccountStep::NoteEnd(recorded) => Outcome::EndNoted(recorded),
            AccountStep::ReturnTo(previous) => self.return_to(previous, now, context).await?,
            AccountStep::Check { url } => self.check(url, context).await?,
            AccountStep::UpdateContact { account } => self.update_contact(&account, context).await?,
            AccountStep::Deactivate { url, patience } => self.deactivate(Some(url), patience, context).await,
            AccountStep::SetFinalizer => {
                self.write_finalizers(&[FINALIZER_ACCOUNT], context).await?;
                Outcome::FinalizerWritten
            }
            AccountStep::DropFinalizer => {
                self.write_finalizers(&[], context).await?;
                Outcome::FinalizerWritten
            }
            AccountStep::Rollover(step) => self.roll_over(step, now, context).await?,
        })
    }

    /// Records the terms of service from the directory that was fetched last, without fetching it again.
    pub(super) fn see_terms(&mut self, context: &Context) {
        let server = context.accounts.server(&self.issuer.spec, &self.account_secret.0).ok();
        let directory = server.and_then(|server| server.known_directory());
        self.seen.latest_terms = directory.and_then(|directory| directory.meta.terms_of_service.clone());
    }

    async fn make_key(&mut self, now: Timestamp, context: &Context) -> Result<Outcome, Error> {
        let key =
            context.key_makers.make(account_key_algorithm(&self.issuer.spec), &self.account_secret.0).await?;
        let (namespace, name, data_key) = self.account_secret.clone();
        let pem = ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec());
        let written = secrets::Written {
            namespace: &namespace,
            name: &name,
            purpose: certwright_api::SECRET_ACCOUNT_KEY,
            type_: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([(
                certwright_api::ANNOTATION_KEY_CREATED.to_owned(),
                whole_seconds(now).to_string(),
            )]),
            owner: None,
            data: BTreeMap::from([(data_key, pem)]),
        };
        let made = written.create(&context.client, &context.metrics).await?;
        if made {
            info!(secret = name, key = %key.algorithm(), "made an account key");
        }
        self.written = true;
        let found = secrets::read(&context.client, &namespace, &name).await?;
        self.see_secret(found);
        Ok(Outcome::KeyStored { made })
    }

    /// Patches the account key Secret, and records its new content.
    pub(super) async fn patch_secret(
        &mut self,
        patch: &serde_json::Value,
        context: &Context,
    ) -> Result<(), Error> {
        let (namespace, name, _) = &self.account_secret;
        let api = kube::Api::<Secret>::namespaced(context.client.clone(), namespace);
        context.metrics.api_written("Secret", ApiVerb::Patch);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .map_err(|source| Error::WriteSecret { name: name.clone(), source })?;
        self.written = true;
        self.see_secret(Some(patched));
        Ok(())
    }

    async fn register(&mut self, context: &Context) -> Result<Outcome, Error> {
        let key = self.key()?;
        let external_account = self.seen.external_account.take();
        let bound = external_account.is_some();
        let contact = self.wanted_contact();
        let registration = Registration { contact: contact.clone(), external_account };
        let answer = async {
            let server = context.accounts.server(&self.issuer.spec, &self.account_secret.0)?;
            let requires = server.directory().await?.meta.external_account_required;
            if requires && !bound {
                return Ok(None);
            }
            let Registered { account, state, created } =
                Account::register(&server, key, &registration).await?;
            Ok::<_, AcmeError>(Some((describe(&account, state).await, created)))
        };
        Ok(match answer.await {
            Ok(None) => Outcome::ExternalAccountRequired,
            Ok(Some(answer)) => Outcome::Registered { answer: Ok(answer), contact, bound },
            Err(error) => Outcome::Registered { answer: Err(error), contact, bound },
        })
    }

    /// Looks up the account of the key at the CA.
    async fn look_up(&self, context: &Context) -> Result<Result<Option<CaAccount>, AcmeError>, Error> {
        let key = self.key()?;
        let answer = async {
            let server = context.accounts.server(&self.issuer.spec, &self.account_secret.0)?;
            Ok(match Account::look_up(&server, key).await? {
                Some(found) => Some(describe(&found.account, found.state).await),
                None => None,
            })
        };
        Ok(answer.await)
    }

    /// Reads the state of the recorded account from the CA.
    async fn adopt(&self, recorded: Recorded, context: &Context) -> Result<Outcome, Error> {
        let key = self.key()?;
        let answer = async {
            let secret = self.account_secret.clone();
            let account = context.accounts.resume(&self.issuer.spec, secret, key, &recorded.url)?;
            let state = account.state().await?;
            Ok(describe(&account, state).await)
        };
        let answer = answer.await;
        Ok(Outcome::Adopted { recorded, answer })
    }

    async fn check(&mut self, url: String, context: &Context) -> Result<Outcome, Error> {
        let (key, secret) = (self.key()?, self.account_secret.clone());
        let answer = async {
            let account = context.accounts.resume(&self.issuer.spec, secret, key, &url)?;
            Ok(account.state().await?.status)
        };
        let answer = answer.await;
        Ok(Outcome::Checked { url, answer })
    }

    async fn record_account(
        &mut self,
        url: &str,
        key_id: Option<String>,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let patch = json!({ "metadata": { "annotations": {
            (certwright_api::ANNOTATION_ACCOUNT_URL): url,
            (certwright_api::ANNOTATION_ACME_SERVER): self.issuer.spec.server,
            (certwright_api::ANNOTATION_EAB_KEY_ID): key_id,
            (certwright_api::ANNOTATION_KEY_THUMBPRINT): self.thumbprint()?,
            (certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED): null,
        }}});
        self.patch_secret(&patch, context).await?;
        Ok(Outcome::Recorded)
    }

    /// Records in the Secret that an account is deactivated: the account of the current key, or a previous one.
    pub(super) async fn record_end(
        &mut self,
        url: &str,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        if let Some(previous) = self.state.history.iter().find(|account| account.uri == url) {
            let history = with_deactivated(&self.state.history, url, now);
            let mut patch = json!({ "metadata": { "annotations": {
                (certwright_api::ANNOTATION_PREVIOUS_ACCOUNTS): json!(history).to_string(),
            }}});
            if let Some(entry) = &previous.secret_key {
                patch["data"] = json!({ (entry): null });
            }
            self.patch_secret(&patch, context).await?;
        } else if self.secret.is_some() && self.key.is_some() {
            let patch = json!({ "metadata": { "annotations": {
                (certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED): whole_seconds(now).to_string(),
                (certwright_api::ANNOTATION_ACCOUNT_URL): url,
                (certwright_api::ANNOTATION_ACME_SERVER): self.issuer.spec.server,
                (certwright_api::ANNOTATION_KEY_THUMBPRINT): self.thumbprint()?,
            }}});
            self.patch_secret(&patch, context).await?;
        }
        Ok(Outcome::Recorded)
    }

    async fn update_contact(&mut self, url: &str, context: &Context) -> Result<Outcome, Error> {
        let (key, contact) = (self.key()?, self.wanted_contact());
        let answer = async {
            let secret = self.account_secret.clone();
            let account = context.accounts.resume(&self.issuer.spec, secret, key, url)?;
            account.update_contact(&contact).await.map(drop)
        };
        let answer = answer.await;
        if answer.is_ok() {
            info!("updated the contact");
        }
        Ok(Outcome::ContactUpdated { contact, answer })
    }

    fn wanted_contact(&self) -> Vec<String> {
        wanted_contact(&self.issuer.spec).into_iter().map(str::to_owned).collect()
    }

    /// The account key.
    pub(super) fn key(&self) -> Result<PrivateKey, Error> {
        self.key.clone().ok_or(Error::Missing("the account key"))
    }

    fn thumbprint(&self) -> Result<String, Error> {
        Ok(certwright_acme::jwk_thumbprint(&self.key()?))
    }
}

async fn describe(account: &Account, state: AccountState) -> CaAccount {
    let directory = account.server().directory().await.ok();
    CaAccount {
        url: account.url().to_owned(),
        contact: state.email_addresses(),
        status: state.status,
        terms_of_service: directory.and_then(|directory| directory.meta.terms_of_service.clone()),
    }
}

//! Act: one effect at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::info;

use super::gather::Work;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::{events, secrets};
use crate::runtime::metrics::ApiVerb;
use certwright_acme::{Account, AccountState, AccountStatus, AcmeError, Operation, Registered, Registration};
use certwright_api::{AcmeAccountStatus, FIELD_MANAGER, FINALIZER_ACCOUNT, issuer_reason as reason};
use certwright_core::account::{
    KeyId, Step, account_key_algorithm, changed_terms, look_at_key_id, note_contact, note_terms,
    wanted_contact,
};
use certwright_core::conditions::sentence;
use certwright_core::disposition::words;
use certwright_core::disposition::{self, Disposition, about, disposition};
use certwright_core::events::Event;
use certwright_core::renewal::whole_seconds;
use certwright_pki::KeyEncoding;

/// `Some`: end the reconcile, and begin another at this time, or when something changes.
pub(super) type Next = Option<Option<Timestamp>>;

impl Work {
    /// Does one step.
    pub(super) async fn act(&mut self, step: Step, now: Timestamp, context: &Context) -> Result<Next, Error> {
        match step {
            Step::Rest if self.doubts_its_key(context) => Ok(None),
            Step::Rest => self.rest(now, context).await.map(Some),
            Step::Wait { until, reason, message } => {
                // What failed before is over: its next attempt must not hold up what is waited for now.
                self.forget_failures();
                self.not_ready(reason, &message, now);
                self.flush(context).await?;
                Ok(Some(until))
            }
            Step::Hold { until } => {
                self.flush(context).await?;
                Ok(Some(until))
            }
            Step::MakeKey => self.make_key(now, context).await,
            Step::ReplaceKey => self.replace_key(now, context).await,
            Step::LookUp => self.look_up(now, context).await,
            Step::ReadMacKey => self.read_mac_key(context).await.map(|()| None),
            Step::Register => self.register(now, context).await,
            Step::Adopt(recorded) => self.adopt(&recorded, now, context).await,
            Step::NoteEnd(recorded) => {
                self.note_end(&recorded);
                Ok(None)
            }
            Step::ReturnTo(previous) => self.return_to(&previous, now, context).await,
            Step::UpdateContact => self.update_contact(now, context).await,
            Step::Deactivate(url) => self.deactivate(&url, now, context).await,
            Step::SetFinalizer => self.write_finalizers(&[FINALIZER_ACCOUNT], context).await.map(|()| None),
            Step::Rollover(step) => self.roll_over(step, now, context).await,
            Step::DropFinalizer => self.write_finalizers(&[], context).await.map(|()| None),
        }
    }

    /// The account can be used, unless a Certificate has found otherwise.
    pub(super) async fn rest(
        &mut self,
        now: Timestamp,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        let verdict = context.verdicts.on(&self.issuer.id, self.issuer.generation);
        if let Some(verdict) = verdict {
            // It stands until the wait that it leads to is over.
            let told = self.issuer.status.next_attempt_time.as_ref().map(|time| time.0);
            if told.is_none_or(|until| until > now) {
                return self
                    .fail(verdict.disposition, verdict.reason, &verdict.message, None, now, context)
                    .await;
            }
            context.verdicts.lift(&self.issuer.id);
        }
        if let (Some(key), Some(acme)) = (self.key.clone(), &self.issuer.status.acme) {
            // It cannot fail: the same URL and bundle led to a registration.
            let _ = context.accounts.resume(&self.issuer.spec, self.account_secret.clone(), key, &acme.uri);
        }
        let news = self.see_terms(context);
        self.ready(now);
        let rollover = self.plan_rollover(now);
        self.flush(context).await?;
        if let Some(message) = news {
            let object = &self.issuer.reference;
            let reason = reason::TERMS_OF_SERVICE_CHANGED;
            events::publish(context, object, &Event::normal(reason, "Agree", message)).await;
        }
        self.tell_who_waits(context);
        Ok(look_at_key_id(&self.issuer.spec, now).into_iter().chain(rollover).min())
    }

    /// The sentence about terms of service that have just changed. The directory that others have fetched tells of them.
    fn see_terms(&mut self, context: &Context) -> Option<String> {
        let directory =
            context.accounts.server(&self.issuer.spec, &self.account_secret.0).ok()?.known_directory()?;
        let acme = self.issuer.status.acme.as_mut()?;
        note_terms(acme, directory.meta.terms_of_service.as_deref()).then(|| changed_terms(acme)).flatten()
    }

    async fn make_key(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
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
        // A key that was made just now has no account yet.
        self.looked_up = made;
        Ok(None)
    }

    pub(super) async fn patch_secret(
        &mut self,
        patch: &serde_json::Value,
        context: &Context,
    ) -> Result<Secret, Error> {
        let (namespace, name, _) = &self.account_secret;
        let api = kube::Api::<Secret>::namespaced(context.client.clone(), namespace);
        context.metrics.api_written("Secret", ApiVerb::Patch);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .map_err(|source| Error::WriteSecret { name: name.clone(), source })?;
        self.written = true;
        Ok(patched)
    }

    async fn register(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let Some(key) = self.key.clone() else { return Ok(Some(None)) };
        let server = match context.accounts.server(&self.issuer.spec, &self.account_secret.0) {
            Ok(server) => server,
            Err(error) => return self.refused(&error, Operation::NewAccount, now, context).await,
        };
        let directory = match server.directory().await {
            Ok(directory) => directory,
            Err(error) => return self.refused(&error, Operation::Directory, now, context).await,
        };
        let external_account = self.external_account.take();
        if directory.meta.external_account_required && external_account.is_none() {
            let message = format!(
                "The CA at {} requires an external account binding; set spec.acme.externalAccountBinding with the key id and \
                 the MAC key that the CA gave you",
                self.issuer.spec.server
            );
            let failed = self.fail(
                Disposition::CaOperatorMustAct,
                Some(reason::EXTERNAL_ACCOUNT_REQUIRED),
                &message,
                None,
                now,
                context,
            );
            return failed.await.map(Some);
        }
        let registration = Registration { contact: self.wanted_contact(), external_account };
        match Account::register(&server, key, &registration).await {
            Ok(registered) => {
                let told = if registered.created { registration.contact } else { Vec::new() };
                self.record(registered, told, now, context).await
            }
            Err(error) => {
                let bound = registration.external_account.is_some() && error.problem().is_some();
                self.issuer.status.refused_external_account_version =
                    self.external_account_version.clone().filter(|_| bound);
                self.refused(&error, Operation::NewAccount, now, context).await
            }
        }
    }

    async fn update_contact(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(key), Some(acme)) = (self.key.clone(), self.issuer.status.acme.clone()) else {
            return Ok(Some(None));
        };
        let contact = self.wanted_contact();
        let resumed = context.accounts.resume(&self.issuer.spec, self.account_secret.clone(), key, &acme.uri);
        let updated = match resumed {
            Ok(account) => account.update_contact(&contact).await,
            Err(error) => Err(error),
        };
        match updated {
            Ok(_) => {
                info!("updated the contact");
                if let Some(acme) = &mut self.issuer.status.acme {
                    note_contact(acme, contact);
                }
                Ok(None)
            }
            Err(error) => self.refused(&error, Operation::UpdateAccount, now, context).await,
        }
    }

    /// Records an account that the CA has just confirmed: on its key's Secret first, since that outlives the issuer.
    /// `told` is the e-mail addresses that it was registered with just now; some CAs do not repeat them.
    pub(super) async fn record(
        &mut self,
        registered: Registered,
        told: Vec<String>,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let Registered { account, state, created } = registered;
        if state.status != AccountStatus::Valid {
            return self.has_ended(&account, &state, now, context).await;
        }
        info!(account = account.url(), created, "the account is registered");
        let key_id = match &self.key_id {
            KeyId::Known(key_id) => Some(key_id.clone()),
            _ => None,
        };
        let patch = json!({ "metadata": { "annotations": {
            (certwright_api::ANNOTATION_ACCOUNT_URL): account.url(),
            (certwright_api::ANNOTATION_ACME_SERVER): self.issuer.spec.server,
            (certwright_api::ANNOTATION_EAB_KEY_ID): key_id,
            (certwright_api::ANNOTATION_KEY_THUMBPRINT): account.thumbprint(),
            (certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED): null,
        }}});
        let patched = self.patch_secret(&patch, context).await?;
        self.see_secret(Some(patched));
        let told = if told.is_empty() { state.email_addresses() } else { told };
        self.see_account(&account, told, key_id, now).await;
        Ok(None)
    }

    /// The account is there, and was given up or taken away.
    pub(super) async fn has_ended(
        &mut self,
        account: &Account,
        state: &AccountState,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        if state.status == AccountStatus::Deactivated {
            self.mark_secret(account.url(), now, context).await?;
            return Ok(None);
        }
        let message = format!("The CA says that the account {} is {}", account.url(), state.status);
        self.fail(Disposition::AccountUnusable, None, &message, None, now, context).await.map(Some)
    }

    pub(super) async fn see_account(
        &mut self,
        account: &Account,
        contact: Vec<String>,
        key_id: Option<String>,
        now: Timestamp,
    ) {
        let terms_of_service = match account.server().directory().await {
            Ok(directory) => directory.meta.terms_of_service.clone(),
            Err(_) => None,
        };
        let mut acme = AcmeAccountStatus {
            uri: account.url().to_owned(),
            server: self.issuer.spec.server.clone(),
            key_thumbprint: account.thumbprint().to_owned(),
            key_algorithm: self.key.as_ref().map(|key| key.algorithm().to_string()).unwrap_or_default(),
            bound_key_id: key_id,
            terms_of_service,
            previous_accounts: self.history.clone(),
            ..AcmeAccountStatus::default()
        };
        note_contact(&mut acme, contact);
        let before = self.issuer.status.acme.replace(acme);
        self.see_key_dates(before, now);
    }

    fn wanted_contact(&self) -> Vec<String> {
        wanted_contact(&self.issuer.spec).into_iter().map(str::to_owned).collect()
    }

    /// What follows from an error of a call to the CA.
    pub(super) async fn refused(
        &mut self,
        error: &AcmeError,
        operation: Operation,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let code = error.code();
        let (what, reason) = match error {
            AcmeError::DirectoryUrl(_) | AcmeError::Bundle | AcmeError::Client(_) => {
                (Disposition::CaOperatorMustAct, Some(reason::INVALID_SPEC))
            }
            AcmeError::Problem { status, .. } | AcmeError::Http { status, .. } => {
                let about = about(error.operation().unwrap_or(operation));
                (disposition(code, Some(*status), about), disposition::reason(code))
            }
            AcmeError::Paused { .. } => (Disposition::TooFast, None),
            AcmeError::OutOfBounds { .. } => (Disposition::Stumbled, Some(reason::ANSWER_REFUSED)),
            _ => (Disposition::Stumbled, None),
        };
        let message = sentence(&words(error));
        self.fail(what, reason, &message, error.retry_after(), now, context).await.map(Some)
    }

    /// Records a failure.
    pub(super) async fn fail(
        &mut self,
        what: Disposition,
        reason: Option<&'static str>,
        message: &str,
        retry_after: Option<std::time::Duration>,
        now: Timestamp,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        let reason = reason.unwrap_or(match what {
            Disposition::AccountUnusable => reason::ACCOUNT_UNUSABLE,
            Disposition::TooFast => reason::RATE_LIMITED,
            Disposition::Stumbled => reason::CA_UNAVAILABLE,
            _ => reason::REGISTRATION_REFUSED,
        });
        let or_secret = match &self.issuer.spec.external_account_binding {
            Some(binding) if self.issuer.status.refused_external_account_version.is_some() => {
                format!(" or Secret {}", binding.key_secret_ref.name)
            }
            _ => String::new(),
        };
        let message = match what {
            Disposition::AccountUnusable => {
                format!(
                    "{message}. Nothing is sent to the CA until the spec of this issuer{or_secret} changes"
                )
            }
            _ => message.to_owned(),
        };
        let attempts = self.attempts_of_this_spec().saturating_add(1);
        let backoff = match what {
            Disposition::Stumbled | Disposition::TooFast => context.config.backoff,
            _ => context.config.backoff.slow(),
        };
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = backoff.next_attempt(failures, retry_after, now, &self.issuer.uid);
        let status = &mut self.issuer.status;
        status.failed_attempts = Some(attempts);
        status.last_failure_time = Some(Time(whole_seconds(now)));
        status.next_attempt_time = (what != Disposition::AccountUnusable).then_some(Time(until));
        let next = (what != Disposition::AccountUnusable).then_some(until);
        self.not_ready(reason, &message, now);
        let is_news = self.is_news(&message);
        self.flush(context).await?;
        if is_news {
            self.warn(reason, &message, context).await;
        }
        // The Secrets of the external account are not watched: the next step says when to look at them.
        let looks = self.issuer.status.refused_external_account_version.is_some();
        Ok(if looks { Some(now) } else { next })
    }
}

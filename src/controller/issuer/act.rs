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
use crate::acme::{
    Account, AccountState, AccountStatus, AcmeError, Operation, Registered, Registration, jwk_thumbprint,
};
use crate::api::{self, AcmeAccountStatus, FIELD_MANAGER, issuer_reason as reason};
use crate::controller::certificate::generate;
use crate::controller::conditions::sentence;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use crate::controller::verdicts::words;
use crate::core::account::{Recorded, Step, account_key_algorithm, wanted_contact};
use crate::core::disposition::{self, Disposition, about, disposition};
use crate::core::renewal::whole_seconds;
use crate::pki::{KeyEncoding, PrivateKey};
use crate::runtime::metrics::ApiVerb;

/// `Some`: end the reconcile, and begin another at this time, or when something changes.
type Next = Option<Option<Timestamp>>;

impl Work {
    /// Does one step.
    pub(super) async fn act(&mut self, step: Step, now: Timestamp, context: &Context) -> Result<Next, Error> {
        match step {
            Step::Rest => self.rest(now, context).await.map(Some),
            Step::Wait { until, reason, message } => {
                // What failed before is over: its next attempt must not hold up what is waited for now.
                self.forget_failures();
                self.not_ready(reason, &message, now);
                self.flush(context).await?;
                Ok(Some(until))
            }
            Step::Hold { until } => Ok(Some(until)),
            Step::MakeKey => self.make_key(context).await,
            Step::ReplaceKey => self.replace_key(context).await,
            Step::LookUp => self.look_up(now, context).await,
            Step::ReadMacKey => self.read_mac_key(context).await.map(|()| None),
            Step::Register => self.register(now, context).await,
            Step::Adopt(recorded) => self.adopt(&recorded, now, context).await,
            Step::UpdateContact => self.update_contact(now, context).await,
        }
    }

    /// The account can be used, unless a Certificate has found otherwise.
    async fn rest(&mut self, now: Timestamp, context: &Context) -> Result<Option<Timestamp>, Error> {
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
        self.ready(now);
        self.flush(context).await?;
        Ok(None)
    }

    async fn make_key(&mut self, context: &Context) -> Result<Next, Error> {
        let key = generate(account_key_algorithm(&self.issuer.spec)).await?;
        let (namespace, name, data_key) = self.account_secret.clone();
        let pem = ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec());
        let written = secrets::Written {
            namespace: &namespace,
            name: &name,
            purpose: api::SECRET_ACCOUNT_KEY,
            type_: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
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

    /// A new external account needs a new account, and that a new key. The old key stays in the Secret, by its
    /// thumbprint, since it alone can still end the old account.
    async fn replace_key(&mut self, context: &Context) -> Result<Next, Error> {
        let (Some(over), Some(old)) = (self.secret.clone(), self.key.clone()) else { return Ok(Some(None)) };
        let key = generate(account_key_algorithm(&self.issuer.spec)).await?;
        let data_key = &self.account_secret.2;
        let pem = |key: &PrivateKey| {
            Ok::<_, Error>(ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec()))
        };
        let patch = json!({
            "metadata": {
                "resourceVersion": over.metadata.resource_version,
                "annotations": {
                    (api::ANNOTATION_ACCOUNT_URL): null,
                    (api::ANNOTATION_ACME_SERVER): null,
                    (api::ANNOTATION_EAB_KEY_ID): null,
                    (api::ANNOTATION_KEY_THUMBPRINT): null,
                },
            },
            "data": {
                (data_key): pem(&key)?,
                (format!("{data_key}.{}", jwk_thumbprint(&old))): pem(&old)?,
            },
        });
        let patched = self.patch_secret(&patch, context).await?;
        info!(secret = self.account_secret.1, "made a new account key for another external account");
        self.see_secret(Some(patched));
        self.looked_up = true;
        Ok(None)
    }

    async fn patch_secret(&mut self, patch: &serde_json::Value, context: &Context) -> Result<Secret, Error> {
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

    async fn look_up(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let Some(key) = self.key.clone() else { return Ok(Some(None)) };
        let found = match context.accounts.server(&self.issuer.spec) {
            Ok(server) => Account::look_up(&server, key).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(None) => {
                self.looked_up = true;
                Ok(None)
            }
            Ok(Some(registered)) => self.record(registered, None, now, context).await,
            Err(error) => self.refused(&error, Operation::LookUpAccount, now, context).await,
        }
    }

    async fn register(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let Some(key) = self.key.clone() else { return Ok(Some(None)) };
        let server = match context.accounts.server(&self.issuer.spec) {
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
        let email = wanted_contact(&self.issuer.spec).map(str::to_owned);
        let contact = email.clone().into_iter().collect();
        match Account::register(&server, key, &Registration { contact, external_account }).await {
            Ok(registered) => {
                let told = email.filter(|_| registered.created);
                self.record(registered, told, now, context).await
            }
            Err(error) => self.refused(&error, Operation::NewAccount, now, context).await,
        }
    }

    /// Takes over an account that is on record with the key, without registering and without its MAC key.
    async fn adopt(&mut self, recorded: &Recorded, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let Some(key) = self.key.clone() else { return Ok(Some(None)) };
        let resumed =
            context.accounts.resume(&self.issuer.spec, self.account_secret.clone(), key, &recorded.url);
        let state = match resumed {
            Ok(account) => account.state().await.map(|state| (account, state)),
            Err(error) => Err(error),
        };
        match state {
            Ok((account, state)) if state.status == AccountStatus::Valid => {
                self.see_account(&account, contact_of(&state), recorded.key_id.clone()).await;
                Ok(None)
            }
            Ok((account, state)) => self.has_ended(&account, &state, now, context).await.map(Some),
            Err(error) => self.refused(&error, Operation::Account, now, context).await,
        }
    }

    async fn update_contact(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(key), Some(acme)) = (self.key.clone(), self.issuer.status.acme.clone()) else {
            return Ok(Some(None));
        };
        let contact: Vec<String> = wanted_contact(&self.issuer.spec).map(str::to_owned).into_iter().collect();
        let resumed = context.accounts.resume(&self.issuer.spec, self.account_secret.clone(), key, &acme.uri);
        let updated = match resumed {
            Ok(account) => account.update_contact(&contact).await,
            Err(error) => Err(error),
        };
        match updated {
            Ok(_) => {
                info!("updated the contact");
                if let Some(acme) = &mut self.issuer.status.acme {
                    acme.last_registered_email = contact.into_iter().next();
                }
                Ok(None)
            }
            Err(error) => self.refused(&error, Operation::UpdateAccount, now, context).await,
        }
    }

    /// Records an account that the CA has just confirmed: on its key's Secret first, since that outlives the issuer.
    /// `told` is the e-mail address that it was registered with just now; some CAs do not repeat it.
    async fn record(
        &mut self,
        registered: Registered,
        told: Option<String>,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let Registered { account, state, created } = registered;
        if state.status != AccountStatus::Valid {
            return self.has_ended(&account, &state, now, context).await.map(Some);
        }
        info!(account = account.url(), created, "the account is registered");
        let binding = self.issuer.spec.external_account_binding.as_ref();
        let key_id = binding.map(|binding| binding.key_id.clone());
        let patch = json!({ "metadata": { "annotations": {
            (api::ANNOTATION_ACCOUNT_URL): account.url(),
            (api::ANNOTATION_ACME_SERVER): self.issuer.spec.server,
            (api::ANNOTATION_EAB_KEY_ID): key_id,
            (api::ANNOTATION_KEY_THUMBPRINT): account.thumbprint(),
        }}});
        let patched = self.patch_secret(&patch, context).await?;
        self.see_secret(Some(patched));
        self.see_account(&account, told.or_else(|| contact_of(&state)), key_id).await;
        Ok(None)
    }

    /// The account is there, and was given up or taken away.
    async fn has_ended(
        &mut self,
        account: &Account,
        state: &AccountState,
        now: Timestamp,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        let message = format!("The CA says that the account {} is {}", account.url(), state.status);
        self.fail(Disposition::AccountUnusable, None, &message, None, now, context).await
    }

    async fn see_account(&mut self, account: &Account, email: Option<String>, key_id: Option<String>) {
        let terms_of_service = match account.server().directory().await {
            Ok(directory) => directory.meta.terms_of_service.clone(),
            Err(_) => None,
        };
        self.issuer.status.acme = Some(AcmeAccountStatus {
            uri: account.url().to_owned(),
            server: self.issuer.spec.server.clone(),
            last_registered_email: email,
            key_thumbprint: account.thumbprint().to_owned(),
            key_algorithm: self.key.as_ref().map(|key| key.algorithm().to_string()).unwrap_or_default(),
            bound_key_id: key_id,
            terms_of_service,
        });
    }

    /// What follows from an error of a call to the CA.
    async fn refused(
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
            _ => (Disposition::Stumbled, None),
        };
        let message = sentence(&words(error));
        self.fail(what, reason, &message, error.retry_after(), now, context).await.map(Some)
    }

    /// Records a failure.
    async fn fail(
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
        let message = match what {
            Disposition::AccountUnusable => {
                format!("{message}. Nothing is sent to the CA until the spec of this issuer changes")
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
        self.not_ready(reason, &message, now);
        self.flush(context).await?;
        self.warn(reason, &message, context).await;
        Ok((what != Disposition::AccountUnusable).then_some(until))
    }
}

/// The e-mail address that the CA has, as it says.
fn contact_of(state: &AccountState) -> Option<String> {
    state.contact.iter().find_map(|contact| contact.strip_prefix("mailto:")).map(str::to_owned)
}

//! Accounts that are deactivated: when a human asks for it, and when their issuer is deleted.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use tracing::{debug, info, warn};

use super::act::Next;
use super::gather::Work;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{IssuerRecord, account_secret};
use crate::controller::{events, secrets};
use crate::runtime::clock;
use certwright_acme::{Account, AcmeError};
use certwright_api::{
    AcmeAccountStatus, AcmeIssuer, CONDITION_ACCOUNT_DEACTIVATED, DeactivationStatus, issuer_reason as reason,
};
use certwright_core::account::deactivation::{
    self, Asked, BACKOFF_OF_DELETION, LastStep, Standing, last_step, next_attempt_asked_for,
};
use certwright_core::account::{Recorded, with_deactivated};
use certwright_core::conditions::{condition, sentence, set_condition};
use certwright_core::deletion::Deletion;
use certwright_core::disposition::words;
use certwright_core::disposition::{self, Disposition, about, disposition};
use certwright_core::events::Event;
use certwright_core::renewal::whole_seconds;
use certwright_pki::PrivateKey;

/// Longer than any request takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why an account is not deactivated.
struct Undone {
    reason: &'static str,
    message: String,
    /// Whether only a human can mend it.
    slow: bool,
    retry_after: Option<Duration>,
}

/// What events say was being done.
const ACTION: &str = "Deactivate";

impl Work {
    /// Deactivates the account that a human has named.
    pub(super) async fn deactivate(
        &mut self,
        url: &str,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        match self.end_account(Some(url), PATIENCE, context).await {
            Ok(ended) => self.note_deactivated(&ended, now, context).await?,
            Err(undone) => {
                self.count_failure(url, &undone, now, context);
                self.say_deactivated(false, undone.reason, &undone.message, now);
            }
        }
        Ok(None)
    }

    /// The status says what has become of the deactivation that a human asks for.
    pub(super) fn see_request(&mut self, now: Timestamp) {
        match deactivation::asked(&self.situation()) {
            Asked::Nothing => {
                let conditions = &mut self.issuer.status.conditions;
                conditions.retain(|condition| condition.type_ != CONDITION_ACCOUNT_DEACTIVATED);
                if self.issuer.deleted.is_none() {
                    self.issuer.status.deactivation = None;
                }
            }
            Asked::Pending => {}
            Asked::Done(message) => self.say_deactivated(true, reason::DEACTIVATED, &message, now),
            Asked::Unknown(message) => {
                self.issuer.status.deactivation = None;
                self.say_deactivated(false, reason::UNKNOWN_ACCOUNT, &message, now);
            }
        }
    }

    /// When the deactivation that a human asks for is tried again.
    pub(super) fn next_deactivation(&self) -> Option<Timestamp> {
        next_attempt_asked_for(&self.situation())
    }

    /// Publishes an event, if the condition has come to say that a deactivation that was asked for is not done.
    pub(super) async fn tell_of_request(&self, context: &Context) {
        let now = condition(&self.issuer.status.conditions, CONDITION_ACCOUNT_DEACTIVATED);
        let before = condition(&self.recorded_status.conditions, CONDITION_ACCOUNT_DEACTIVATED);
        if let Some(now) = now.filter(|now| now.status == "False")
            && before.is_none_or(|before| before.message != now.message)
        {
            let event = Event::warning(now.reason.clone(), ACTION, now.message.clone());
            self.publish(event, context).await;
        }
    }

    /// Takes note of the end of an account that the Secret tells of.
    pub(super) fn note_end(&mut self, recorded: &Recorded) {
        let ended = recorded.deactivated.map(|time| Time(whole_seconds(time)));
        let key = self.key.as_ref();
        let thumbprint = key.map(certwright_acme::jwk_thumbprint).unwrap_or_default();
        match &mut self.issuer.status.acme {
            Some(acme) if acme.uri == recorded.url && acme.key_thumbprint == thumbprint => {
                acme.deactivation_time = ended
            }
            acme => {
                *acme = Some(AcmeAccountStatus {
                    uri: recorded.url.clone(),
                    server: recorded.server.clone(),
                    key_thumbprint: thumbprint,
                    key_algorithm: key.map(|key| key.algorithm().to_string()).unwrap_or_default(),
                    bound_key_id: recorded.key_id.clone(),
                    deactivation_time: ended,
                    previous_accounts: self.history.clone(),
                    ..AcmeAccountStatus::default()
                });
            }
        }
    }

    /// Deactivates the account of an issuer that is being deleted, if its policy says so, and lets the issuer go; in bounded
    /// time.
    pub(super) async fn end(
        &mut self,
        deletion: Deletion,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        loop {
            let now = clock::now();
            let shared_with = self.shared_with(context);
            let step = last_step(&self.situation(), shared_with.as_deref(), deletion, now);
            debug!(?step, "next step before the end");
            match step {
                LastStep::Wait(until) => {
                    self.flush(context).await?;
                    return Ok(Some(until));
                }
                LastStep::Deactivate { url, patience } => {
                    match self.end_account(url.as_deref(), patience, context).await {
                        Ok(ended) => self.note_deactivated(&ended, now, context).await?,
                        Err(undone) => {
                            let ended = clock::now();
                            self.count_failure(url.as_deref().unwrap_or_default(), &undone, ended, context);
                            self.say_deactivated(false, undone.reason, &undone.message, ended);
                        }
                    }
                }
                LastStep::Retain(other) => {
                    let note = format!("The account {} stays, since {other} uses it", self.account_uri());
                    info!(note, "the issuer is deleted");
                    self.publish(Event::normal(reason::ACCOUNT_RETAINED, ACTION, note), context).await;
                    return self.write_finalizers(&[], context).await.map(|()| None);
                }
                LastStep::GiveUp => {
                    self.leave_behind(context).await;
                    return self.write_finalizers(&[], context).await.map(|()| None);
                }
                LastStep::Release => return self.write_finalizers(&[], context).await.map(|()| None),
            }
        }
    }

    async fn leave_behind(&self, context: &Context) {
        let said = condition(&self.issuer.status.conditions, CONDITION_ACCOUNT_DEACTIVATED);
        let note = format!(
            "The account {} could not be deactivated and is left behind; its key is in Secret {}. {}",
            self.account_uri(),
            self.account_secret.1,
            said.map_or("", |said| said.message.as_str())
        );
        warn!(note, "an account is left behind");
        context.metrics.account_left_behind();
        self.publish(Event::warning(reason::ACCOUNT_LEFT_BEHIND, ACTION, note), context).await;
    }

    /// Another issuer, not being deleted, that has the same account.
    fn shared_with(&self, context: &Context) -> Option<String> {
        let others = sharing(&self.issuer, context).into_iter();
        others
            .filter(|other| other.deleted.is_none() && other.spec.server == self.issuer.spec.server)
            .map(|other| format!("{} {}", other.id.kind.as_str(), other.id.name))
            .min()
    }

    /// Asks the CA to deactivate an account: the one at `url`, or that of the present key. Returns its URL.
    async fn end_account(
        &self,
        url: Option<&str>,
        patience: Duration,
        context: &Context,
    ) -> Result<String, Undone> {
        let attempt = async {
            let account = match self.account_to_end(url, context)? {
                Ok(account) => account,
                Err((spec, key)) => {
                    let server =
                        context.accounts.server(&spec, &self.account_secret.0).map_err(Undone::from)?;
                    match Account::look_up(&server, key).await.map_err(Undone::from)? {
                        Some(registered) => registered.account,
                        // There is no account: a crash came before its registration.
                        None => return Ok(String::new()),
                    }
                }
            };
            account.deactivate().await.map_err(Undone::from)?;
            Ok(account.url().to_owned())
        };
        tokio::time::timeout(patience, attempt).await.unwrap_or_else(|_| {
            Err(Undone {
                reason: reason::CA_UNAVAILABLE,
                message: "Deactivating the account failed: the CA did not answer in time".to_owned(),
                slow: false,
                retry_after: None,
            })
        })
    }

    /// The account at `url`; or, if its URL is not known, what it takes to ask for it.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn account_to_end(
        &self,
        url: Option<&str>,
        context: &Context,
    ) -> Result<Result<Account, (AcmeIssuer, PrivateKey)>, Undone> {
        let spec = &self.issuer.spec;
        let standing = url.map(|url| deactivation::standing(&self.situation(), url));
        if let (Some(url), Some(Standing::Previous { server, secret_key })) = (url, &standing) {
            let kept = self.secret.as_ref().and_then(|secret| secrets::data(secret, secret_key));
            let kept = kept.and_then(|kept| PrivateKey::from_pem_or_jwk(kept).ok());
            let key = kept.ok_or_else(|| self.no_key(url, secret_key))?;
            let spec = AcmeIssuer { server: server.clone(), ..spec.clone() };
            return Ok(Ok(Account::resume(
                &context.accounts.server(&spec, &self.account_secret.0).map_err(Undone::from)?,
                key,
                url,
            )));
        }
        // The Secret may be gone before the issuer, such as with its namespace: the key may still be in use here.
        let in_use = context.accounts.get(&self.issuer, &self.account_secret);
        match (url, self.key.clone()) {
            (Some(url), key) => {
                if let Some(account) = in_use.filter(|account| account.url() == url) {
                    return Ok(Ok(account));
                }
                let key = key.ok_or_else(|| self.no_key(url, &self.account_secret.2))?;
                let secret = self.account_secret.clone();
                context.accounts.resume(spec, secret, key, url).map(Ok).map_err(Undone::from)
            }
            (None, Some(key)) => Ok(Err((spec.clone(), key))),
            (None, None) => Err(self.no_key("", &self.account_secret.2)),
        }
    }

    fn no_key(&self, url: &str, entry: &str) -> Undone {
        Undone {
            reason: reason::SECRET_KEY_NOT_FOUND,
            message: format!(
                "The account {url} cannot be deactivated: its private key is not under {entry} in Secret {}; restore it",
                self.account_secret.1
            ),
            slow: false,
            retry_after: None,
        }
    }

    /// The CA has confirmed it: the Secret says so, which outlives the issuer, then the status.
    async fn note_deactivated(&mut self, url: &str, now: Timestamp, context: &Context) -> Result<(), Error> {
        self.issuer.status.deactivation = None;
        if url.is_empty() {
            self.issuer.status.acme = None;
            self.key_secret = certwright_core::account::KeySecret::Missing;
            return Ok(());
        }
        if self.history.iter().any(|account| account.uri == url) {
            self.mark_previous(url, now, context).await?;
        } else {
            self.mark_secret(url, now, context).await?;
        }
        info!(account = url, "the account is deactivated");
        let note = format!("The CA has deactivated the account {url}");
        self.publish(Event::normal(reason::DEACTIVATED, ACTION, note), context).await;
        for other in sharing(&self.issuer, context) {
            context.wake_issuer(&other.id);
        }
        Ok(())
    }

    /// The Secret says that the account of its key is deactivated.
    pub(super) async fn mark_secret(
        &mut self,
        url: &str,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        let now = whole_seconds(now);
        if let Some(key) = self.key.as_ref().filter(|_| self.secret.is_some()) {
            let patch = json!({ "metadata": { "annotations": {
                (certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED): now.to_string(),
                (certwright_api::ANNOTATION_ACCOUNT_URL): url,
                (certwright_api::ANNOTATION_ACME_SERVER): self.issuer.spec.server,
                (certwright_api::ANNOTATION_KEY_THUMBPRINT): certwright_acme::jwk_thumbprint(key),
            }}});
            let patched = self.patch_secret(&patch, context).await?;
            self.see_secret(Some(patched));
        }
        if let Some(acme) = self.issuer.status.acme.as_mut().filter(|acme| acme.uri == url) {
            acme.deactivation_time = Some(Time(now));
        }
        Ok(())
    }

    async fn mark_previous(&mut self, url: &str, now: Timestamp, context: &Context) -> Result<(), Error> {
        let entry = self.history.iter().find(|account| account.uri == url);
        let entry = entry.and_then(|account| account.secret_key.clone());
        let history = with_deactivated(&self.history, url, now);
        let mut patch = json!({ "metadata": { "annotations": {
            (certwright_api::ANNOTATION_PREVIOUS_ACCOUNTS): json!(history).to_string(),
        }}});
        if let Some(entry) = entry {
            patch["data"] = json!({ (entry): null });
        }
        let patched = self.patch_secret(&patch, context).await?;
        self.see_secret(Some(patched));
        Ok(())
    }

    fn count_failure(&mut self, url: &str, undone: &Undone, now: Timestamp, context: &Context) {
        let before = self.issuer.status.deactivation.as_ref().filter(|failed| failed.account == url);
        let attempts = before.map_or(0, |failed| failed.failed_attempts).saturating_add(1);
        let backoff = match (self.issuer.deleted, undone.slow) {
            (Some(_), _) => BACKOFF_OF_DELETION,
            (None, true) => context.config.backoff.slow(),
            (None, false) => context.config.backoff,
        };
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = backoff.next_attempt(failures, undone.retry_after, now, &self.issuer.uid);
        warn!(account = url, attempts, %until, message = undone.message, "the account could not be deactivated");
        self.issuer.status.deactivation = Some(DeactivationStatus {
            account: url.to_owned(),
            failed_attempts: attempts,
            last_failure_time: Some(Time(whole_seconds(now))),
            next_attempt_time: Some(Time(until)),
        });
    }

    fn say_deactivated(&mut self, is: bool, reason: &str, message: &str, now: Timestamp) {
        let generation = self.issuer.generation;
        let conditions = &mut self.issuer.status.conditions;
        set_condition(conditions, CONDITION_ACCOUNT_DEACTIVATED, is, reason, message, generation, now);
    }

    fn account_uri(&self) -> &str {
        self.issuer.status.acme.as_ref().map_or("of its key", |acme| acme.uri.as_str())
    }

    async fn publish(&self, event: Event, context: &Context) {
        events::publish(context, &self.issuer.reference, &event).await;
    }
}

/// The other issuers that name the same account key.
fn sharing(issuer: &IssuerRecord, context: &Context) -> Vec<IssuerRecord> {
    context.issuers_of_secret(&account_secret(issuer, &context.config.namespace), Some(&issuer.id))
}

impl From<AcmeError> for Undone {
    fn from(error: AcmeError) -> Self {
        let code = error.code();
        let (what, reason) = match &error {
            AcmeError::Problem { operation, status, .. } | AcmeError::Http { operation, status, .. } => {
                (disposition(code, Some(*status), about(*operation)), disposition::reason(code))
            }
            AcmeError::Paused { .. } => (Disposition::TooFast, None),
            _ => (Disposition::Stumbled, None),
        };
        let reason = reason.unwrap_or(match what {
            Disposition::AccountUnusable => reason::ACCOUNT_UNUSABLE,
            Disposition::TooFast => reason::RATE_LIMITED,
            Disposition::Stumbled => reason::CA_UNAVAILABLE,
            _ => reason::REGISTRATION_REFUSED,
        });
        Self {
            reason,
            message: sentence(&words(&error)),
            slow: !matches!(what, Disposition::Stumbled | Disposition::TooFast),
            retry_after: error.retry_after(),
        }
    }
}

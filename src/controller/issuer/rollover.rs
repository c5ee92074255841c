//! The change of an account key: its part of gather, act and report.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tracing::info;

use super::act::Next;
use super::gather::{Work, usable};
use super::ownership::must_keep_its_key;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::controller::issuer_record::IssuerRecord;
use crate::controller::secrets;
use certwright_acme::{Account, AcmeError, KeyChange, Operation, jwk_thumbprint};
use certwright_api::{
    AcmeAccountStatus, CONDITION_KEY_ROLLOVER, Certificate, FailedKeyRollover, issuer_reason as reason,
};
use certwright_core::account::Recorded;
use certwright_core::account::rollover::{self, Known, NextKey, Peer, Step, View, stated_algorithm};
use certwright_core::conditions::{condition, set_condition};
use certwright_core::disposition::Disposition;
use certwright_core::disposition::words;
use certwright_core::events::Event;
use certwright_core::renewal::whole_seconds;
use certwright_pki::{KeyAlgorithm, KeyEncoding, PrivateKey};

/// What every failure ends with.
const GOES_ON: &str = "The account goes on with the key that it has";

/// The key in a Secret's data under which the key is that is to follow the one under `key`.
pub(super) fn next_key(key: &str) -> String {
    format!("{key}.next")
}

/// What is known of the account key and the one that is to follow.
#[derive(Default)]
pub(super) struct Rollover {
    next: Option<(PrivateKey, NextKey)>,
    created: Option<Timestamp>,
    known: Option<Known>,
    peers: Vec<Peer>,
    validating: bool,
    must_stay: Option<String>,
    /// Whose keys the CA was asked about.
    account: Option<Recorded>,
    /// Whether Certificates may wait for what this reconcile has found out: which key the account has.
    awaited: bool,
    /// The change that was asked for in this reconcile. While it stands here, nothing else is sent for the account.
    change: Option<KeyChange>,
}

impl Work {
    /// Takes note of the other issuers with the same key, and of what is under way with it.
    pub(super) fn gather_rollover(&mut self, context: &Context) {
        let in_use = context.accounts.get(&self.issuer, &self.account_secret).is_some();
        self.rollover.known = in_use.then_some(Known::Current);
        let concerned = self.rollover.next.is_some()
            || self.request().is_some()
            || self.issuer.spec.account_key.is_some();
        if !concerned {
            return;
        }
        let sharing = context.issuers_of_secret(&self.account_secret, None);
        self.rollover.validating = sharing
            .iter()
            .flat_map(|issuer| context.cache.certificates_of(&issuer.id))
            .any(|one| may_be_looked_at(&one));
        let others = sharing.into_iter().filter(|issuer| issuer.uid != self.issuer.uid);
        self.rollover.peers = others.map(peer).collect();
    }

    /// Takes note of the key that is to follow, as the Secret has it.
    pub(super) fn see_next_key(&mut self) {
        let secret = self.secret.as_ref();
        self.rollover.must_stay = secret.and_then(|secret| must_keep_its_key(secret, &self.issuer.spec));
        let time = |name: &str| {
            secret.and_then(|secret| secrets::annotation(secret, name)?.parse::<Timestamp>().ok())
        };
        let pem = secret.and_then(|secret| secrets::data(secret, &next_key(&self.account_secret.2)));
        let next = pem.and_then(|pem| {
            PrivateKey::from_pem(pem).map_err(|error| error.to_string()).and_then(usable).ok()
        });
        self.rollover.next = next.map(|next| {
            let seen = NextKey {
                algorithm: next.algorithm(),
                created: time(certwright_api::ANNOTATION_NEXT_KEY_CREATED),
            };
            (next, seen)
        });
        let made = secret.and_then(|secret| secret.metadata.creation_timestamp.as_ref()).map(|time| time.0);
        self.rollover.created =
            time(certwright_api::ANNOTATION_KEY_CREATED).filter(|_| self.annotated()).or(made);
    }

    /// Whether what the Secret says is about the key that it has.
    fn annotated(&self) -> bool {
        let of = self
            .secret
            .as_ref()
            .and_then(|secret| secrets::annotation(secret, certwright_api::ANNOTATION_KEY_THUMBPRINT));
        of.is_none_or(|of| self.key.as_ref().is_some_and(|key| jwk_thumbprint(key) == of))
    }

    pub(super) fn rollover_view(&self) -> View<'_> {
        View {
            algorithm: self.key.as_ref().map(PrivateKey::algorithm),
            created: self.rollover.created,
            next: self.rollover.next.as_ref().map(|(_, next)| next),
            known: self.rollover.known,
            request: self.request(),
            peers: &self.rollover.peers,
            validating: self.rollover.validating,
            must_stay: self.rollover.must_stay.as_deref(),
        }
    }

    fn request(&self) -> Option<&str> {
        self.issuer.roll_over.as_deref()
    }

    /// Whether the CA refuses the account while another key stands ready: it may have taken that one after all. Then it is
    /// asked once more.
    pub(super) fn doubts_its_key(&mut self, context: &Context) -> bool {
        let refused = context.verdicts.on(&self.issuer.id, self.issuer.generation).is_some();
        let doubts = refused && self.rollover.next.is_some() && self.rollover.account.is_none();
        if doubts {
            self.rollover.known = None;
        }
        doubts
    }

    /// Does one step.
    pub(super) async fn roll_over(
        &mut self,
        step: Step,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        context
            .accounts
            .wait_for_validations(&self.account_secret, matches!(step, Step::WaitForValidations { .. }));
        match step {
            Step::AskWhichKey(account) => self.ask_which_key(account, now, context).await,
            Step::StoreNextKey(algorithm) => self.store_next_key(algorithm, now, context).await,
            Step::WaitForValidations { until } => {
                self.rest(now, context).await?;
                Ok(Some(Some(until)))
            }
            Step::ChangeKey => self.change_key(now, context).await,
            Step::PromoteKey => self.promote_key(now, context).await,
            Step::DiscardNextKey => self.discard_next_key(now, context).await,
            Step::Refuse { reason, message } => {
                self.not_rolled_over(reason, &message, None, now, context).await
            }
        }
    }

    async fn store_next_key(
        &mut self,
        algorithm: KeyAlgorithm,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let directory = match context.accounts.server(&self.issuer.spec, &self.account_secret.0) {
            Ok(server) => server.directory().await,
            Err(error) => Err(error),
        };
        match directory {
            Ok(directory) if directory.key_change.is_none() => {
                let message = format!(
                    "The account key was not changed: the CA at {} does not offer it, for its directory has no keyChange. \
                     {GOES_ON}",
                    self.issuer.spec.server
                );
                return self
                    .not_rolled_over(reason::KEY_CHANGE_NOT_OFFERED, &message, None, now, context)
                    .await;
            }
            Ok(_) => {}
            Err(error) => return self.change_refused(Err(error), now, context).await,
        }
        let key = context.key_makers.make(algorithm, &self.account_secret.0).await?;
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": { (certwright_api::ANNOTATION_NEXT_KEY_CREATED): whole_seconds(now).to_string() },
            },
            "data": { (next_key(&self.account_secret.2)): pem(&key)? },
        });
        let patched = self.patch_secret(&patch, context).await?;
        info!(secret = self.account_secret.1, key = %algorithm, "stored the next account key");
        self.see_secret(Some(patched));
        // The CA has not heard of it.
        self.rollover.known = Some(Known::Current);
        Ok(None)
    }

    async fn change_key(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(key), Some((next, _)), Some(acme)) =
            (&self.key, &self.rollover.next, &self.issuer.status.acme)
        else {
            return Ok(Some(None));
        };
        let secret = self.account_secret.clone();
        let asked = match context.accounts.resume(&self.issuer.spec, secret, key.clone(), &acme.uri) {
            Ok(account) => account.change_key(next).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(change) => {
                info!(answer = ?change.answer, "asked the CA to change the account key");
                self.rollover.change = Some(change);
                self.rollover.known = None;
                Ok(None)
            }
            // Nothing was sent, and nothing has failed.
            Err(AcmeError::Paused { until }) => {
                self.rest(now, context).await?;
                Ok(Some(Some(until)))
            }
            Err(error) => self.change_refused(Err(error), now, context).await,
        }
    }

    /// Asks the CA for the account of the next key, then for that of the present one.
    async fn ask_which_key(
        &mut self,
        account: Recorded,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let (Some(key), Some((next, _))) = (self.key.clone(), self.rollover.next.clone()) else {
            return Ok(Some(None));
        };
        let server = match context.accounts.server(&self.issuer.spec, &self.account_secret.0) {
            Ok(server) => server,
            Err(error) => return self.refused(&error, Operation::LookUpAccount, now, context).await,
        };
        let known = match Account::look_up(&server, next).await {
            Ok(Some(found)) if found.account.url() == account.url => Known::Next,
            Ok(Some(_)) => Known::NextIsTaken,
            // A CA that has no word for a key that it does not know is asked for the other one.
            Ok(None) | Err(AcmeError::Problem { status: 400..=404, .. }) => {
                match Account::look_up(&server, key.clone()).await {
                    Ok(Some(_)) => Known::Current,
                    Ok(None) => return self.both_unknown(&account, now, context).await,
                    Err(error) => return self.refused(&error, Operation::LookUpAccount, now, context).await,
                }
            }
            Err(error) => return self.refused(&error, Operation::LookUpAccount, now, context).await,
        };
        info!(account = account.url, ?known, "the CA says which key the account has");
        self.rollover.account = Some(account);
        self.rollover.awaited = true;
        self.rollover.known = Some(known);
        if known == Known::Next {
            return Ok(None);
        }
        if let Some(in_use) = context.accounts.in_use(&self.issuer.spec, &self.account_secret) {
            in_use.settle(&key);
        }
        // The account can be used again, whatever becomes of the status.
        self.tell_who_waits(context);
        match self.rollover.change.take_if(|_| known == Known::Current) {
            Some(change) => self.change_refused(change.answer, now, context).await,
            None => Ok(None),
        }
    }

    async fn both_unknown(
        &mut self,
        account: &Recorded,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let message = format!(
            "The CA knows neither the key of the account {} in Secret {} nor the one that was to follow it",
            account.url, self.account_secret.1
        );
        self.fail(Disposition::AccountUnusable, None, &message, None, now, context).await.map(Some)
    }

    /// The next key takes the place of the present one in the Secret, in one write, then in the status.
    async fn promote_key(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some((next, seen)), Some(account)) = (self.rollover.next.clone(), self.rollover.account.clone())
        else {
            return Ok(Some(None));
        };
        let data_key = &self.account_secret.2;
        let created = seen.created.unwrap_or(now);
        let thumbprint = jwk_thumbprint(&next);
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": {
                    (certwright_api::ANNOTATION_ACCOUNT_URL): account.url,
                    (certwright_api::ANNOTATION_ACME_SERVER): account.server,
                    (certwright_api::ANNOTATION_EAB_KEY_ID): account.key_id,
                    (certwright_api::ANNOTATION_KEY_THUMBPRINT): thumbprint,
                    (certwright_api::ANNOTATION_KEY_CREATED): whole_seconds(created).to_string(),
                    (certwright_api::ANNOTATION_NEXT_KEY_CREATED): null,
                    (certwright_api::ANNOTATION_LAST_KEY_ROLLOVER): whole_seconds(now).to_string(),
                },
            },
            "data": { (data_key): pem(&next)?, (next_key(data_key)): null },
        });
        let patched = self.patch_secret(&patch, context).await?;
        self.see_secret(Some(patched));
        if let Some(in_use) = context.accounts.in_use(&self.issuer.spec, &self.account_secret) {
            in_use.settle(&next);
        }
        self.rollover.known = Some(Known::Current);
        context.verdicts.lift(&self.issuer.id);
        info!(account = account.url, thumbprint, "the account has another key");
        context.metrics.account_key_rolled_over(true);
        if let Some(before) = self.issuer.status.acme.clone() {
            self.issuer.status.acme = Some(AcmeAccountStatus {
                key_thumbprint: thumbprint,
                key_algorithm: next.algorithm().to_string(),
                ..before.clone()
            });
            self.see_key_dates(Some(before), now);
        }
        self.flush(context).await?;
        self.rollover.change = None;
        let message = self.changed_message();
        let object = &self.issuer.reference;
        let event = Event::normal(reason::KEY_ROLLED_OVER, "RollOver", message);
        events::publish(context, object, &event).await;
        context
            .issuers_of_secret(&self.account_secret, None)
            .iter()
            .for_each(|issuer| context.wake_issuer(&issuer.id));
        Ok(None)
    }

    /// The next key was given to another account: it is of no use to this one.
    async fn discard_next_key(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let answer = self.rollover.change.take().map(|change| change.answer);
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": { (certwright_api::ANNOTATION_NEXT_KEY_CREATED): null },
            },
            "data": { (next_key(&self.account_secret.2)): null },
        });
        let patched = self.patch_secret(&patch, context).await?;
        self.see_secret(Some(patched));
        self.rollover.known = Some(Known::Current);
        let said = match answer {
            // It was there before anything was asked of the CA.
            None => return Ok(None),
            Some(Ok(())) => "the CA answered with success, yet".to_owned(),
            Some(Err(error)) => format!("{}:", words(&error)),
        };
        let message = format!(
            "The account key was not changed: {said} the key that was to follow is that of another account. It is \
             discarded, and another is made for the next attempt. {GOES_ON}"
        );
        self.not_rolled_over(reason::KEY_CHANGE_REFUSED, &message, None, now, context).await
    }

    /// What follows from the answer of a CA that has kept the key.
    async fn change_refused(
        &mut self,
        answer: Result<(), AcmeError>,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let (reason, message, retry_after) = match answer {
            Ok(()) => {
                let kept = "the CA answered with success, yet it kept the old key";
                (reason::KEY_CHANGE_REFUSED, kept.to_owned(), None)
            }
            Err(error) => {
                let reason = match error.status() {
                    Some(404 | 405 | 501) => reason::KEY_CHANGE_NOT_OFFERED,
                    Some(429) => reason::RATE_LIMITED,
                    Some(400..=499) => reason::KEY_CHANGE_REFUSED,
                    _ if matches!(error, AcmeError::NotOffered { .. }) => reason::KEY_CHANGE_NOT_OFFERED,
                    _ => reason::CA_UNAVAILABLE,
                };
                (reason, words(&error), error.retry_after())
            }
        };
        let message = format!("The account key was not changed: {message}. {GOES_ON}");
        self.not_rolled_over(reason, &message, retry_after, now, context).await
    }

    /// Records a failure: the account can be used as before, and it is tried again after hours.
    async fn not_rolled_over(
        &mut self,
        reason: &'static str,
        message: &str,
        retry_after: Option<Duration>,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let attempts = rollover::failures(&self.situation()).saturating_add(1);
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = context.config.backoff.slow().next_attempt(failures, retry_after, now, &self.issuer.uid);
        let failed = FailedKeyRollover {
            attempts,
            time: Time(whole_seconds(now)),
            generation: self.issuer.generation,
            request: self.request().map(str::to_owned),
        };
        if let Some(acme) = &mut self.issuer.status.acme {
            acme.failed_key_rollover = Some(failed);
            acme.next_key_rollover = Some(Time(until));
        }
        info!(reason, attempts, %until, message, "the account key was not changed");
        context.metrics.account_key_rolled_over(false);
        let before = condition(&self.issuer.status.conditions, CONDITION_KEY_ROLLOVER);
        let is_news = before.is_none_or(|before| before.message != message);
        self.set_rolled_over(false, reason, message, now);
        self.flush(context).await?;
        if is_news {
            let object = &self.issuer.reference;
            let event = Event::warning(reason, "RollOver", message.to_owned());
            events::publish(context, object, &event).await;
        }
        Ok(None)
    }

    /// Takes note in the status of how old the key is. If it was changed since `before`, by whomever of those that share it,
    /// then what was asked for is done.
    pub(super) fn see_key_dates(&mut self, before: Option<AcmeAccountStatus>, now: Timestamp) {
        let rolled_over = self.secret.as_ref().filter(|_| self.annotated()).and_then(|secret| {
            secrets::annotation(secret, certwright_api::ANNOTATION_LAST_KEY_ROLLOVER)?
                .parse::<Timestamp>()
                .ok()
        });
        let (request, created) = (self.request().map(str::to_owned), self.rollover.created);
        let Some(acme) = &mut self.issuer.status.acme else { return };
        acme.key_created = created.map(|created| Time(whole_seconds(created)));
        acme.last_key_rollover = rolled_over.map(Time);
        let Some(before) = before.filter(|before| before.uri == acme.uri) else {
            // An account that is new has a key that is new, or that is seen for the first time.
            acme.observed_rollover_request = request;
            return;
        };
        if rolled_over.is_some() && before.last_key_rollover != acme.last_key_rollover {
            acme.observed_rollover_request = request;
            acme.failed_key_rollover = None;
            self.rollover.awaited = true;
            let message = self.changed_message();
            self.set_rolled_over(true, reason::KEY_ROLLED_OVER, &message, now);
        } else {
            acme.observed_rollover_request = before.observed_rollover_request;
            acme.failed_key_rollover = before.failed_key_rollover;
            acme.next_key_rollover = before.next_key_rollover;
        }
    }

    /// Wakes the Certificates that may wait for the key: what they wait with may not be seen by the watch yet.
    pub(super) fn tell_who_waits(&mut self, context: &Context) {
        if std::mem::take(&mut self.rollover.awaited) {
            context.wake_certificates_of(&self.issuer.id);
        }
    }

    /// Writes into the status when the key is changed next, and returns that.
    pub(super) fn plan_rollover(&mut self, now: Timestamp) -> Option<Timestamp> {
        let created = self.rollover.created.map(|created| Time(whole_seconds(created)));
        if rollover::has_stale_failure(&self.situation(), now) {
            let status = &mut self.issuer.status;
            status.acme.iter_mut().for_each(|acme| acme.failed_key_rollover = None);
            status.conditions.retain(|one| one.type_ != CONDITION_KEY_ROLLOVER || one.status == "True");
        }
        let due = rollover::due(&self.situation()).filter(|due| *due > now);
        if let Some(acme) = &mut self.issuer.status.acme {
            acme.key_created = created;
            acme.next_key_rollover = due.map(Time);
        }
        due
    }

    fn changed_message(&self) -> String {
        let thumbprint = self.issuer.status.acme.as_ref().map_or("", |acme| acme.key_thumbprint.as_str());
        format!("The account key was changed; the thumbprint of the new one is {thumbprint}")
    }

    fn set_rolled_over(&mut self, is: bool, reason: &str, message: &str, now: Timestamp) {
        let generation = self.issuer.generation;
        let conditions = &mut self.issuer.status.conditions;
        set_condition(conditions, CONDITION_KEY_ROLLOVER, is, reason, message, generation, now);
    }

    fn resource_version(&self) -> Option<&str> {
        self.secret.as_ref()?.metadata.resource_version.as_deref()
    }
}

fn pem(key: &PrivateKey) -> Result<Value, Error> {
    Ok(json!(ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec())))
}

fn peer(issuer: IssuerRecord) -> Peer {
    Peer {
        name: format!("{} {}", issuer.id.kind.as_str(), issuer.id.name),
        algorithm: stated_algorithm(&issuer.spec),
        server: issuer.spec.server,
    }
}

/// Whether the CA may be looking at answers to its challenges.
fn may_be_looked_at(certificate: &Certificate) -> bool {
    let status = certificate.status.as_ref();
    status.is_some_and(|status| status.order.is_some() && !status.challenges.is_empty())
}

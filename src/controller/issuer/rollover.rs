//! The change of an account key: its part of gather and act.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tracing::info;

use super::gather::{Seen, Work, usable};
use super::ownership::must_keep_its_key;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::IssuerRecord;
use crate::controller::secrets;
use certwright_acme::{Account, AcmeError, jwk_thumbprint};
use certwright_api::Certificate;
use certwright_core::account::rollover::{Keys, NextKey, Peer, Step, stated_algorithm};
use certwright_core::account::{Outcome, Recorded};
use certwright_core::renewal::whole_seconds;
use certwright_pki::{KeyAlgorithm, KeyEncoding, PrivateKey};

/// The key in a Secret's data under which the key is that is to follow the one under `key`.
pub(super) fn next_key(key: &str) -> String {
    format!("{key}.next")
}

/// What is gathered about the account key and the next one.
#[derive(Default)]
pub(super) struct Rollover {
    next: Option<(PrivateKey, NextKey)>,
    created: Option<Timestamp>,
    last_rollover: Option<Timestamp>,
    peers: Vec<Peer>,
    validating: bool,
    must_stay: Option<String>,
}

impl Seen {
    /// Takes note of the other issuers with the same key, and of what is under way with it.
    pub(super) fn gather_rollover(&mut self, context: &Context) {
        let concerned = self.rollover.next.is_some()
            || self.issuer.roll_over.is_some()
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

    /// Takes note of the key that is to follow, as the Secret has it, and of the dates of both.
    pub(super) fn see_next_key(&mut self) {
        let secret = self.secret.as_ref();
        self.rollover.must_stay = secret.and_then(|secret| must_keep_its_key(secret, &self.issuer.spec));
        let pem = secret.and_then(|secret| secrets::data(secret, &next_key(&self.account_secret.2)));
        let next = pem.and_then(|pem| {
            PrivateKey::from_pem(pem).map_err(|error| error.to_string()).and_then(usable).ok()
        });
        let time = |name: &str| secret.and_then(|secret| time_on(secret, name));
        self.rollover.next = next.map(|next| {
            let seen = NextKey {
                algorithm: next.algorithm(),
                created: time(certwright_api::ANNOTATION_NEXT_KEY_CREATED),
            };
            (next, seen)
        });
        // What the Secret says counts only if it is about the key that it has.
        let of =
            secret.and_then(|secret| secrets::annotation(secret, certwright_api::ANNOTATION_KEY_THUMBPRINT));
        let annotated = of.is_none_or(|of| self.key.as_ref().is_some_and(|key| jwk_thumbprint(key) == of));
        let about_key = |name: &str| time(name).filter(|_| annotated);
        let made = secret.and_then(|secret| secret.metadata.creation_timestamp.as_ref()).map(|time| time.0);
        self.rollover.created = about_key(certwright_api::ANNOTATION_KEY_CREATED).or(made);
        self.rollover.last_rollover = about_key(certwright_api::ANNOTATION_LAST_KEY_ROLLOVER);
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        Keys {
            algorithm: self.key.as_ref().map(PrivateKey::algorithm),
            created: self.rollover.created,
            last_rollover: self.rollover.last_rollover,
            next: self.rollover.next.as_ref().map(|(_, next)| next),
            request: self.issuer.roll_over.as_deref(),
            peers: &self.rollover.peers,
            validating: self.rollover.validating,
            must_stay: self.rollover.must_stay.as_deref(),
        }
    }

    pub(super) fn resource_version(&self) -> Option<&str> {
        self.secret.as_ref()?.metadata.resource_version.as_deref()
    }

    fn next_private_key(&self) -> Result<(PrivateKey, NextKey), Error> {
        self.rollover.next.clone().ok_or(Error::Bug("a key change without the next key"))
    }
}

impl Work {
    /// Does one step.
    pub(super) async fn roll_over(
        &mut self,
        step: Step,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let waits = matches!(step, Step::WaitForValidations { .. });
        context.accounts.wait_for_validations(&self.account_secret, waits);
        match step {
            Step::AskWhichKey(account) => self.ask_for_next_key(account, context).await,
            Step::AskForPresentKey(account) => self.ask_for_present_key(account, context).await,
            Step::StoreNextKey(algorithm) => self.store_next_key(algorithm, now, context).await,
            Step::WaitForValidations { until } => {
                self.see_terms(context);
                Ok(Outcome::WaitedForValidations { until })
            }
            Step::ChangeKey => self.change_key(context).await,
            Step::PromoteKey => self.promote_key(now, context).await,
            Step::DiscardNextKey => self.discard_next_key(context).await,
            Step::Refuse { reason, message } => Ok(Outcome::KeyChangeRefused { reason, message }),
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
        Ok(Outcome::NextKeyStored)
    }

    async fn change_key(&mut self, context: &Context) -> Result<Outcome, Error> {
        let (key, (next, _)) = (self.key()?, self.next_private_key()?);
        let acme = self.state.status.acme.as_ref().ok_or(Error::Bug("a key change without an account"))?;
        let secret = self.account_secret.clone();
        let asked = match context.accounts.resume(&self.issuer.spec, secret, key, &acme.uri) {
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

    /// Asks the CA for the account of the next key.
    async fn ask_for_next_key(&self, account: Recorded, context: &Context) -> Result<Outcome, Error> {
        let (next, _) = self.next_private_key()?;
        let found = self.account_of(next, context).await;
        Ok(Outcome::NextKeyLookedUp(account, found))
    }

    /// Asks the CA for the account of the present key.
    async fn ask_for_present_key(&self, account: Recorded, context: &Context) -> Result<Outcome, Error> {
        let found = self.account_of(self.key()?, context).await;
        Ok(Outcome::PresentKeyLookedUp(account, found.map(|url| url.is_some())))
    }

    async fn account_of(&self, key: PrivateKey, context: &Context) -> Result<Option<String>, AcmeError> {
        let server = context.accounts.server(&self.issuer.spec, &self.account_secret.0)?;
        let found = Account::look_up(&server, key).await?;
        Ok(found.map(|found| found.account.url().to_owned()))
    }

    /// The next key takes the place of the present one in the Secret, in one write.
    async fn promote_key(&mut self, now: Timestamp, context: &Context) -> Result<Outcome, Error> {
        let (next, seen) = self.next_private_key()?;
        let account = self.state.asked_about().ok_or(Error::Bug("a key change without an account"))?;
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

    /// Removes the next key from the Secret.
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

fn time_on(secret: &Secret, name: &str) -> Option<Timestamp> {
    secrets::annotation(secret, name)?.parse().ok()
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

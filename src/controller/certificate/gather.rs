//! Gather: reads everything that the next step depends on.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::held::{is_backup, private_key};
use super::issuers::{IssuerInUse, candidates};
use super::keeper::kept_by_cert_manager;
use super::outputs::{Passwords, keystores_mark, read_passwords};
use super::work::{ReconcileCertificate, Seen};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::IssuerId;
use crate::controller::secrets;
use crate::controller::shard::with_secret;
use certwright_api::Certificate;
use certwright_core::issuance::at_rest_until;
use certwright_core::ledger::Owner;
use certwright_core::reissue::SecretView;
use certwright_core::secret_claim::claimed_by;
use certwright_core::tls_secret;
use certwright_runtime::clock;

impl ReconcileCertificate {
    /// Reads the state of the cluster, except for the Certificate's Secrets.
    pub(super) async fn gather(certificate: Arc<Certificate>, context: &Context) -> Result<Self, Error> {
        let namespace = certificate.namespace().unwrap_or_default();
        let (name, uid) = (certificate.name_any(), certificate.uid().unwrap_or_default());
        let (memory, news) = context.in_flight.recall(&uid);
        let mut recorded = certificate.status.clone().unwrap_or_default();
        let owner = Owner { namespace: &namespace, uid: &uid };
        let unverified = context.ledger_keys.take_unverified(owner, &mut recorded);
        let mut state = memory.resume(recorded);
        let in_use = IssuerInUse::of(&certificate, &state.status, context).await?;
        let same_secret = context.cache.others_with_secret_of(&certificate);
        state.progress.slot =
            in_use.slot_at.as_ref().is_some_and(|account| context.order_slots.has(account, &uid));
        let namespace_is_ending = context.cache.namespace_is_ending(&namespace);
        let seen = Seen {
            in_use,
            candidates: Vec::new(),
            passwords: Passwords::Ok(Arc::default()),
            claimed_by: claimed_by(&certificate, &same_secret),
            same_secret: names_of(&same_secret),
            kept_by: None,
            secret: None,
            secret_view: SecretView::default(),
            current_key: None,
            backup: None,
            backup_view: None,
            next_key: None,
            asked: context.renewal_info_polls.last(&uid),
            listed: context.revocation_lists.finding(&uid),
            served: context.served_checks.finding(&uid),
            certificate,
            namespace,
            name,
            uid,
            queued: false,
            namespace_is_ending,
        };
        Ok(Self { seen, state, news, unverified, at_rest: false })
    }

    /// Until when the Certificate is at rest, if that is certain without its Secrets.
    pub(super) fn at_rest_until(&self, context: &Context) -> Option<Timestamp> {
        let knows_more = !self.news.is_empty() || !self.unverified.is_empty() || self.has_next_key(context);
        if knows_more || self.deletion().is_some() {
            return None;
        }
        let version = context.cache.secret_version(&self.namespace, &self.certificate.spec.secret_name);
        at_rest_until(&self.state, &self.snapshot(context), version.as_deref(), clock::now())
    }

    /// Reads the Certificate's Secrets.
    pub(super) async fn read_secrets(&mut self, context: &Context) -> Result<(), Error> {
        let namespace = &self.namespace;
        let read = async |name: Option<String>| match name {
            Some(name) => secrets::read(&context.client, namespace, &name).await,
            None => Ok(None),
        };
        // It is empty if the Certificate is being deleted and its spec cannot be read.
        let secret = Some(self.certificate.spec.secret_name.clone()).filter(|name| !name.is_empty());
        let next_key = self.has_next_key(context).then(|| self.next_key_name());
        let outputs = self.in_use.wanted.as_ref().map(|wanted| wanted.outputs.clone()).unwrap_or_default();
        let (secret, next_key, passwords) =
            futures::try_join!(read(secret), read(next_key), read_passwords(&outputs, namespace, context),)?;
        self.passwords = passwords;
        self.kept_by = match &secret {
            Some(secret) => kept_by_cert_manager(secret, &context.client).await?,
            None => None,
        };
        self.see_rivals(secret.as_ref(), context).await?;
        self.see_secret(secret, context);
        self.see_next_key(next_key, context);
        self.see_candidates(context).await?;
        self.find_out_again(context);
        Ok(())
    }

    /// Asks for Certificates of other shards with the same Secret, unless the Secret is already this Certificate's.
    async fn see_rivals(&mut self, secret: Option<&Secret>, context: &Context) -> Result<(), Error> {
        let owner =
            secret.and_then(|secret| secrets::annotation(secret, certwright_api::ANNOTATION_CERTIFICATE));
        // While the Certificate is being deleted, it matters only whether the Secret belongs to another one.
        let is_settled = owner == Some(self.name.as_str()) || (owner.is_none() && self.deletion().is_some());
        if is_settled || context.config.shard.selects_all() {
            return Ok(());
        }
        let found = with_secret(context, &self.namespace, &self.certificate.spec.secret_name).await?;
        self.claimed_by = claimed_by(&self.certificate, &found);
        self.same_secret = names_of(&found);
        Ok(())
    }

    /// If the state machine has chosen another issuer, looks at that one.
    pub(super) async fn follow_issuer(&mut self, context: &Context) -> Result<(), Error> {
        if IssuerId::in_use(&self.certificate, Some(&self.state.status)) == self.in_use.id {
            return Ok(());
        }
        self.in_use = IssuerInUse::of(&self.certificate, &self.state.status, context).await?;
        // Its defaults determine how the Secret is written.
        let secret = self.secret.take();
        self.see_secret(secret, context);
        self.see_candidates(context).await
    }

    async fn see_candidates(&mut self, context: &Context) -> Result<(), Error> {
        let wanted = self.in_use.wanted.as_ref().ok();
        self.candidates = candidates(&self.certificate, wanted, context).await?;
        Ok(())
    }

    fn has_next_key(&self, context: &Context) -> bool {
        self.state.status.next_private_key_secret_name.is_some()
            || context.cache.has_secret(&self.namespace, &self.next_key_name())
    }

    /// Records the TLS Secret.
    pub(super) fn see_secret(&mut self, secret: Option<Secret>, context: &Context) {
        self.current_key = secret.as_ref().and_then(private_key);
        self.secret_view =
            secret.as_ref().map_or_else(SecretView::default, |secret| self.view(secret, context));
        self.secret = secret;
    }

    /// Records the Secret for the key of an issuance. After too many duplicate certificates, it holds a backup of the whole
    /// certificate.
    pub(super) fn see_next_key(&mut self, secret: Option<Secret>, context: &Context) {
        match secret {
            Some(secret) if is_backup(&secret) => {
                self.backup_view = Some(self.view(&secret, context));
                (self.backup, self.next_key) = (Some(secret), None);
            }
            secret => self.next_key = secret.as_ref().and_then(private_key),
        }
    }

    /// The parsed content of a Secret that holds a certificate.
    fn view(&self, secret: &Secret, context: &Context) -> SecretView {
        tls_secret::view(secret, self.owner_of(secret, context), self.is_as_written(secret))
    }

    /// Whether a Secret was written according to the spec, with the current passwords of its keystores.
    fn is_as_written(&self, secret: &Secret) -> bool {
        let Ok(wanted) = &self.in_use.wanted else { return false };
        let keystores = match private_key(secret) {
            Some(key) if self.passwords.is_ok() => {
                keystores_mark(&wanted.outputs, &self.passwords, &key).ok()
            }
            _ => wanted.outputs.keystores.is_empty().then_some(None),
        };
        let annotation = |name| secrets::annotation(secret, name);
        annotation(certwright_api::ANNOTATION_WRITTEN_AS) == Some(&wanted.written_as())
            && keystores
                .is_some_and(|mark| annotation(certwright_api::ANNOTATION_KEYSTORES) == mark.as_deref())
    }

    /// The Certificate that a TLS Secret belongs to. If that Certificate is gone, or names another Secret now, this Certificate
    /// may take the Secret over.
    fn owner_of(&self, secret: &Secret, context: &Context) -> Option<String> {
        let owner = secrets::annotation(secret, certwright_api::ANNOTATION_CERTIFICATE)?;
        let claims = || self.same_secret.iter().any(|name| name == owner);
        let stands = owner == self.name
            || claims()
            || context.cache.has_unreadable_certificate(&self.namespace, owner);
        Some(if stands { owner.to_owned() } else { self.name.clone() })
    }
}

/// Only the names are kept: hundreds of reconciles may each see the same hundreds of Certificates.
fn names_of(certificates: &[Arc<Certificate>]) -> Vec<String> {
    certificates.iter().map(|certificate| certificate.name_any()).collect()
}

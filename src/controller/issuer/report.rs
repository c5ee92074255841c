//! Report: writes, publishes, logs and counts what follows from a step.

use std::fmt::Debug;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::gather::ReconcileIssuer;
use super::verified::owner;
use crate::controller::apply::applied_by;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events::log_news;
use crate::controller::issuer_record::IssuerRecord;
use crate::controller::shard::Write;
use certwright_api::{AnyIssuer, ClusterIssuer, FIELD_MANAGER, GROUP, Issuer, IssuerKind, VERSION};
use certwright_core::account::{Next, Outcome, Report};
use certwright_core::reading::{Readable, Reading};

impl ReconcileIssuer {
    /// Makes the transition that follows from the outcome of a step, and its reports.
    pub(super) async fn conclude(
        &mut self,
        outcome: Outcome,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let consequence = self.state.apply(&self.seen.snapshot(), outcome, now);
        for report in consequence.reports {
            self.report(report, context).await?;
        }
        if self.state.change.is_none() {
            self.change = None;
        }
        Ok(consequence.next)
    }

    pub(super) async fn report(&mut self, report: Report, context: &Context) -> Result<(), Error> {
        match report {
            Report::Write => self.flush(context).await?,
            Report::Event(event) => {
                context.events.publish(&self.issuer.reference, &event).await;
            }
            Report::InUse => {
                if let (Some(key), Some(acme)) = (self.key.clone(), &self.state.status.acme) {
                    // This cannot fail, because the account was registered with the same URL and bundle.
                    let secret = self.account_secret.clone();
                    let _ = context.accounts.resume(&self.issuer.spec, secret, key, &acme.uri);
                }
            }
            Report::KeySettled => {
                let in_use = context.accounts.in_use(&self.issuer.spec, &self.account_secret);
                if let (Some(in_use), Some(key)) = (in_use, &self.key) {
                    in_use.settle(key);
                }
            }
            Report::WakeCertificates => context.wake_certificates_of(&self.issuer.id),
            Report::WakeSharing => {
                for issuer in context.issuers_of_secret(&self.account_secret, None) {
                    context.wake_issuer(&issuer.id);
                }
            }
            Report::LiftRefusal => context.account_refusals.lift(&self.issuer.id),
            Report::NotChecked(why) => info!(why, "the account could not be checked"),
            Report::Found(url) => info!(account = url, "found the account of the key"),
            Report::KeyChanged { url, thumbprint } => {
                info!(account = url, thumbprint, "the account key was changed");
                context.metrics.account_key_rolled_over(true);
            }
            Report::KeyNotChanged { reason, attempts, until, message } => {
                info!(reason, attempts, %until, why = message, "the account key was not changed");
                context.metrics.account_key_rolled_over(false);
            }
            Report::KeyKnown { url, known } => {
                info!(account = url, ?known, "the CA says which key the account has");
            }
            Report::Deactivated(url) => info!(account = url, "the account is deactivated"),
            Report::NotDeactivated { url, attempts, until, message } => {
                warn!(account = url, attempts, %until, why = message, "the account could not be deactivated");
            }
            Report::Retained(note) => info!(note, "the issuer is deleted"),
            Report::LeftBehind(note) => {
                warn!(note, "an account is left behind");
                context.metrics.account_left_behind();
            }
        }
        Ok(())
    }

    /// Writes the status, if it has changed.
    pub(super) async fn flush(&mut self, context: &Context) -> Result<(), Error> {
        context.ledger_keys.seal_issuer(owner(&self.seen.issuer), &mut self.state.status);
        if self.state.recorded == self.state.status {
            return Ok(());
        }
        for event in self.state.news_of_requests() {
            context.events.publish(&self.issuer.reference, &event).await;
        }
        match (self.issuer.id.kind, &self.issuer.id.namespace) {
            (IssuerKind::Issuer, Some(namespace)) => {
                let api = Api::<Reading<Issuer>>::namespaced(context.client.clone(), namespace);
                self.write(api, context).await?;
            }
            _ => self.write(Api::<Reading<ClusterIssuer>>::all(context.client.clone()), context).await?,
        }
        log_news(&self.state.recorded.conditions, &self.state.status.conditions);
        self.state.recorded = self.state.status.clone();
        self.written = true;
        Ok(())
    }

    /// Adds or removes the finalizer.
    pub(super) async fn write_finalizers(
        &mut self,
        finalizers: &[&str],
        context: &Context,
    ) -> Result<(), Error> {
        match (self.issuer.id.kind, &self.issuer.id.namespace) {
            (IssuerKind::Issuer, Some(namespace)) => {
                let api = Api::<Reading<Issuer>>::namespaced(context.client.clone(), namespace);
                self.apply_finalizers(api, finalizers, context).await?;
            }
            _ => {
                let api = Api::<Reading<ClusterIssuer>>::all(context.client.clone());
                self.apply_finalizers(api, finalizers, context).await?;
            }
        }
        self.seen.issuer.has_finalizer = !finalizers.is_empty();
        self.written = true;
        Ok(())
    }

    async fn apply_finalizers<K>(
        &mut self,
        api: Api<Reading<K>>,
        finalizers: &[&str],
        context: &Context,
    ) -> Result<(), Error>
    where
        K: AnyIssuer + Readable + Clone + Debug,
    {
        let kind = self.issuer.id.kind.as_str();
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind,
            "metadata": { "name": self.issuer.id.name, "uid": self.issuer.uid, "finalizers": finalizers },
        });
        // This needs a separate field manager, because a manager that applies an object must send all its fields. The other
        // manager has the status.
        let params = applied_by("certwright-finalizer").force();
        let written = self.send(&api, false, params, (patch, Patch::Apply), context).await;
        self.seen.issuer.version = written.map_err(Error::WriteFinalizer)?;
        Ok(())
    }

    async fn write<K>(&mut self, api: Api<Reading<K>>, context: &Context) -> Result<(), Error>
    where
        K: AnyIssuer + Readable + Clone + Debug,
    {
        let kind = self.issuer.id.kind.as_str();
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind,
            "metadata": { "name": self.issuer.id.name, "uid": self.issuer.uid },
            "status": self.state.status,
        });
        let params = applied_by(FIELD_MANAGER).force();
        let written = self.send(&api, true, params, (patch, Patch::Apply), context).await;
        self.seen.issuer.version = written.map_err(Error::WriteStatus)?;
        Ok(())
    }

    /// Writes the issuer, and returns its new `resourceVersion`.
    pub(super) async fn send<K>(
        &self,
        api: &Api<Reading<K>>,
        is_status: bool,
        params: PatchParams,
        patch: (Value, fn(Value) -> Patch<Value>),
        context: &Context,
    ) -> Result<Option<String>, kube::Error>
    where
        K: AnyIssuer + Readable + Clone + Debug,
    {
        let issuer = &self.seen.issuer;
        let write = Write {
            kind: issuer.id.kind.as_str(),
            name: &issuer.id.name,
            uid: &issuer.uid,
            version: issuer.version.clone(),
            is_status,
            params,
            patch,
        };
        let serves = |found: &K| context.serves_issuer(&IssuerRecord::from(found));
        Ok(write.send(api, context, serves).await?.resource_version())
    }
}

//! Report: the status says what is, and is written only if it has changed.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde_json::json;

use super::gather::Work;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::runtime::metrics::ApiVerb;
use certwright_api::{
    CONDITION_READY, ClusterIssuer, FIELD_MANAGER, GROUP, Issuer, IssuerKind, VERSION,
    issuer_reason as reason,
};
use certwright_core::account::changed_terms;
use certwright_core::conditions::{condition, set_condition, set_standing};
use certwright_core::events::Event;
use certwright_core::kstatus;
use certwright_core::reading::Reading;

impl Work {
    /// The account can be used.
    pub(super) fn ready(&mut self, now: Timestamp) {
        self.forget_failures();
        let uri = self.issuer.status.acme.as_ref().map_or("", |acme| acme.uri.as_str());
        let mut message = format!("The account {uri} is registered");
        if let Some(changed) = self.issuer.status.acme.as_ref().and_then(changed_terms) {
            message = format!("{message}. {changed}");
        }
        self.set(true, reason::ACCOUNT_REGISTERED, &message, now);
    }

    /// Nothing has failed, or not lately.
    pub(super) fn forget_failures(&mut self) {
        self.issuer.status.failed_attempts = None;
        self.issuer.status.last_failure_time = None;
        self.issuer.status.next_attempt_time = None;
        self.issuer.status.refused_external_account_version = None;
    }

    /// The account cannot be used.
    pub(super) fn not_ready(&mut self, reason: &str, message: &str, now: Timestamp) {
        self.set(false, reason, message, now);
    }

    fn set(&mut self, is: bool, reason: &str, message: &str, now: Timestamp) {
        let generation = self.issuer.generation;
        self.issuer.status.observed_generation = Some(generation);
        let conditions = &mut self.issuer.status.conditions;
        set_condition(conditions, CONDITION_READY, is, reason, message, generation, now);
        let standing = kstatus::of_issuer(conditions);
        set_standing(conditions, standing, generation, now);
    }

    /// How often this spec has failed in a row.
    pub(super) fn attempts_of_this_spec(&self) -> i32 {
        let ready = condition(&self.recorded_status.conditions, CONDITION_READY);
        let same_spec = ready.is_some_and(|ready| ready.observed_generation == Some(self.issuer.generation));
        self.recorded_status.failed_attempts.filter(|_| same_spec).unwrap_or_default()
    }

    /// Whether the condition that is recorded says something else.
    pub(super) fn is_news(&self, message: &str) -> bool {
        let before = condition(&self.recorded_status.conditions, CONDITION_READY);
        before.is_none_or(|before| before.message != message)
    }

    /// Publishes an event.
    pub(super) async fn warn(&self, reason: &'static str, message: &str, context: &Context) {
        let object = &self.issuer.reference;
        let event = Event::warning(reason, "Register", message.to_owned());
        events::publish(context, object, &event).await;
    }

    /// Writes the status, if it has changed.
    pub(super) async fn flush(&mut self, context: &Context) -> Result<(), Error> {
        if self.recorded_status == self.issuer.status {
            return Ok(());
        }
        self.tell_of_request(context).await;
        match (self.issuer.id.kind, &self.issuer.id.namespace) {
            (IssuerKind::Issuer, Some(namespace)) => {
                let api = Api::<Reading<Issuer>>::namespaced(context.client.clone(), namespace);
                self.write(api, context).await?;
            }
            _ => self.write(Api::<Reading<ClusterIssuer>>::all(context.client.clone()), context).await?,
        }
        self.recorded_status = self.issuer.status.clone();
        self.written = true;
        Ok(())
    }

    /// Sets our finalizer, or takes it away.
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
        self.issuer.held = !finalizers.is_empty();
        self.written = true;
        Ok(())
    }

    async fn apply_finalizers<K>(
        &self,
        api: Api<K>,
        finalizers: &[&str],
        context: &Context,
    ) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let kind = self.issuer.id.kind.as_str();
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind,
            "metadata": { "name": self.issuer.id.name, "uid": self.issuer.uid, "finalizers": finalizers },
        });
        context.metrics.api_written(kind, ApiVerb::Patch);
        // Of its own manager, since each applies all that it has: the other one has the status.
        let params = PatchParams::apply("certwright-finalizer").force();
        api.patch(&self.issuer.id.name, &params, &Patch::Apply(&patch))
            .await
            .map(drop)
            .map_err(Error::WriteFinalizer)
    }

    async fn write<K>(&self, api: Api<K>, context: &Context) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let kind = self.issuer.id.kind.as_str();
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": kind,
            "metadata": { "name": self.issuer.id.name, "uid": self.issuer.uid },
            "status": self.issuer.status,
        });
        context.metrics.api_written(kind, ApiVerb::Patch);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api.patch_status(&self.issuer.id.name, &params, &Patch::Apply(&patch))
            .await
            .map(drop)
            .map_err(Error::WriteStatus)
    }
}

//! Report: writes the status, only when necessary.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::work::ReconcileCertificate;
use crate::controller::apply::applied_by;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events::log_news;
use crate::controller::shard::Write;
use crate::runtime::metrics::{CertificateFacts, Served, Waiting};
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, CONDITION_REVOKED, CONDITION_SERVED, Certificate, FIELD_MANAGER,
    GROUP, VERSION, certificate_reason as reason,
};
use certwright_core::conditions::{condition, is_true};
use certwright_core::ledger::Owner;
use certwright_core::reading::{Readable, Reading};
use certwright_core::records;

impl ReconcileCertificate {
    /// Publishes pending events. If that fails, they are kept for later.
    pub(super) async fn publish(&mut self, context: &Context) {
        let reference = self.reference();
        while let Some(event) = self.news.first() {
            if !context.events.publish(&reference, event).await {
                break;
            }
            self.news.remove(0);
        }
    }

    /// Writes the status if it has changed, and publishes pending events.
    pub(super) async fn flush(&mut self, context: &Context) -> Result<bool, Error> {
        self.report_metrics(context);
        let written = self.write_status(context).await?;
        self.publish(context).await;
        Ok(written)
    }

    async fn write_status(&mut self, context: &Context) -> Result<bool, Error> {
        let owner = Owner { namespace: &self.seen.namespace, uid: &self.seen.uid };
        context.ledger_keys.seal(owner, &mut self.state.status);
        if records::requires_finalizer(&self.state.status, self.has_finalizer(), self.deletion()) {
            self.hold(context).await?;
        }
        if self.certificate.status.as_ref() == Some(&self.state.status) {
            return Ok(false);
        }
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Certificate",
            "metadata": { "name": self.name, "uid": self.uid },
            "status": self.state.status,
        });
        let params = applied_by(FIELD_MANAGER).force();
        let write = Write { is_status: true, params, ..self.write(patch, Patch::Apply) };
        let written = write.send(&self.api(context), context, |found| context.serves(found)).await;
        let before = self.certificate.clone();
        self.see_written(written.map_err(Error::WriteStatus)?, context)?;
        let before = before.status.as_ref().map_or(&[][..], |status| &status.conditions);
        log_news(before, &self.state.status.conditions);
        Ok(true)
    }

    /// Where the Certificate is written.
    pub(super) fn api(&self, context: &Context) -> Api<Reading<Certificate>> {
        Api::namespaced(context.client.clone(), &self.namespace)
    }

    /// A patch of the Certificate.
    pub(super) fn write(&self, patch: Value, type_: fn(Value) -> Patch<Value>) -> Write<'_> {
        Write {
            kind: "Certificate",
            name: &self.name,
            uid: &self.uid,
            version: self.certificate.resource_version(),
            is_status: false,
            params: PatchParams::default(),
            patch: (patch, type_),
        }
    }

    /// Records the Certificate as a write has returned it.
    pub(super) fn see_written(
        &mut self,
        written: Reading<Certificate>,
        context: &Context,
    ) -> Result<(), Error> {
        let mut written = written.usable().map_err(Error::Unreadable)?;
        written.reduce(&[]);
        self.certificate = Arc::new(written);
        context.in_flight.written(self.certificate.clone());
        Ok(())
    }

    pub(super) fn report_metrics(&self, context: &Context) {
        let issuing = condition(&self.state.status.conditions, CONDITION_ISSUING)
            .filter(|issuing| issuing.status == "True");
        let facts = CertificateFacts {
            ready: is_true(&self.state.status.conditions, CONDITION_READY),
            not_after: self.state.status.not_after.as_ref().map(|time| time.0),
            renewal: self.state.status.renewal_time.as_ref().map(|time| time.0),
            issuing: issuing.is_some(),
            queued: issuing.is_some_and(|issuing| issuing.reason == reason::QUEUED),
            waiting: issuing.map(|issuing| Waiting::of(&issuing.reason, issuing.last_transition_time.0)),
            revoked: is_true(&self.state.status.conditions, CONDITION_REVOKED),
            served: condition(&self.state.status.conditions, CONDITION_SERVED).and_then(Served::of),
        };
        context.metrics.certificate(&self.namespace, &self.name, facts);
    }
}

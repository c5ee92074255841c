//! Verifies the status before any decision: entries that are not verifiably the operator's own are dropped, and reported.

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::warn;

use super::work::{ReconcileCertificate, Seen};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::secrets_namespace;
use crate::controller::presenter;
use crate::controller::shard::Write;
use certwright_api::FIELD_MANAGER;
use certwright_core::issuance::Outcome;
use certwright_core::ledger::derive::Known;
use certwright_core::ledger::{ORDER_NOT_OURS, Unverified};
use certwright_core::revocation;

impl Seen {
    /// What is known without the status. Nothing is known without an issuer that allows this Certificate.
    fn known<'a>(&'a self, context: &'a Context) -> Option<Known<'a>> {
        let (Ok(wanted), Some(issuer), None) =
            (&self.in_use.wanted, &self.in_use.issuer, &self.in_use.not_allowed)
        else {
            return None;
        };
        Some(Known {
            names: wanted.names(),
            solvers: &issuer.spec.solvers,
            secrets_namespace: secrets_namespace(issuer, &context.config.cluster_resource_namespace),
            ambient: context.config.ambient_credentials.may_use(issuer.id.kind),
        })
    }
}

impl ReconcileCertificate {
    /// Restores unverified entries that the spec, the issuer and the Secret confirm.
    pub(super) fn find_out_again(&mut self, context: &Context) {
        if self.unverified.is_empty() {
            return;
        }
        let in_secret = revocation::in_secret(&self.seen.snapshot(context).with(&self.state));
        let known = self.seen.known(context);
        self.unverified.restore(&mut self.state.status, known.as_ref(), in_secret.as_ref());
    }

    /// Drops the rest, and reports that. Routes that may lead to answers of this Certificate are removed first.
    pub(super) async fn drop_unverified(&mut self, context: &Context) -> Result<(), Error> {
        if self.unverified.is_empty() {
            return Ok(());
        }
        let unverified = self.unverified.clone();
        let routes = unverified.routes(&self.state.status, self.known(context).as_ref());
        if !routes.is_empty() {
            presenter::withdraw(context, &self.namespace, &self.uid, &routes).await?;
            self.take_in(Outcome::Withdrawn, context).await?;
        }
        if unverified.order.is_some() {
            self.abandon(ORDER_NOT_OURS, context).await?;
        }
        let event = unverified.event();
        warn!(note = event.note, "dropped unverified entries of a status");
        self.news.push(event);
        // This comes first, because an apply would leave an incomplete order with only the fields that others own.
        self.erase(&unverified, context).await?;
        self.flush(context).await?;
        self.unverified = Unverified::default();
        Ok(())
    }

    /// Removes dropped entries from the object.
    async fn erase(&mut self, unverified: &Unverified, context: &Context) -> Result<(), Error> {
        let Some(status) = unverified.erasure(&mut self.state.status) else { return Ok(()) };
        let patch = json!({ "metadata": { "uid": self.uid }, "status": status });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let write = Write { is_status: true, params, ..self.write(patch, Patch::Merge) };
        let written = write.send(&self.api(context), context, |found| context.serves(found)).await;
        self.see_written(written.map_err(Error::WriteStatus)?, context)
    }
}

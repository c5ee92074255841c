//! Drops TXT records in the status that are not verifiably the operator's own, and reports that.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::warn;

use super::gather::ReconcileIssuer;
use crate::controller::context::Context;
use crate::controller::error::Error;
use certwright_api::{ClusterIssuer, FIELD_MANAGER, Issuer, IssuerKind};
use certwright_core::ledger::Unverified;
use certwright_core::reading::Reading;

impl ReconcileIssuer {
    /// Drops unverified records, and reports that.
    pub(super) async fn drop_unverified(&mut self, context: &Context) -> Result<(), Error> {
        if self.unverified.is_empty() {
            return Ok(());
        }
        let resource = match self.issuer.id.kind {
            IssuerKind::Issuer => "issuers/status",
            IssuerKind::ClusterIssuer => "clusterissuers/status",
        };
        let event = self.unverified.event_about(resource);
        warn!(note = event.note, "dropped unverified entries of a status");
        context.events.publish(&self.issuer.reference, &event).await;
        if self.state.status.dns_records.is_empty() {
            // An apply does not remove fields that others own.
            let patch = json!({
                "metadata": { "uid": self.issuer.uid },
                "status": { "dnsRecords": null },
            });
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let written = match (self.issuer.id.kind, &self.issuer.id.namespace) {
                (IssuerKind::Issuer, Some(namespace)) => {
                    let api = Api::<Reading<Issuer>>::namespaced(context.client.clone(), namespace);
                    self.send(&api, true, params, (patch, Patch::Merge), context).await
                }
                _ => {
                    let api = Api::<Reading<ClusterIssuer>>::all(context.client.clone());
                    self.send(&api, true, params, (patch, Patch::Merge), context).await
                }
            };
            self.seen.issuer.version = written.map_err(Error::WriteStatus)?;
        }
        self.flush(context).await?;
        self.unverified = Unverified::default();
        Ok(())
    }
}

//! Verifies the status before any decision: TXT records that are not verifiably the operator's own are dropped, and reported.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::warn;

use super::gather::ReconcileIssuer;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{IssuerRecord, secrets_namespace};
use certwright_api::{ClusterIssuer, DnsRecordStatus, FIELD_MANAGER, Issuer, IssuerKind, IssuerStatus};
use certwright_core::ledger::derive::Known;
use certwright_core::ledger::{Owner, Unverified};
use certwright_core::reading::Reading;

/// Whose status it is.
pub(super) fn owner(issuer: &IssuerRecord) -> Owner<'_> {
    Owner { namespace: issuer.id.namespace.as_deref().unwrap_or_default(), uid: &issuer.uid }
}

/// The status without entries that are not verifiably the operator's, and the TXT records among those that the spec does not
/// confirm either.
pub(super) fn verified(issuer: &IssuerRecord, context: &Context) -> (IssuerStatus, Unverified) {
    let mut status = issuer.status.clone();
    let unverified = context.ledger_keys.take_unverified_of_issuer(owner(issuer), &mut status);
    let known = Known {
        names: issuer.spec.authorizations.iter().map(|one| one.dns_name.to_ascii_lowercase()).collect(),
        solvers: &issuer.spec.solvers,
        secrets_namespace: secrets_namespace(issuer, &context.config.namespace),
        cluster_wide: issuer.id.kind == IssuerKind::ClusterIssuer,
    };
    let confirmed = |record: &DnsRecordStatus| known.confirms_record(record);
    let (confirmed, dns_records) = unverified.into_iter().partition::<Vec<_>, _>(confirmed);
    status.dns_records.extend(confirmed);
    (status, Unverified { dns_records, ..Unverified::default() })
}

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

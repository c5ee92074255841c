//! Verifies the status before any decision: entries that are not verifiably the operator's own are dropped, and reported.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};
use tracing::warn;

use super::work::ReconcileCertificate;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::account_secret;
use crate::controller::presenter;
use crate::runtime::metrics::ApiVerb;
use certwright_api::{
    Certificate, ChallengeStatus, FIELD_MANAGER, IssuerKind, RevocationStatus, certificate_reason as reason,
};
use certwright_core::events::Event;
use certwright_core::issuance::Proof;
use certwright_core::ledger::Unverified;
use certwright_core::ledger::derive::{self, Known};
use certwright_core::reading::Reading;
use certwright_core::revocation;
use certwright_text::clean;

/// The maximum number of entries named in a message.
const NAMED: usize = 3;
/// The maximum length quoted from an entry, in bytes.
const LONGEST: usize = 200;

impl ReconcileCertificate {
    /// Restores unverified entries that the spec, the issuer and the Secret confirm.
    pub(super) fn find_out_again(&mut self, context: &Context) {
        if self.unverified.is_empty() {
            return;
        }
        let mut unverified = std::mem::take(&mut self.unverified);
        let confirmed = |record: &_| self.known(context, |known| known.confirms_record(record));
        let (records, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut unverified.dns_records).into_iter().partition(confirmed);
        unverified.dns_records = others;
        let in_secret = revocation::in_secret(&self.seen.snapshot(context).with(&self.state));
        let mut certificates = Vec::new();
        unverified.certificates.retain(|held| {
            let current = derive::current(held, in_secret.clone());
            let is_whole = current.is_some() && held.revocation.is_none();
            certificates.extend(current);
            !is_whole
        });
        self.state.status.dns_records.extend(records);
        if let (Some(ledger), Some(current)) = (&mut self.state.status.revocation, certificates.pop())
            && ledger.certificates.iter().all(|held| held.serial_number != current.serial_number)
        {
            ledger.certificates.push(current);
        }
        self.unverified = unverified;
    }

    /// Drops the rest, and reports that. Routes that may lead to answers of this Certificate are removed first.
    pub(super) async fn drop_unverified(&mut self, context: &Context) -> Result<(), Error> {
        if self.unverified.is_empty() {
            return Ok(());
        }
        let unverified = self.unverified.clone();
        if self.state.status.challenges.is_empty() {
            let is_ours = |challenge: &&ChallengeStatus| {
                self.known(context, |known| known.confirms_challenge(challenge))
            };
            let ours: Vec<_> = unverified.challenges.iter().filter(is_ours).cloned().collect();
            if !ours.is_empty() {
                presenter::withdraw(context, &self.namespace, &self.uid, &ours).await?;
                self.state.learn().proof = Proof::Absent;
            }
        }
        if unverified.order.is_some() {
            self.abandon("the order in the status was not written by this operator", context).await?;
        }
        let note = format!(
            "The status has entries that cannot be verified as written by this operator, so they are dropped: {}. No \
             request is sent to a provider or a CA because of them; if these records or certificates exist, remove or \
             revoke them manually. Find out who can write certificates/status",
            named(&unverified)
        );
        warn!(note, "dropped unverified entries of a status");
        self.news.push(Event::warning(reason::UNVERIFIED_STATUS, "Verify", note));
        // This comes first, because an apply would leave an incomplete order with only the fields that others own.
        self.erase(&unverified, context).await?;
        self.flush(context).await?;
        self.unverified = Unverified::default();
        Ok(())
    }

    /// Removes dropped entries from the object if no entries of ours replace them: an apply does not remove fields that others
    /// own.
    async fn erase(&mut self, unverified: &Unverified, context: &Context) -> Result<(), Error> {
        let mut status = Map::new();
        if unverified.order.is_some() && self.state.status.order.is_none() {
            status.insert("order".to_owned(), Value::Null);
        }
        if !unverified.challenges.is_empty() && self.state.status.challenges.is_empty() {
            status.insert("challenges".to_owned(), Value::Null);
        }
        if !unverified.dns_records.is_empty() && self.state.status.dns_records.is_empty() {
            status.insert("dnsRecords".to_owned(), Value::Null);
        }
        match &self.state.status.revocation {
            _ if unverified.certificates.is_empty() => {}
            Some(ledger) if *ledger != RevocationStatus::default() => {
                if ledger.certificates.is_empty() {
                    status.insert("revocation".to_owned(), json!({ "certificates": null }));
                }
            }
            _ => {
                self.state.status.revocation = None;
                status.insert("revocation".to_owned(), Value::Null);
            }
        }
        if status.is_empty() {
            return Ok(());
        }
        let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), &self.namespace);
        let patch = json!({ "metadata": { "uid": self.uid }, "status": status });
        context.metrics.api_written("Certificate", ApiVerb::Patch);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let written = api.patch_status(&self.name, &params, &Patch::Merge(&patch)).await;
        self.see_written(written.map_err(Error::WriteStatus)?, context)
    }

    /// Checks what is known without the status. Nothing is known without an issuer that allows this Certificate.
    fn known(&self, context: &Context, ask: impl Fn(&Known<'_>) -> bool) -> bool {
        let (Ok(wanted), Some(issuer), None) = (&self.wanted, &self.issuer, &self.not_allowed) else {
            return false;
        };
        let secrets = account_secret(issuer, &context.config.namespace);
        ask(&Known {
            names: &wanted.names(),
            solvers: &issuer.spec.solvers,
            secrets_namespace: &secrets.0,
            cluster_wide: issuer.id.kind == IssuerKind::ClusterIssuer,
        })
    }
}

/// What was dropped, for messages.
fn named(unverified: &Unverified) -> String {
    let order = unverified.order.iter().map(|order| format!("the order {}", order.url));
    let records = unverified
        .dns_records
        .iter()
        .map(|record| format!("the TXT record {} with the value {}", record.fqdn, record.value));
    let certificates = unverified
        .certificates
        .iter()
        .map(|held| format!("the certificate to be revoked {}", held.serial_number));
    let challenges = unverified.challenges.iter().map(|one| format!("the challenge for {}", one.name));
    let all: Vec<String> = order.chain(records).chain(certificates).chain(challenges).collect();
    let mut named: Vec<String> = all.iter().take(NAMED).map(|one| clean(one, LONGEST)).collect();
    if all.len() > NAMED {
        named.push(format!("and {} more", all.len() - NAMED));
    }
    named.join("; ")
}

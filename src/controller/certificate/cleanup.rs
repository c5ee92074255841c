//! Whatever an issuance left is removed, however it ended.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use serde_json::json;
use tracing::{info, warn};

use super::Next;
use super::act::HASTE;
use super::gather::Work;
use crate::api::{
    Certificate, DnsRecordStatus, FINALIZER, GROUP, IssuanceRecord, VERSION, certificate_reason as reason,
};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::{presenter, secrets};
use crate::core::duplicates;
use crate::core::issuance::Progress;
use crate::core::reading::Reading;
use crate::core::records;
use crate::runtime::clock;
use crate::runtime::metrics::ApiVerb;

impl Work {
    /// Removes what an issuance that has ended left.
    pub(super) async fn clean_up(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        // Counted here and not where it is stored, so that a crash in between does not lose it.
        let issued = self.secret_view.leaf().map(|leaf| leaf.serial_number.clone());
        if self.status.order.is_some() && issued.is_some() && issued != self.status.serial_number {
            self.status.revision = Some(self.status.revision.unwrap_or_default() + 1);
            self.record_issuance(now);
            // What follows may fail, and come once more.
            self.status.serial_number = issued;
        }
        // The answer to the write of the Secret was lost.
        self.record_issued(now, context);
        match self.situation(context).next_duplicate(now) {
            Some(_) if self.status.order.is_some() => {
                self.keep_backup(context).await?;
                self.withdraw(now, context).await?;
                self.status.next_private_key_secret_name = None;
            }
            _ => self.remove_all(now, context).await?,
        }
        self.forget_order(context);
        Ok(Next::Step)
    }

    /// Counts the certificate among the equal ones.
    fn record_issuance(&mut self, now: Timestamp) {
        let (Ok(wanted), Some(leaf), Some(order)) =
            (&self.wanted, self.secret_view.leaf(), &self.status.order)
        else {
            return;
        };
        let issued = IssuanceRecord {
            time: order.created.clone(),
            not_after: Time(leaf.not_after),
            names_digest: duplicates::names_digest(&wanted.names()),
            account: order.account.clone(),
        };
        duplicates::record(&mut self.status.recent_issuances, issued, now);
    }

    /// Goes on without the order that is under way.
    pub(super) async fn abandon(
        &mut self,
        message: &str,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        info!(message, "the order is abandoned");
        self.give_up_authorizations().await;
        self.remove_all(now, context).await?;
        self.forget_order(context);
        Ok(Next::Step)
    }

    /// Removes what was presented. A provider that does not remove its record at once is asked again later.
    pub(super) async fn withdraw(&mut self, now: Timestamp, context: &Context) -> Result<(), Error> {
        records::retire(&mut self.status.dns_records, |_| true, now);
        // What may still be there stays on record, and counts no longer as presented.
        self.learn().will_withdraw();
        let challenges = self.status.challenges.clone();
        let (namespace, uid) = (self.namespace.clone(), self.uid.clone());
        let over_http = presenter::withdraw(context, &namespace, &uid, &challenges);
        futures::try_join!(over_http, self.remove_records(now, HASTE, context))?;
        self.status.challenges.clear();
        self.learn().saw_withdrawn();
        Ok(())
    }

    /// Has the records removed whose time has come, all at once and each within `bound`. Those that providers fail to
    /// remove stay in the ledger, or are left behind in the end.
    pub(super) async fn remove_records(
        &mut self,
        now: Timestamp,
        bound: Duration,
        context: &Context,
    ) -> Result<(), Error> {
        let ledger = &self.status.dns_records;
        let due: Vec<bool> = ledger.iter().map(|record| records::is_due(ledger, record, now)).collect();
        let deleted = self.deletion();
        let removals = ledger.iter().zip(&due).map(async |(record, due)| {
            let bound = records::patience(record, bound, deleted, now);
            Ok::<_, Error>(match due {
                true => presenter::remove(context, (&self.namespace, &self.uid), record, bound).await?.err(),
                false => None,
            })
        });
        let failures = futures::future::try_join_all(removals).await?;
        // A provider that hangs has taken its time: the next attempt is counted from its end.
        let ended = clock::now();
        let ledger = std::mem::take(&mut self.status.dns_records);
        for ((mut record, due), failure) in ledger.into_iter().zip(due).zip(failures) {
            match failure {
                _ if !due => self.status.dns_records.push(record),
                None => {}
                Some(words) => match records::after_failed_removal(&record, &words, deleted, ended) {
                    Some(removal) => {
                        record.removal = Some(removal);
                        self.status.dns_records.push(record);
                    }
                    None => self.leave_behind(&record, &words, context),
                },
            }
        }
        Ok(())
    }

    fn leave_behind(&mut self, record: &DnsRecordStatus, words: &str, context: &Context) {
        let note = format!(
            "The TXT record {} with the value {} could not be removed and is left behind; remove it by hand: {words}",
            record.fqdn, record.value
        );
        warn!(fqdn = record.fqdn, words, "a TXT record is left behind");
        context.metrics.record_left_behind();
        self.tell(EventType::Warning, reason::RECORD_LEFT_BEHIND, "CleanUp", note);
    }

    /// Sets our finalizer: something is about to be presented that does not go with the Certificate.
    pub(super) async fn hold(&mut self, context: &Context) -> Result<(), Error> {
        self.write_finalizers(&[FINALIZER], context).await
    }

    /// Takes our finalizer away.
    pub(super) async fn release(&mut self, context: &Context) -> Result<(), Error> {
        // Nothing can be said of a Certificate that is gone.
        self.publish(context).await;
        self.write_finalizers(&[], context).await
    }

    async fn write_finalizers(&mut self, finalizers: &[&str], context: &Context) -> Result<(), Error> {
        let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), &self.namespace);
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Certificate",
            "metadata": { "name": self.name, "uid": self.uid, "finalizers": finalizers },
        });
        context.metrics.api_written("Certificate", ApiVerb::Patch);
        // Of its own manager, since each applies all that it has: the other one has the status.
        let params = PatchParams::apply("certwright-finalizer").force();
        let written =
            api.patch(&self.name, &params, &Patch::Apply(&patch)).await.map_err(Error::WriteFinalizer)?;
        self.see_written(written, context)
    }

    /// Forgets the order.
    pub(super) fn forget_order(&mut self, context: &Context) {
        self.leave_place(context);
        self.status.order = None;
        self.progress = Progress::default();
    }

    async fn remove_all(&mut self, now: Timestamp, context: &Context) -> Result<(), Error> {
        let name = self.next_key_name();
        let namespace = self.namespace.clone();
        let has_key = self.next_key.is_some()
            || self.backup.is_some()
            || self.status.next_private_key_secret_name.is_some();
        let key = async {
            match has_key {
                true => secrets::delete(&context.client, &context.metrics, &namespace, &name).await,
                false => Ok(()),
            }
        };
        futures::try_join!(key, self.withdraw(now, context))?;
        self.next_key = None;
        (self.backup, self.backup_view) = (None, None);
        self.status.next_private_key_secret_name = None;
        Ok(())
    }
}

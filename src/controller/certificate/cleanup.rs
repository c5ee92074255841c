//! Removes what an issuance left, however it ended.

use kube::api::Patch;
use serde_json::json;

use super::work::ReconcileCertificate;
use crate::controller::apply::applied_by;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::shard::Write;
use crate::controller::{presenter, secrets};
use certwright_api::{FINALIZER, GROUP, VERSION};
use certwright_core::issuance::{Ending, KeySecret, Leftovers, Outcome};
use certwright_core::records::Removal;
use certwright_runtime::clock;

impl ReconcileCertificate {
    /// Removes the leftovers of an issuance that has ended.
    pub(super) async fn remove(
        &mut self,
        leftovers: &Leftovers,
        context: &Context,
    ) -> Result<Outcome, Error> {
        self.give_up_authorizations(&leftovers.authorizations).await;
        if leftovers.key_secret == KeySecret::BackUp {
            self.keep_backup(context).await?;
        }
        let deletes = leftovers.key_secret == KeySecret::Delete;
        let (namespace, name) = (self.namespace.clone(), self.next_key_name());
        let key = async {
            match deletes {
                true => secrets::delete(&context.client, &context.metrics, &namespace, &name).await,
                false => Ok(()),
            }
        };
        futures::try_join!(key, self.withdraw(context))?;
        if deletes {
            self.next_key = None;
            (self.backup, self.backup_view) = (None, None);
        }
        Ok(Outcome::Removed)
    }

    /// Abandons the current order.
    pub(super) async fn abandon(&mut self, why: &str, context: &Context) -> Result<(), Error> {
        self.take_in(Outcome::Ended(Ending::Abandoned(why.to_owned())), context).await?;
        let leftovers = self.state.leftovers(&self.seen.snapshot(context), clock::now());
        if let Some(leftovers) = leftovers {
            let removed = self.remove(&leftovers, context).await?;
            self.take_in(removed, context).await?;
        }
        Ok(())
    }

    /// Removes what was presented. A provider that does not remove its record immediately is asked again later.
    pub(super) async fn withdraw(&mut self, context: &Context) -> Result<(), Error> {
        let removals = self.state.begin_withdrawal(&self.seen.snapshot(context), clock::now());
        let challenges = &self.state.status.challenges;
        let over_http = presenter::withdraw(context, &self.namespace, &self.uid, challenges);
        let records = self.remove_records(removals, context);
        let ((), removed) = futures::try_join!(over_http, records)?;
        self.take_in(removed, context).await.map(drop)
    }

    /// Asks providers to remove records, all concurrently.
    pub(super) async fn remove_records(
        &self,
        removals: Vec<Removal>,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let answers = removals.into_iter().map(async |Removal { record, patience }| {
            let whose = (self.namespace.as_str(), self.uid.as_str());
            let answer = presenter::remove(context, whose, &record, patience).await?;
            Ok::<_, Error>((record, answer))
        });
        Ok(Outcome::RecordsRemoved(futures::future::try_join_all(answers).await?))
    }

    /// Sets our finalizer: something is about to be presented that is not deleted together with the Certificate.
    pub(super) async fn hold(&mut self, context: &Context) -> Result<(), Error> {
        self.write_finalizers(&[FINALIZER], context).await
    }

    /// Removes our finalizer.
    pub(super) async fn release(&mut self, context: &Context) -> Result<(), Error> {
        // No events can be published about a Certificate that is gone.
        self.publish(context).await;
        self.write_finalizers(&[], context).await
    }

    async fn write_finalizers(&mut self, finalizers: &[&str], context: &Context) -> Result<(), Error> {
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Certificate",
            "metadata": { "name": self.name, "uid": self.uid, "finalizers": finalizers },
        });
        // It has its own field manager, because an apply replaces everything that its manager owns: the other one owns the
        // status.
        let params = applied_by("certwright-finalizer").force();
        let write = Write { params, ..self.write(patch, Patch::Apply) };
        let written = write.send(&self.api(context), context, |found| context.serves(found)).await;
        self.see_written(written.map_err(Error::WriteFinalizer)?, context)
    }
}

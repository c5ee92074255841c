//! Reports objects that cannot be read: with a condition on our own kinds, an event, and a log line.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::object::HasStatus;
use kube::{Api, Resource};
use serde::Serialize;
use serde_json::json;
use tracing::warn;

use super::cache::api;
use super::context::Context;
use super::error::Error;
use super::unreadable::{Entry, Key};
use crate::runtime::clock;
use crate::runtime::metrics::ApiVerb;
use certwright_api::{Certificate, ClusterIssuer, FIELD_MANAGER, GROUP, Issuer, VERSION};
use certwright_core::reading::{Fault, Readable, Reading};
use certwright_core::unreadable::{ConditionedStatus, event_of_fault, event_of_status_fault, report_fault};

/// When to retry a failed report.
const AGAIN: Duration = Duration::from_secs(30);

/// Reports the objects that cannot be read, while this replica leads.
pub async fn report(context: Arc<Context>) {
    let unreadable = context.cache.unreadable();
    unreadable.begin();
    let mut failed: BTreeMap<Key, Entry> = BTreeMap::new();
    loop {
        let next = match failed.is_empty() {
            true => Some(unreadable.next().await),
            false => tokio::time::timeout(AGAIN, unreadable.next()).await.ok(),
        };
        let (due, again): (Vec<_>, _) = match next {
            Some(next) => (vec![next], false),
            None => (std::mem::take(&mut failed).into_iter().collect(), true),
        };
        for (key, entry) in due {
            if again && !unreadable.is_current(&key, &entry) {
                continue;
            }
            if let Err(error) = tell(&key, &entry, &context).await {
                if !again {
                    let error = &error as &dyn std::error::Error;
                    let (kind, namespace, name) = (&key.kind, key.namespace.as_deref(), &key.name);
                    warn!(
                        object = kind,
                        namespace, name, error, "could not report that an object cannot be read"
                    );
                }
                failed.insert(key, entry);
            }
        }
    }
}

async fn tell(key: &Key, entry: &Entry, context: &Context) -> Result<(), Error> {
    // Issuers of other shards are watched, too.
    if !context.config.shard.matches(&entry.labels) {
        return Ok(());
    }
    let object = &entry.reference;
    let namespace = key.namespace.as_deref();
    if let Some(fault) = &entry.status_fault {
        warn!(
            object = key.kind,
            namespace,
            name = key.name,
            %fault,
            "part of a status cannot be read, and is ignored"
        );
        context.events.publish(object, &event_of_status_fault(fault)).await;
    }
    let Some(fault) = &entry.fault else { return Ok(()) };
    warn!(
        object = key.kind,
        namespace,
        name = key.name,
        %fault,
        "an object cannot be read; it is ignored until it is corrected"
    );
    let client = &context.client;
    let written = match key.kind.as_str() {
        "Certificate" => {
            write::<Certificate>(api(client, namespace), "Certificate", entry, fault, context).await
        }
        "Issuer" => write::<Issuer>(api(client, namespace), "Issuer", entry, fault, context).await,
        "ClusterIssuer" => {
            write::<ClusterIssuer>(Api::all(client.clone()), "ClusterIssuer", entry, fault, context).await
        }
        _ => Ok(true),
    };
    // If the status has this already, it was reported before. If the status cannot be written, an event may still work.
    if !matches!(written, Ok(false)) {
        context.events.publish(object, &event_of_fault(fault)).await;
    }
    written.map(drop)
}

/// Writes the fault into the conditions; returns false if they have it already.
async fn write<K>(
    api: Api<Reading<K>>,
    kind: &'static str,
    entry: &Entry,
    fault: &Fault,
    context: &Context,
) -> Result<bool, Error>
where
    K: Readable + HasStatus + Clone + Debug,
    K::Status: ConditionedStatus + Serialize,
{
    let ObjectReference { name, uid, .. } = &entry.reference;
    let name = name.as_deref().unwrap_or_default();
    // A list, because the operator has permission to list issuers for its watches, but not to get them.
    let which = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = api.list(&which).await.map_err(Error::ReadObject)?.items.pop();
    // If it has changed since, a watch delivers the change.
    let Some(found) = found.filter(|found| found.fault.as_ref() == Some(fault)) else { return Ok(false) };
    if found.meta().uid != *uid {
        return Ok(false);
    }
    let before = found.object.status().cloned().unwrap_or_default();
    let mut status = before.clone();
    report_fault(&mut status, fault, found.meta().generation.unwrap_or_default(), clock::now());
    if status == before {
        return Ok(false);
    }
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind,
        "metadata": { "name": name, "uid": uid },
        "status": status,
    });
    context.metrics.api_written(kind, ApiVerb::Patch);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(name, &params, &Patch::Apply(&patch)).await.map_err(Error::WriteStatus)?;
    Ok(true)
}

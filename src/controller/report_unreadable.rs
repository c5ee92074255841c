//! Reports objects that cannot be read: with a condition on our own kinds, an event, and a log line.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ListParams, Patch};
use kube::core::object::HasStatus;
use kube::{Api, Resource};
use serde::Serialize;
use serde_json::json;
use tracing::{Instrument, info_span, warn};

use super::apply::applied_by;
use super::cache::api;
use super::context::Context;
use super::error::Error;
use super::fair_queue::FairQueue;
use super::retry::until_done;
use super::unreadable::{Entry, Key};
use super::work_queue::{Started, work_through};
use crate::runtime::metrics::ApiVerb;
use certwright_api::{Certificate, ClusterIssuer, FIELD_MANAGER, GROUP, Issuer, VERSION};
use certwright_core::reading::{Fault, Readable, Reading};
use certwright_core::unreadable::{ConditionedStatus, event_of_fault, event_of_status_fault, report_fault};
use certwright_runtime::clock;

/// How many are reported at a time: each report reads an object that may be large.
const AT_A_TIME: usize = 2;

/// Reports the objects that cannot be read, while this replica leads. Namespaces take turns. A report that fails is retried.
pub async fn report(context: Arc<Context>) {
    let unreadable = context.cache.unreadable();
    unreadable.begin();
    let turns = FairQueue::new(AT_A_TIME);
    let requests = stream::unfold((), |()| unreadable.next().map(|key| Some((key, ()))));
    let one = async |started: Started<Key>| {
        started.begins();
        let key = &*started.object;
        // Issuers of other shards are watched, too.
        if let Some(entry) = unreadable.entry(key)
            && context.config.shard.matches(&entry.labels)
        {
            log(key, &entry);
            let (kind, namespace, name) = (&key.kind, key.namespace.as_deref(), &key.name);
            let span = info_span!("report", object = kind, namespace, name);
            let work = || tell_in_turn(started.object.clone(), entry.clone(), turns.clone(), context.clone());
            until_done(&context, name, "reporting an object that cannot be read", work)
                .instrument(span)
                .await;
        }
        (started, None)
    };
    work_through([], requests, one).await;
}

fn tell_in_turn(
    key: Arc<Key>,
    entry: Entry,
    turns: FairQueue,
    context: Arc<Context>,
) -> BoxFuture<'static, Result<(), Error>> {
    async move {
        let _turn = turns.turn(key.namespace.as_deref().unwrap_or_default(), 0).await;
        match context.cache.unreadable().entry(&key).as_ref() == Some(&entry) {
            true => tell(&key, &entry, &context).await,
            // It has changed since, and is reported as it is now.
            false => Ok(()),
        }
    }
    .boxed()
}

fn log(key: &Key, entry: &Entry) {
    let (kind, namespace, name) = (&key.kind, key.namespace.as_deref(), &key.name);
    if let Some(fault) = &entry.status_fault {
        warn!(object = kind, namespace, name, %fault, "part of a status cannot be read, and is ignored");
    }
    if let Some(fault) = &entry.fault {
        warn!(object = kind, namespace, name, %fault, "an object cannot be read; it is ignored until it is corrected");
    }
}

async fn tell(key: &Key, entry: &Entry, context: &Context) -> Result<(), Error> {
    let object = &entry.reference;
    let namespace = key.namespace.as_deref();
    let client = &context.client;
    if let Some(fault) = &entry.status_fault {
        context.events.publish(object, &event_of_status_fault(fault)).await;
    }
    let Some(fault) = &entry.fault else { return Ok(()) };
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
    let params = applied_by(FIELD_MANAGER).force();
    api.patch_status(name, &params, &Patch::Apply(&patch)).await.map_err(Error::WriteStatus)?;
    Ok(true)
}

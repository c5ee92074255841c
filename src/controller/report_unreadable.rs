//! Reports objects that cannot be read: with a condition on our own kinds, an event, and a log line.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ListParams, Patch, PatchParams};
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
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, Certificate, CertificateStatus, ClusterIssuer, FIELD_MANAGER, GROUP,
    Issuer, IssuerStatus, VERSION, certificate_reason as reason,
};
use certwright_core::conditions::{condition, set_condition, set_standing};
use certwright_core::events::Event;
use certwright_core::kstatus::{self, Standing};
use certwright_core::reading::{Fault, Readable, Reading};

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
    let object = &entry.reference;
    if let Some(fault) = &entry.status_fault {
        warn!(
            object = key.kind,
            namespace = key.namespace.as_deref(),
            name = key.name,
            %fault,
            "part of a status cannot be read, and is ignored"
        );
        let note = format!("{fault}; this part of the status is ignored");
        context.events.publish(object, &Event::warning(reason::INVALID_STATUS, "Read", note)).await;
    }
    let Some(fault) = &entry.fault else { return Ok(()) };
    warn!(
        object = key.kind,
        namespace = key.namespace.as_deref(),
        name = key.name,
        %fault,
        "an object cannot be read; it is ignored until it is corrected"
    );
    let written = match key.kind.as_str() {
        "Certificate" => write::<Certificate>(key, entry, fault, context).await,
        "Issuer" => write::<Issuer>(key, entry, fault, context).await,
        "ClusterIssuer" => write::<ClusterIssuer>(key, entry, fault, context).await,
        _ => Ok(true),
    };
    // If the status has this already, it was reported before. If the status cannot be written, an event may still work.
    if !matches!(written, Ok(false)) {
        let note = words(fault);
        context.events.publish(object, &Event::warning(reason::INVALID_SPEC, "Read", note)).await;
    }
    written.map(drop)
}

fn words(fault: &Fault) -> String {
    format!("{fault}; this object is ignored until that is corrected")
}

/// A kind with conditions.
trait Reported: Readable + Clone + Debug {
    type Status: Clone + Default + PartialEq + Serialize;

    fn api(namespace: Option<&str>, context: &Context) -> Api<Reading<Self>>;
    fn status(self) -> Option<Self::Status>;
    fn observed(status: &mut Self::Status) -> (&mut Option<i64>, &mut Vec<Condition>);
    fn standing(conditions: &[Condition]) -> Option<Standing>;
}

/// Writes the fault into the conditions; returns false if they have it already.
async fn write<K: Reported>(
    key: &Key,
    entry: &Entry,
    fault: &Fault,
    context: &Context,
) -> Result<bool, Error> {
    let api = K::api(key.namespace.as_deref(), context);
    // A list, because the operator has permission to list issuers for its watches, but not to get them.
    let which = ListParams::default().fields(&format!("metadata.name={}", key.name));
    let found = api.list(&which).await.map_err(Error::ReadObject)?.items.pop();
    // If it has changed since, a watch delivers the change.
    let Some(found) = found.filter(|found| found.fault.as_ref() == Some(fault)) else { return Ok(false) };
    if found.meta().uid != entry.reference.uid {
        return Ok(false);
    }
    let generation = found.meta().generation.unwrap_or_default();
    let before = found.object.status().unwrap_or_default();
    let mut status = before.clone();
    let (observed, conditions) = K::observed(&mut status);
    *observed = Some(generation);
    let (now, words) = (clock::now(), words(fault));
    if condition(conditions, CONDITION_ISSUING).is_some() {
        set_condition(conditions, CONDITION_ISSUING, true, reason::INVALID_SPEC, &words, generation, now);
    }
    set_condition(conditions, CONDITION_READY, false, reason::INVALID_SPEC, &words, generation, now);
    let standing = K::standing(conditions);
    set_standing(conditions, standing, generation, now);
    if status == before {
        return Ok(false);
    }
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": key.kind,
        "metadata": { "name": key.name, "uid": entry.reference.uid },
        "status": status,
    });
    context.metrics.api_written(kind(key), ApiVerb::Patch);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&key.name, &params, &Patch::Apply(&patch)).await.map_err(Error::WriteStatus)?;
    Ok(true)
}

/// The kind as a constant, for metrics.
fn kind(key: &Key) -> &'static str {
    match key.kind.as_str() {
        "Certificate" => "Certificate",
        "Issuer" => "Issuer",
        _ => "ClusterIssuer",
    }
}

impl Reported for Certificate {
    type Status = CertificateStatus;

    fn api(namespace: Option<&str>, context: &Context) -> Api<Reading<Self>> {
        api(&context.client, namespace)
    }

    fn status(self) -> Option<CertificateStatus> {
        self.status
    }

    fn observed(status: &mut CertificateStatus) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn standing(conditions: &[Condition]) -> Option<Standing> {
        kstatus::of_certificate(conditions)
    }
}

impl Reported for Issuer {
    type Status = IssuerStatus;

    fn api(namespace: Option<&str>, context: &Context) -> Api<Reading<Self>> {
        api(&context.client, namespace)
    }

    fn status(self) -> Option<IssuerStatus> {
        self.status
    }

    fn observed(status: &mut IssuerStatus) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn standing(conditions: &[Condition]) -> Option<Standing> {
        kstatus::of_issuer(conditions)
    }
}

impl Reported for ClusterIssuer {
    type Status = IssuerStatus;

    fn api(_: Option<&str>, context: &Context) -> Api<Reading<Self>> {
        Api::all(context.client.clone())
    }

    fn status(self) -> Option<IssuerStatus> {
        self.status
    }

    fn observed(status: &mut IssuerStatus) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn standing(conditions: &[Condition]) -> Option<Standing> {
        kstatus::of_issuer(conditions)
    }
}

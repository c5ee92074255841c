//! The watches of `certwright top`.

use std::fmt::Debug;
use std::pin::pin;

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc::Sender;

use super::rows::{CertificateRow, IssuerRow, Key};
use crate::command::Cluster;
use crate::command::chosen_issuer::IssuerApi;
use crate::command::error::causes;
use crate::command::kind::Kind;
use crate::command::output::{plain, shown};
use certwright_api::{Certificate, ClusterIssuer, Issuer};
use certwright_core::reading::{Readable, Reading};
use certwright_runtime::clock;

/// What a watch has seen.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Of which kind.
    pub(super) kind: Kind,
    pub(super) what: Seen,
}

/// What a watch has seen.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// All objects of the kind.
    All(Vec<Item>),
    /// An object that is new or has changed.
    One(Item),
    /// An object that is gone.
    Gone(Key),
    /// The watch does not work at the moment, and why.
    Fault(String),
}

/// A row.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Certificate(Box<CertificateRow>),
    Issuer(Box<IssuerRow>),
}

/// Starts the watches, which send what they see, wrapped by `wrap`, until nobody listens any more.
pub(super) fn feed<A: Send + 'static>(
    cluster: &Cluster,
    namespace: Option<&str>,
    selector: Option<&str>,
    sender: &Sender<A>,
    wrap: fn(Change) -> A,
) {
    let client = || cluster.watching.clone();
    let config = watcher::Config::default();
    let of_certificates = selector.map_or(config.clone(), |labels| config.clone().labels(labels));
    let certificates: Api<Reading<Certificate>> = match namespace {
        Some(namespace) => Api::namespaced(client(), namespace),
        None => Api::all(client()),
    };
    let issuers: Api<Reading<Issuer>> = match namespace {
        Some(namespace) => Issuer::api(client(), namespace),
        None => Api::all(client()),
    };
    let row = |certificate: &Certificate| {
        let certificate = shown(certificate).ok()?;
        Some(Item::Certificate(Box::new(CertificateRow::of(&certificate, clock::now()))))
    };
    let of_cluster = ClusterIssuer::api(client(), "");
    tokio::spawn(watch(certificates, of_certificates, Kind::Certificate, row, sender.clone(), wrap));
    tokio::spawn(watch(issuers, config.clone(), Kind::Issuer, issuer_row, sender.clone(), wrap));
    tokio::spawn(watch(of_cluster, config, Kind::ClusterIssuer, issuer_row, sender.clone(), wrap));
}

fn issuer_row<K: IssuerApi + serde::Serialize>(issuer: &K) -> Option<Item> {
    Some(Item::Issuer(Box::new(IssuerRow::of(&shown(issuer).ok()?))))
}

async fn watch<K, A>(
    api: Api<Reading<K>>,
    config: watcher::Config,
    kind: Kind,
    row: fn(&K) -> Option<Item>,
    sender: Sender<A>,
    wrap: fn(Change) -> A,
) where
    K: Readable + Clone + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        let what = match event {
            Ok(watcher::Event::Init) => {
                all.clear();
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                all.extend(object.usable().ok().and_then(|object| row(&object)));
                continue;
            }
            Ok(watcher::Event::InitDone) => Seen::All(std::mem::take(&mut all)),
            Ok(watcher::Event::Apply(object)) => {
                // One that can no longer be read is left as it was.
                let Some(item) = object.usable().ok().and_then(|object| row(&object)) else { continue };
                Seen::One(item)
            }
            Ok(watcher::Event::Delete(object)) => {
                Seen::Gone(Key { namespace: object.namespace(), name: object.name_any() })
            }
            Err(error) => Seen::Fault(plain(&causes(&error))),
        };
        if sender.send(wrap(Change { kind, what })).await.is_err() {
            return;
        }
    }
}

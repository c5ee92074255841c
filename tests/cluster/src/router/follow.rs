//! Copies of all objects of a kind, kept up to date.

use std::{fmt::Debug, hash::Hash, pin::pin, sync::Arc};

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt, reflector,
        reflector::{Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::Notify, task::JoinSet};

/// The kinds that can be followed.
pub(super) trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// Follows a kind that exists in every cluster. `changed` is notified of each change.
pub(super) fn always<K: Kind>(tasks: &mut JoinSet<()>, client: &Client, changed: &Arc<Notify>) -> Store<K> {
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default());
    let changed = changed.clone();
    tasks.spawn(reflector(writer, events).default_backoff().touched_objects().for_each(move |_| {
        changed.notify_one();
        std::future::ready(())
    }));
    store
}

/// Follows a kind while the cluster has its CustomResourceDefinition. `changed` is notified of each change.
pub(super) fn while_defined<K: Kind>(
    tasks: &mut JoinSet<()>,
    client: &Client,
    changed: &Arc<Notify>,
) -> Store<K> {
    let (store, writer) = reflector::store();
    tasks.spawn(follow_definition::<K>(client.clone(), writer, changed.clone()));
    store
}

async fn follow_definition<K: Kind>(client: Client, mut writer: Writer<K>, changed: Arc<Notify>)
where
    K::DynamicType: Eq + Hash + Clone,
{
    let name = format!("{}.{}", K::plural(&()), K::group(&()));
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut definition = pin!(watcher::watch_object(definitions, &name).default_backoff());
    let mut followed = None;
    let mut objects = futures::stream::pending().boxed();
    loop {
        tokio::select! {
            state = definition.next() => {
                let Some(state) = state else { return };
                let Ok(state) = state else { continue };
                let established = state.filter(is_established).and_then(|definition| definition.uid());
                if established == followed {
                    continue;
                }
                // If the definition is removed or replaced, none of the objects exists any more.
                writer.apply_watcher_event(&watcher::Event::Init);
                writer.apply_watcher_event(&watcher::Event::InitDone);
                objects = match &established {
                    Some(_) => watcher(Api::<K>::all(client.clone()), watcher::Config::default())
                        .default_backoff()
                        .boxed(),
                    None => futures::stream::pending().boxed(),
                };
                followed = established;
            }
            event = objects.next() => {
                if let Some(Ok(event)) = event {
                    writer.apply_watcher_event(&event);
                }
            }
        }
        changed.notify_one();
    }
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut established =
        conditions.filter(|condition| condition.type_ == "Established" && condition.status == "True");
    definition.metadata.deletion_timestamp.is_none() && established.next().is_some()
}

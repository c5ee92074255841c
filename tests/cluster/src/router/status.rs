//! The status of Gateways, HTTPRoutes and TLSRoutes that the router writes.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    Routes,
    gateway::{CONTROLLER_NAME, Gateway, GatewayClass, ParentStatus, Route},
    route::{Verdict, accepted},
};

/// The wait before a status that could not be written is written again.
const RETRY: Duration = Duration::from_millis(500);

/// Keeps the status of all objects up to date: after each change, all of them are checked.
pub(super) async fn report(client: Client, address: String, routes: Arc<Routes>, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        if let Err(error) = routes.report(&client, &address).await {
            eprintln!("router: cannot write a status: {error}");
            tokio::time::sleep(RETRY).await;
            changed.notify_one();
        }
    }
}

impl Routes {
    async fn report(&self, client: &Client, address: &str) -> kube::Result<()> {
        for class in self.gateway_classes.state() {
            if class.spec.controller_name == CONTROLLER_NAME {
                let before = class.status.clone().unwrap_or_default().conditions;
                let conditions = conditions(&*class, &before, &[("Accepted", Verdict::yes("Accepted"))]);
                if conditions != before {
                    let api: Api<GatewayClass> = Api::all(client.clone());
                    write(&api, &*class, json!({"conditions": conditions})).await?;
                }
            }
        }
        for gateway in self.gateways.state().iter().filter(|gateway| self.is_served(gateway)) {
            let before = gateway.status.clone().unwrap_or_default().conditions;
            let said = [("Accepted", Verdict::yes("Accepted")), ("Programmed", Verdict::yes("Programmed"))];
            let conditions = conditions(&**gateway, &before, &said);
            if conditions != before {
                let addresses = json!([{"type": "IPAddress", "value": address}]);
                let status = json!({"conditions": conditions, "addresses": addresses});
                write(&api::<Gateway>(client, &**gateway), &**gateway, status).await?;
            }
        }
        for route in self.http_routes.state() {
            self.report_route(client, &*route).await?;
        }
        for route in self.tls_routes.state() {
            self.report_route(client, &*route).await?;
        }
        Ok(())
    }

    async fn report_route<R>(&self, client: &Client, route: &R) -> kube::Result<()>
    where
        R: Route + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let before = route.status().cloned().unwrap_or_default().parents;
        let parents = self.parents(route, &before);
        if parents != before {
            write(&api::<R>(client, route), route, json!({"parents": parents})).await?;
        }
        Ok(())
    }

    /// The conditions of a route: those of other controllers unchanged, and those of each Gateway that the router serves.
    fn parents(&self, route: &impl Route, before: &[ParentStatus]) -> Vec<ParentStatus> {
        let (ours, others): (Vec<_>, Vec<_>) =
            before.iter().cloned().partition(|entry| entry.controller_name == CONTROLLER_NAME);
        let said = route.parent_refs().iter().filter_map(|parent| {
            let gateway = self.parent(route, parent)?;
            let known = ours.iter().find(|entry| entry.parent_ref == *parent);
            let known = known.map(|entry| entry.conditions.clone()).unwrap_or_default();
            let said =
                [("Accepted", accepted(route, parent, &gateway)), ("ResolvedRefs", self.resolved(route))];
            Some(ParentStatus {
                parent_ref: parent.clone(),
                controller_name: CONTROLLER_NAME.into(),
                conditions: conditions(route, &known, &said),
            })
        });
        others.into_iter().chain(said).collect()
    }
}

/// The conditions of an object now; if a status does not change, its time stays.
fn conditions<K: Resource>(object: &K, before: &[Condition], said: &[(&str, Verdict)]) -> Vec<Condition> {
    said.iter()
        .map(|(type_, verdict)| {
            let status = if verdict.holds { "True" } else { "False" };
            let known = before.iter().find(|known| known.type_ == *type_ && known.status == status);
            Condition {
                type_: (*type_).into(),
                status: status.into(),
                reason: verdict.reason.into(),
                message: verdict.message.clone(),
                observed_generation: object.meta().generation,
                last_transition_time: known.map_or_else(now, |known| known.last_transition_time.clone()),
            }
        })
        .collect()
}

/// With the precision of the API.
fn now() -> Time {
    let seconds = Timestamp::now().as_second();
    Time(Timestamp::from_second(seconds).unwrap_or_default())
}

fn api<K>(client: &Client, object: &K) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), &object.namespace().unwrap_or_default())
}

/// Writes a status, unless the object has been changed or deleted in the meantime, which causes another check.
async fn write<K>(api: &Api<K>, object: &K, status: Value) -> kube::Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let version = object.resource_version();
    let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
    let written = api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
    match written {
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}

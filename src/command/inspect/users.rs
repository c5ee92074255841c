//! What uses a Secret: Ingresses and Gateways that serve it, and Pods that mount it.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::{Pod, Volume};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::command::Cluster;
use crate::command::error::words;

/// The maximum number of Pods that are named.
const PODS: usize = 3;

/// What uses the Secret, each in a few words, and what could not be listed.
pub(super) async fn users(cluster: &Cluster, secret: &str) -> Vec<String> {
    let (client, namespace) = (cluster.client.clone(), &cluster.namespace);
    let gateway = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
    let gateways =
        Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&gateway));
    let ingresses = list("Ingresses", Api::<Ingress>::namespaced(client.clone(), namespace)).await;
    let mut found = of(ingresses, |all| all.iter().filter_map(|one| ingress(one, secret)).collect());
    found.extend(of(list("Gateways", gateways).await, |all| {
        all.iter().filter_map(|one| self::gateway(one, secret)).collect()
    }));
    found.extend(of(list("Pods", Api::<Pod>::namespaced(client, namespace)).await, |all| {
        pods(all, secret).into_iter().collect()
    }));
    found
}

fn of<K>(found: Result<Vec<K>, String>, users: impl Fn(&[K]) -> Vec<String>) -> Vec<String> {
    found.map_or_else(|why| vec![why], |all| users(&all))
}

/// All of a kind; none if the cluster does not know the kind.
async fn list<K: Clone + DeserializeOwned + Debug>(kinds: &str, api: Api<K>) -> Result<Vec<K>, String> {
    match api.list(&ListParams::default()).await {
        Ok(found) => Ok(found.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(format!("{kinds} could not be listed: {}", words(&error))),
    }
}

fn ingress(ingress: &Ingress, secret: &str) -> Option<String> {
    let entries = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
    let mut its = entries.filter(|tls| tls.secret_name.as_deref() == Some(secret)).peekable();
    its.peek()?;
    let hosts: Vec<_> = its.flat_map(|tls| tls.hosts.clone().unwrap_or_default()).collect();
    let hosts = if hosts.is_empty() { "any host".to_owned() } else { hosts.join(", ") };
    Some(format!("Ingress {} ({hosts})", ingress.name_any()))
}

fn gateway(gateway: &DynamicObject, secret: &str) -> Option<String> {
    let is_secret = |reference: &Value| {
        let is = |field: &str, usual: &str, wanted: &str| {
            reference.get(field).and_then(Value::as_str).unwrap_or(usual) == wanted
        };
        let here = gateway.namespace().unwrap_or_default();
        is("kind", "Secret", "Secret") && is("name", "", secret) && is("namespace", &here, &here)
    };
    let listeners = gateway.data.pointer("/spec/listeners").and_then(Value::as_array)?;
    let references = |listener: &Value| {
        let references = listener.pointer("/tls/certificateRefs").and_then(Value::as_array);
        references.is_some_and(|references| references.iter().any(is_secret))
    };
    let names: Vec<_> = listeners
        .iter()
        .filter(|listener| references(listener))
        .map(|listener| listener.get("name").and_then(Value::as_str).unwrap_or_default())
        .collect();
    (!names.is_empty()).then(|| format!("Gateway {} (listener {})", gateway.name_any(), names.join(", ")))
}

fn pods(pods: &[Pod], secret: &str) -> Option<String> {
    let mounts = |volume: &Volume| {
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        let mut projected = projected.filter_map(|source| source.secret.as_ref());
        volume.secret.as_ref().is_some_and(|source| source.secret_name.as_deref() == Some(secret))
            || projected.any(|source| source.name == secret)
    };
    let uses = |pod: &&Pod| pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(mounts);
    let names: Vec<_> = pods.iter().filter(uses).map(ResourceExt::name_any).collect();
    let shown = names.get(..PODS).unwrap_or(&names).join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!("Pod {shown}, which mounts it")),
        count if count > PODS => Some(format!("{count} Pods, which mount it: {shown}, …")),
        count => Some(format!("{count} Pods, which mount it: {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_serves_or_mounts_a_secret_uses_it() {
        let found: Ingress = from_value(json!({
            "metadata": { "name": "www" },
            "spec": { "tls": [{ "secretName": "a", "hosts": ["x.example", "y.example"] }, { "secretName": "b" }] },
        }))
        .unwrap();
        assert_eq!(ingress(&found, "a").as_deref(), Some("Ingress www (x.example, y.example)"));
        assert_eq!(ingress(&found, "b").as_deref(), Some("Ingress www (any host)"));
        assert_eq!(ingress(&found, "c"), None);
        let found: DynamicObject = from_value(json!({
            "metadata": { "name": "gw", "namespace": "shop" },
            "spec": { "listeners": [
                { "name": "http" },
                { "name": "https", "tls": { "certificateRefs": [{ "name": "a" }] } },
                { "name": "other", "tls": { "certificateRefs": [{ "name": "a", "namespace": "elsewhere" }] } },
            ] },
        }))
        .unwrap();
        assert_eq!(gateway(&found, "a").as_deref(), Some("Gateway gw (listener https)"));
        assert_eq!(gateway(&found, "b"), None);
        let pod = |name: &str, volume: Value| -> Pod {
            from_value(
                json!({ "metadata": { "name": name }, "spec": { "containers": [], "volumes": [volume] } }),
            )
            .unwrap()
        };
        let all = [
            pod("p", json!({ "name": "v", "secret": { "secretName": "a" } })),
            pod("q", json!({ "name": "v", "projected": { "sources": [{ "secret": { "name": "a" } }] } })),
            pod("r", json!({ "name": "v", "secret": { "secretName": "b" } })),
        ];
        assert_eq!(pods(&all, "a").as_deref(), Some("2 Pods, which mount it: p, q"));
        assert_eq!(pods(&all, "b").as_deref(), Some("Pod r, which mounts it"));
        assert_eq!(pods(&all, "c"), None);
    }
}

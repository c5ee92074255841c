//! The operator: its Deployment, pods and Leases, its versions, and the log and metrics of each pod, all through the API server.

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, ListParams, LogParams};
use kube::{Api, ResourceExt};

use super::objects::{list, name_of, yaml};
use super::{Bundle, File};
use crate::command::Cluster;
use crate::command::error::words;
use crate::controller::acme_log;

/// The pods of the operator and of certwright-dns.
const OURS: &str = "app.kubernetes.io/name in (certwright,certwright-dns)";
/// How many lines of a log are collected, and how many bytes.
const LOG_LINES: i64 = 50_000;
const LOG_BYTES: i64 = 32 << 20;
/// The port of health, metrics and version, if the pod does not name it.
const METRICS_PORT: i32 = 8080;
/// Metrics of single Certificates; these are in the bundle themselves.
const OF_CERTIFICATES: &str = "certwright_certificate_";

/// Adds what there is in the operator's namespace.
pub(super) async fn collect(cluster: &Cluster, namespace: &str, since: SignedDuration, bundle: &mut Bundle) {
    objects(cluster, namespace, bundle).await;
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), namespace);
    let found = match pods.list(&ListParams::default().labels(OURS)).await {
        Ok(found) => found.items,
        Err(error) => {
            bundle.lacks(&format!("pods in namespace {namespace}"), &error);
            Vec::new()
        }
    };
    if found.is_empty() {
        bundle.missing.push(format!(
            "the operator's log and metrics: no pods with {OURS} in namespace {namespace}; set --operator-namespace"
        ));
    }
    let mut versions = versions(cluster).await;
    let mut acme = String::new();
    for pod in &found {
        logs(&pods, pod, since, &mut acme, bundle).await;
        let name = pod.name_any();
        if let Some(metrics) = proxied(cluster, namespace, pod, "metrics", bundle).await {
            let kept = metrics.lines().filter(|line| !line.contains(OF_CERTIFICATES));
            let text = kept.map(|line| format!("{line}\n")).collect();
            bundle.files.push(File::new(format!("operator/{name}.metrics"), text));
        }
        let says = proxied(cluster, namespace, pod, "version", bundle).await.unwrap_or_default();
        let images = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        for container in images {
            versions.push_str(&format!(
                "{name}: {} {} {}\n",
                container.image,
                container.image_id,
                says.trim()
            ));
        }
    }
    bundle.files.push(File::new("operator/versions.txt", versions));
    if !acme.is_empty() {
        bundle.files.push(File::new("operator/acme.log", acme));
    }
}

async fn objects(cluster: &Cluster, namespace: &str, bundle: &mut Bundle) {
    let kinds = [
        (ApiResource::erase::<Deployment>(&()), Some(OURS)),
        (ApiResource::erase::<Pod>(&()), Some(OURS)),
        (ApiResource::erase::<Lease>(&()), None),
    ];
    for (resource, labels) in kinds {
        match list(cluster, &resource, Some(namespace), labels).await {
            Err(error) => bundle.lacks(&format!("{} in namespace {namespace}", resource.plural), &error),
            Ok((found, _)) => {
                for object in found {
                    let name = name_of(&object);
                    let name = name.rsplit('/').next().unwrap_or_default();
                    let path = format!("operator/{name}.{}.yaml", resource.kind.to_lowercase());
                    bundle.files.extend(yaml(path, object).ok());
                }
            }
        }
    }
}

async fn versions(cluster: &Cluster) -> String {
    let kubernetes = match cluster.client.apiserver_version().await {
        Ok(version) => version.git_version,
        Err(error) => words(&error),
    };
    format!("this program: {}\nKubernetes: {kubernetes}\n", env!("CARGO_PKG_VERSION"))
}

/// Adds the logs of all containers of a pod, also those before the last restart.
async fn logs(pods: &Api<Pod>, pod: &Pod, since: SignedDuration, acme: &mut String, bundle: &mut Bundle) {
    let name = pod.name_any();
    let restarts = |container: &str| {
        let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.any(|status| status.name == container && status.restart_count > 0)
    };
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        let container = &container.name;
        for previous in [true, false].into_iter().filter(|previous| !previous || restarts(container)) {
            let parameters = LogParams {
                container: Some(container.clone()),
                previous,
                since_seconds: Some(since.as_secs()),
                tail_lines: Some(LOG_LINES),
                limit_bytes: Some(LOG_BYTES),
                ..LogParams::default()
            };
            let path = format!("operator/{name}.{container}{}.log", if previous { ".previous" } else { "" });
            match pods.logs(&name, &parameters).await {
                Ok(text) => {
                    acme.push_str(&exchanges(&text));
                    bundle.files.push(File::new(path, text));
                }
                Err(error) => bundle.lacks(&path, &error),
            }
        }
    }
}

/// The lines of a log about exchanges with CAs.
fn exchanges(log: &str) -> String {
    log.lines().filter(|line| line.contains(acme_log::MESSAGE)).map(|line| format!("{line}\n")).collect()
}

/// What a pod answers on its port for metrics.
async fn proxied(
    cluster: &Cluster,
    namespace: &str,
    pod: &Pod,
    path: &str,
    bundle: &mut Bundle,
) -> Option<String> {
    let name = pod.name_any();
    let mut ports =
        pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|one| one.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some("metrics"));
    let port = port.map_or(METRICS_PORT, |port| port.container_port);
    let url = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/{path}");
    let request = http::Request::get(url).body(Vec::new()).ok()?;
    match cluster.client.request_text(request).await {
        Ok(text) => Some(text),
        Err(error) => {
            bundle.lacks(&format!("/{path} of pod {name}"), &error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchanges_with_cas_are_the_log_lines_that_say_so() {
        let log = "{\"message\":\"issued\"}\n{\"message\":\"ACME exchange\",\"status\":201}\n INFO ACME exchange status=200\n";
        assert_eq!(
            exchanges(log),
            "{\"message\":\"ACME exchange\",\"status\":201}\n INFO ACME exchange status=200\n"
        );
    }
}

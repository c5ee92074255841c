//! The API server, Certwright's kinds, and the operator.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::Finding;
use crate::command::Cluster;
use crate::command::error::words;
use crate::command::output::{away, length};
use crate::command::shards::Shard;
use crate::command::version::{image, tag};
use certwright_runtime::clock;

/// The first minor version that has all functions used in the validation rules of Certwright's CRDs.
const OLDEST_MINOR: u32 = 30;
const APPLY_CRDS: &str = "Apply them: certwright crds | kubectl apply --server-side --force-conflicts -f -";

/// Does the API server answer, and is it new enough?
pub(super) async fn api_server(cluster: &Cluster) -> Vec<Finding> {
    let version = match cluster.client.apiserver_version().await {
        Ok(version) => version,
        Err(error) => {
            let advice = "Check the context, the kubeconfig, and the connection to the API server.";
            return vec![Finding::fail(format!("the API server does not answer: {}", words(&error)), advice)];
        }
    };
    let minor: u32 = version.minor.trim_end_matches('+').parse().unwrap_or(OLDEST_MINOR);
    let shown = format!("Kubernetes {}.{}", version.major, version.minor);
    vec![match minor >= OLDEST_MINOR {
        true => Finding::ok(shown),
        false => Finding::fail(shown, format!("Certwright needs Kubernetes 1.{OLDEST_MINOR} or newer.")),
    }]
}

/// Are Certwright's kinds installed, in the version of this program?
pub(super) async fn definitions(cluster: &Cluster) -> Vec<Finding> {
    let installed = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    let mut findings = Vec::new();
    for ours in certwright_api::crds() {
        let name = ours.name_any();
        findings.push(match installed.get(&name).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Finding::fail(format!("CustomResourceDefinition {name} is not installed"), APPLY_CRDS)
            }
            Err(error) => return served(cluster, &words(&error)).await,
            Ok(theirs) => compared(&name, &ours, &theirs),
        });
    }
    findings
}

/// For users who may not read the definitions: are the kinds at least served?
async fn served(cluster: &Cluster, why: &str) -> Vec<Finding> {
    let group = format!("{}/{}", certwright_api::GROUP, certwright_api::VERSION);
    let resources = cluster.client.list_api_group_resources(&group).await;
    let served: Vec<String> = resources
        .map(|list| list.resources.into_iter().map(|resource| resource.name).collect())
        .unwrap_or_default();
    let lacking = certwright_api::crds()
        .into_iter()
        .map(|crd| crd.spec.names.plural)
        .find(|plural| !served.contains(plural));
    vec![match lacking {
        Some(plural) => {
            Finding::fail(format!("the API server does not serve {plural} of {group}"), APPLY_CRDS)
        }
        None => Finding::warn(
            format!(
                "the API server serves all kinds of {group}, but their definitions cannot be read: {why}"
            ),
            "Ask somebody who may read CustomResourceDefinitions to check their version.",
        ),
    }]
}

fn compared(name: &str, ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Finding {
    let conditions =
        theirs.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if !conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
        return Finding::fail(
            format!("CustomResourceDefinition {name} is not established"),
            format!("See: kubectl describe crd {name}"),
        );
    }
    let schema = |crd: &CustomResourceDefinition| {
        let version = crd.spec.versions.iter().find(|version| version.name == certwright_api::VERSION);
        version.and_then(|version| serde_json::to_value(&version.schema).ok()).unwrap_or_default()
    };
    match difference(&schema(ours), &schema(theirs), "") {
        None => Finding::ok(format!(
            "CustomResourceDefinition {name} matches version {}",
            env!("CARGO_PKG_VERSION")
        )),
        Some(place) => Finding::fail(
            format!(
                "CustomResourceDefinition {name} does not match version {} of this program: it differs at {place}",
                env!("CARGO_PKG_VERSION")
            ),
            format!(
                "Fields of a spec that it lacks are silently dropped, and the operator fails to write fields of a status that it \
                 lacks. If the operator also has this version: {APPLY_CRDS}"
            ),
        ),
    }
}

/// Where `theirs` first differs from `ours`. Ignores what an API server fills in.
fn difference(ours: &Value, theirs: &Value, place: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let fields = place.ends_with("properties");
            let surplus = theirs.keys().find(|key| fields && !ours.contains_key(*key));
            let lacking = ours.iter().find_map(|(key, value)| {
                let place = format!("{place}.{key}");
                theirs.get(key).map_or(Some(place.clone()), |theirs| difference(value, theirs, &place))
            });
            lacking.or(surplus.map(|key| format!("{place}.{key}")))
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).find_map(|(ours, theirs)| difference(ours, theirs, place))
        }
        (ours, theirs) if ours == theirs || ours.as_f64().is_some_and(|one| theirs.as_f64() == Some(one)) => {
            None
        }
        _ => Some(place.to_owned()),
    }
    .map(|place| place.trim_start_matches(".openAPIV3Schema.").to_owned())
}

/// The Deployment of the operator, if it can be read.
pub(super) struct Operator {
    found: Result<Vec<Deployment>, String>,
    namespace: String,
}

impl Operator {
    /// Looks for the Deployment.
    pub(super) async fn find(cluster: &Cluster, namespace: &str) -> Self {
        let parameters = ListParams::default().labels("app.kubernetes.io/name=certwright");
        let found = Api::<Deployment>::namespaced(cluster.client.clone(), namespace).list(&parameters).await;
        let found = found.map(|found| found.items).map_err(|error| words(&error));
        Self { found, namespace: namespace.to_owned() }
    }

    fn deployment(&self) -> Option<&Deployment> {
        self.found.as_ref().ok()?.first()
    }

    /// Its service account.
    pub(super) fn service_account(&self) -> String {
        let name = || self.deployment()?.spec.as_ref()?.template.spec.as_ref()?.service_account_name.clone();
        name().unwrap_or_else(|| "certwright".to_owned())
    }

    /// Whether the Deployment was found.
    pub(super) fn is_known(&self) -> bool {
        self.deployment().is_some()
    }

    /// The value of a flag in the Deployment.
    pub(super) fn setting(&self, flag: &str, variable: &str) -> Option<String> {
        let pod = self.deployment()?.spec.as_ref()?.template.spec.as_ref()?;
        let container = pod.containers.first()?;
        let arguments = container.args.iter().flatten();
        let flag = format!("{flag}=");
        let given = arguments.filter_map(|argument| argument.strip_prefix(&flag)).next_back();
        let variables = container.env.iter().flatten();
        let set = || variables.filter(|one| one.name == variable).find_map(|one| one.value.clone());
        given.map(str::to_owned).or_else(set)
    }

    /// Are all replicas ready, and do they have this version?
    pub(super) fn findings(&self) -> Vec<Finding> {
        let namespace = &self.namespace;
        let deployments = match &self.found {
            Err(words) => {
                let advice = "Ask somebody who may list Deployments there to run the check, or set --operator-namespace.";
                return vec![Finding::warn(
                    format!("the operator's Deployment cannot be read: {words}"),
                    advice,
                )];
            }
            Ok(found) if found.is_empty() => {
                let words = format!("there is no Deployment of the operator in namespace {namespace}");
                let advice = "Install the operator, or set --operator-namespace to its namespace.";
                return vec![Finding::warn(words, advice)];
            }
            Ok(found) => found,
        };
        deployments.iter().flat_map(|deployment| self.of_deployment(deployment)).collect()
    }

    fn of_deployment(&self, deployment: &Deployment) -> Vec<Finding> {
        let namespace = &self.namespace;
        let name = deployment.name_any();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        let words = format!("Deployment {namespace}/{name} has {ready} of {wanted} replicas ready");
        let advice =
            format!("See: kubectl describe pods -n {namespace} -l app.kubernetes.io/name=certwright");
        let replicas = match ready {
            0 => Finding::fail(words, advice),
            some if some < wanted => Finding::warn(words, advice),
            _ => Finding::ok(words),
        };
        [replicas].into_iter().chain(version(deployment)).collect()
    }
}

fn version(deployment: &Deployment) -> Option<Finding> {
    let image = image(deployment)?;
    let tag = tag(image)?;
    let ours = env!("CARGO_PKG_VERSION");
    (tag.trim_start_matches('v') != ours).then(|| {
        let words = format!("the operator's image is {image}, but this program has version {ours}");
        Finding::warn(
            words,
            "Use the version of the operator: this program compares the cluster with its own version.",
        )
    })
}

/// Is there a leader, of each shard if there are any?
pub(super) async fn leases(
    cluster: &Cluster,
    namespace: &str,
    name: Option<&str>,
    shards: &[Shard],
    operator: &Operator,
) -> Vec<Finding> {
    if name.is_some() || shards.is_empty() {
        return lease(cluster, namespace, name.unwrap_or("certwright"), operator).await;
    }
    let mut findings = Vec::new();
    for shard in shards {
        let of_shard = lease(cluster, namespace, &shard.lease, operator).await;
        findings.extend(of_shard.into_iter().map(|finding| Finding {
            words: format!("Lease {} ({}): {}", shard.lease, shard.selector, finding.words),
            ..finding
        }));
    }
    findings
}

async fn lease(cluster: &Cluster, namespace: &str, name: &str, operator: &Operator) -> Vec<Finding> {
    if operator.setting("--leader-elect", "CERTWRIGHT_LEADER_ELECT").as_deref() == Some("false") {
        return vec![Finding::ok("the operator runs without a Lease (--leader-elect=false)")];
    }
    let found = Api::<Lease>::namespaced(cluster.client.clone(), namespace).get_opt(name).await;
    vec![match found {
        Err(error) => Finding::warn(
            format!("Lease {namespace}/{name} cannot be read: {}", words(&error)),
            "Ask somebody who may read Leases there to run the check.",
        ),
        Ok(None) => Finding::fail(
            format!("there is no Lease {namespace}/{name}: no operator has become the leader there yet"),
            "Start the operator, or set --operator-namespace and --lease-name.",
        ),
        Ok(Some(lease)) => leads(&lease, namespace, clock::now()),
    }]
}

fn leads(lease: &Lease, namespace: &str, now: Timestamp) -> Finding {
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let renewed = spec.renew_time.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let lasts = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds.unwrap_or(15)));
    let logs =
        format!("See the operator's log: kubectl logs -n {namespace} -l app.kubernetes.io/name=certwright");
    match holder {
        None => Finding::fail("there is no leader: the Lease was released", logs),
        Some(holder) if now.duration_since(renewed) > lasts => {
            let words = format!("there is no leader: {holder} last renewed the Lease {}", away(renewed, now));
            Finding::fail(words, logs)
        }
        Some(holder) => {
            let ago = length(now.duration_since(renewed).max(SignedDuration::ZERO));
            Finding::ok(format!("{holder} is the leader, and renewed its Lease {ago} ago"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_and_additional_fields_are_differences_but_not_what_an_api_server_fills_in() {
        let ours =
            json!({ "openAPIV3Schema": { "properties": { "spec": { "type": "object", "minimum": 1 } } } });
        let mut theirs = ours.clone();
        theirs["openAPIV3Schema"]["properties"]["spec"] =
            json!({ "type": "object", "minimum": 1.0, "x-kubernetes-filled-in": true });
        assert_eq!(difference(&ours, &theirs, ""), None);
        assert_eq!(difference(&theirs, &ours, "").as_deref(), Some("properties.spec.x-kubernetes-filled-in"));
        theirs["openAPIV3Schema"]["properties"]["more"] = json!({});
        assert_eq!(difference(&ours, &theirs, "").as_deref(), Some("properties.more"));
        assert_eq!(difference(&theirs, &ours, "").as_deref(), Some("properties.more"));
    }

    #[test]
    fn a_replica_that_has_not_renewed_the_lease_in_time_is_not_the_leader() {
        let lease: Lease = serde_json::from_value(json!({
            "spec": { "holderIdentity": "pod-1", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15 },
        }))
        .unwrap();
        let at = |time: &str| leads(&lease, "ns", time.parse().unwrap());
        assert_eq!(
            at("2026-01-01T00:00:05Z"),
            Finding::ok("pod-1 is the leader, and renewed its Lease 5s ago")
        );
        assert_eq!(at("2026-01-01T00:01:00Z").level, super::super::Level::Fail);
    }
}

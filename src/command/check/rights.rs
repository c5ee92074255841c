//! The operator's permissions, compared with the roles that it ships with, and the user's permissions.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::PostParams;
use serde::Deserialize;

use super::Finding;
use super::install::Operator;
use crate::command::Cluster;
use crate::command::error::words;
use certwright_api::GROUP;

/// The roles that the operator ships with.
const ROLES: &str = include_str!("../../../deploy/base/rbac.yaml");
/// The role for `--certificate-signing-requests`.
const SIGNING_ROLES: &str = include_str!("../../../deploy/certificate-signing-requests/rbac.yaml");
/// The maximum number of concurrent requests.
const AT_ONCE: usize = 8;

/// Does the operator have all permissions that it needs?
pub(super) async fn of_operator(cluster: &Cluster, own_namespace: &str, operator: &Operator) -> Vec<Finding> {
    let account = operator.service_account();
    let watched = operator.setting("--watch-namespaces", "CERTWRIGHT_WATCH_NAMESPACES").unwrap_or_default();
    let watched: Vec<&str> = watched.split(',').filter(|name| !name.is_empty()).collect();
    let cluster_issuers =
        operator.setting("--cluster-issuers", "CERTWRIGHT_CLUSTER_ISSUERS").as_deref() != Some("false");
    let mut rights = needed(own_namespace, &watched, cluster_issuers);
    let signs = operator.setting("--certificate-signing-requests", "CERTWRIGHT_CERTIFICATE_SIGNING_REQUESTS");
    if signs.as_deref() == Some("true") {
        rights.extend(needed_to_sign());
    }
    let user = format!("system:serviceaccount:{own_namespace}:{account}");
    let groups = [
        "system:serviceaccounts",
        &format!("system:serviceaccounts:{own_namespace}"),
        "system:authenticated",
    ];
    let ask = |right: ResourceAttributes| {
        let (user, groups) = (user.clone(), groups.map(str::to_owned).to_vec());
        async move {
            let spec = SubjectAccessReviewSpec {
                user: Some(user),
                groups: Some(groups),
                resource_attributes: Some(right.clone()),
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let api = Api::<SubjectAccessReview>::all(cluster.client.clone());
            let answer = api.create(&PostParams::default(), &review).await;
            answer.map(|answer| (right, answer.status.is_some_and(|status| status.allowed)))
        }
    };
    let answers: Result<Vec<_>, _> =
        stream::iter(rights).map(ask).buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect();
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            let words = format!(
                "the permissions of service account {own_namespace}/{account} cannot be checked: {}",
                words(&error)
            );
            return vec![Finding::warn(
                words,
                "Ask somebody who may create SubjectAccessReviews to run the check.",
            )];
        }
    };
    let lacking: BTreeSet<String> =
        answers.iter().filter(|(_, may)| !may).map(|(right, _)| shown(right)).collect();
    if lacking.is_empty() {
        let words = format!(
            "service account {own_namespace}/{account} has all permissions it needs ({})",
            answers.len()
        );
        return vec![Finding::ok(words)];
    }
    if !operator.is_known() && answers.iter().all(|(_, may)| !may) {
        let words = format!(
            "the operator's service account is not known; {own_namespace}/{account} has no permissions"
        );
        return vec![Finding::warn(words, "Set --operator-namespace to the operator's namespace.")];
    }
    let lacking = Vec::from_iter(lacking).join(", ");
    vec![Finding::fail(
        format!("service account {own_namespace}/{account} may not {lacking}"),
        "Apply the roles of this version: those in deploy, or those of the chart.",
    )]
}

/// All permissions in the roles that the operator ships with.
fn needed(own_namespace: &str, watched: &[&str], cluster_issuers: bool) -> Vec<ResourceAttributes> {
    let mut rights = Vec::new();
    for (kind, rules) in roles(ROLES) {
        let namespaces: Vec<Option<&str>> = match kind.as_str() {
            "ClusterRole" if watched.is_empty() => vec![None],
            "ClusterRole" => watched.iter().copied().map(Some).collect(),
            "Role" => vec![Some(own_namespace)],
            _ => continue,
        };
        for rule in rules {
            for (group, resource, verb) in each(&rule) {
                let is_clusters = resource.starts_with("clusterissuers");
                if is_clusters && !cluster_issuers {
                    continue;
                }
                let of = |namespace: Option<&str>| attributes(namespace, &group, &resource, &verb);
                match is_clusters {
                    true => rights.push(of(None)),
                    false => rights.extend(namespaces.iter().copied().map(of)),
                }
            }
        }
    }
    rights
}

/// The additional permissions for CertificateSigningRequests, which are in no namespace.
fn needed_to_sign() -> Vec<ResourceAttributes> {
    let mut rights = Vec::new();
    for rule in roles(SIGNING_ROLES).into_iter().flat_map(|(_, rules)| rules) {
        let names: Vec<Option<&String>> = match rule.resource_names.as_deref() {
            Some(names) => names.iter().map(Some).collect(),
            None => vec![None],
        };
        for (group, resource, verb) in each(&rule) {
            rights.extend(names.iter().map(|name| ResourceAttributes {
                name: name.cloned(),
                ..attributes(None, &group, &resource, &verb)
            }));
        }
    }
    rights
}

/// The kinds and rules of the roles in a YAML stream. The rules of a Role have the same form as those of a ClusterRole.
fn roles(yaml: &str) -> Vec<(String, Vec<PolicyRule>)> {
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let roles = documents.filter_map(|document| {
        let value = serde_json::Value::deserialize(document).ok()?;
        let rules = serde_json::json!({ "rules": value["rules"] });
        let role = serde_json::from_value::<ClusterRole>(rules).ok()?;
        Some((value["kind"].as_str()?.to_owned(), role.rules.unwrap_or_default()))
    });
    roles.collect()
}

/// Each combination of group, resource and verb of a rule.
fn each(rule: &PolicyRule) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            all.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
        }
    }
    all
}

fn attributes(namespace: Option<&str>, group: &str, resource: &str, verb: &str) -> ResourceAttributes {
    let (resource, subresource) =
        resource.split_once('/').map_or((resource, None), |(resource, sub)| (resource, Some(sub.to_owned())));
    ResourceAttributes {
        group: Some(group.to_owned()),
        namespace: namespace.map(str::to_owned),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    }
}

fn shown(right: &ResourceAttributes) -> String {
    let resource = right.resource.as_deref().unwrap_or_default();
    let sub = right.subresource.as_ref().map_or(String::new(), |sub| format!("/{sub}"));
    let group = right.group.as_ref().filter(|group| !group.is_empty());
    let group = group.map_or(String::new(), |group| format!(".{group}"));
    let place = right.namespace.as_ref().map_or(String::new(), |namespace| format!(" in {namespace}"));
    let name = right.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
    format!("{} {resource}{group}{sub}{name}{place}", right.verb.as_deref().unwrap_or_default())
}

/// The resources, the commands that use them, and the verbs that these need.
const OF_COMMANDS: [(&str, &str, &[&str]); 3] = [
    ("certificates", "status, list, renew and revoke", &["get", "list", "watch", "patch"]),
    ("issuers", "status, rollover and deactivate", &["get", "list", "watch", "patch"]),
    ("clusterissuers", "status, rollover and deactivate", &["get", "list", "watch", "patch"]),
];

/// What may the user do?
pub(super) async fn of_user(cluster: &Cluster, namespace: Option<&str>) -> Vec<Finding> {
    let api = Api::<SelfSubjectAccessReview>::all(cluster.client.clone());
    let mut findings = Vec::new();
    for (resource, commands, verbs) in OF_COMMANDS {
        let mut lacking = Vec::new();
        for verb in verbs {
            let namespace = namespace.filter(|_| resource != "clusterissuers");
            let right = attributes(namespace, GROUP, resource, verb);
            let spec = SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right),
                ..SelfSubjectAccessReviewSpec::default()
            };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            let answer = api.create(&PostParams::default(), &review).await;
            if !answer.is_ok_and(|answer| answer.status.is_some_and(|status| status.allowed)) {
                lacking.push(*verb);
            }
        }
        let place = namespace
            .filter(|_| resource != "clusterissuers")
            .map_or(String::new(), |name| format!(" in {name}"));
        findings.push(match lacking.as_slice() {
            [] => Finding::ok(format!("you may {} {resource}{place}", verbs.join(", "))),
            lacking => Finding::warn(
                format!("you may not {} {resource}{place}", lacking.join(", ")),
                format!("Without these permissions, some commands do not work, or only in part: {commands}."),
            ),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_the_roles_in_the_watched_namespaces() {
        let shown = |watched: &[&str], cluster_issuers| {
            needed("own", watched, cluster_issuers).iter().map(shown).collect::<BTreeSet<_>>()
        };
        let everywhere = shown(&[], true);
        for right in [
            "list certificates.certwright.dev",
            "patch clusterissuers.certwright.dev/status",
            "get secrets",
            "update leases.coordination.k8s.io in own",
        ] {
            assert!(everywhere.contains(right), "{right}: {everywhere:#?}");
        }
        let to_sign: BTreeSet<_> = needed_to_sign().iter().map(super::shown).collect();
        for right in [
            "patch certificatesigningrequests.certificates.k8s.io/status",
            "sign signers.certificates.k8s.io issuers.certwright.dev/*",
            "sign signers.certificates.k8s.io clusterissuers.certwright.dev/*",
        ] {
            assert!(to_sign.contains(right), "{right}: {to_sign:#?}");
        }
        let some = shown(&["a", "b"], false);
        assert!(some.contains("get secrets in a") && some.contains("get secrets in b"), "{some:#?}");
        assert!(
            !some.iter().any(|right| right.contains("clusterissuers") || right == "get secrets"),
            "{some:#?}"
        );
    }
}

//! The HTTPRoutes that route a CA's request through a Gateway to the operator's pods, and their status.
//!
//! Like the Ingress, they are rendered without a client, and the same input renders the same bytes. They point to the same
//! Service. In an HTTPRoute, all paths apply to all hostnames. This discloses nothing, because tokens cannot be guessed and are
//! answered only for their own names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::challenge_path;
use super::objects::PresentedChallenge;
use super::ownership::{Backend, Http01Shard, NameDigest, certificate_labels, certificate_owner};
use certwright_api::{ParentReference, RouteParentStatus, RouteStatus, ServiceType};

mod acceptance;
#[cfg(test)]
mod tests;

pub use acceptance::{Acceptance, Route, acceptance};

/// Limits of the API (v1.7.0): `spec.hostnames`, and `matches` of a rule.
const MAX_HOSTNAMES: usize = 16;
const MAX_MATCHES: usize = 64;

/// What all temporary routes of one Certificate through one solver have in common.
#[derive(Clone, Debug)]
pub struct RouteTemplate {
    /// The Certificate's namespace.
    pub namespace: String,
    /// The Certificate's name.
    pub certificate_name: String,
    /// The Certificate's `metadata.uid`.
    pub certificate_uid: String,
    /// The solver's `parentRefs`.
    pub parent_refs: Vec<ParentReference>,
    /// The solver's `labels`, added to ours; ours take precedence.
    pub labels: BTreeMap<String, String>,
    /// The solver's `serviceType`.
    pub service_type: ServiceType,
    /// The shard that presents.
    pub shard: Http01Shard,
}

impl RouteTemplate {
    /// A name that begins with `prefix`: the same for the same Certificate, solver and backend, regardless of the challenges.
    pub(crate) fn name(&self, prefix: &str, backend: Backend) -> String {
        let mut digest = NameDigest::of_certificate(&self.certificate_uid, &self.certificate_name);
        digest.add_parents(&self.parent_refs);
        digest.add_map(&self.labels);
        digest.add(&self.shard.service_name(backend));
        digest.name(prefix)
    }

    /// The metadata of the route with this name.
    pub(crate) fn metadata(&self, name: String) -> ObjectMeta {
        let labels = certificate_labels(&self.labels, &self.certificate_uid, &self.shard);
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![certificate_owner(&self.certificate_name, &self.certificate_uid)]),
            ..ObjectMeta::default()
        }
    }

    /// The Service behind the route.
    pub(crate) fn backend(&self, backend: Backend) -> BackendReference {
        BackendReference { name: self.shard.service_name(backend), port: Some(backend.port()) }
    }
}

/// A `gateway.networking.k8s.io/v1` HTTPRoute, with the fields used here.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    root = "HttpRoute",
    namespaced,
    status = "RouteStatus",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    doc = "An HTTPRoute, with the fields used here."
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The Gateways to attach to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// The host names it applies to; empty for all that the Gateways listen for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The routing rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HttpRouteRule>,
}

/// Requests that match one of `matches` are sent to `backend_refs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// The conditions for requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpRouteMatch>,
    /// The backends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendReference>,
}

/// A condition for requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpRouteMatch {
    /// The condition on the path. If it is missing, the API server sets the prefix `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathMatch>,
}

/// A condition on a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpPathMatch {
    /// `Exact`, `PathPrefix` or `RegularExpression`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The path.
    pub value: String,
}

/// A Service to send requests to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackendReference {
    /// The Service's name, in the route's namespace.
    pub name: String,
    /// The Service's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Route for HttpRoute {
    fn parent_refs(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn parents(&self) -> &[RouteParentStatus] {
        self.status.as_ref().map(|status| status.parents.as_slice()).unwrap_or_default()
    }
}

/// The name of the first of [`routes`]. The names of further routes begin with it.
fn route_name(template: &RouteTemplate) -> String {
    template.name("certwright-http01", Backend::Http01(template.service_type))
}

/// The HTTPRoutes that route all of a Certificate's challenge paths to the shared Service: one for each 16 names, the maximum
/// for an HTTPRoute, and one without host names for IP addresses, which are not permitted as host names.
///
/// A route that was rendered for more challenges than there are now may no longer be rendered. It can stay until all of the
/// Certificate's routes are removed.
pub fn routes(template: &RouteTemplate, challenges: &[PresentedChallenge]) -> Vec<HttpRoute> {
    let base = route_name(template);
    let (addresses, names): (Vec<_>, Vec<_>) =
        challenges.iter().partition(|challenge| challenge.identifier.parse::<IpAddr>().is_ok());
    let named = |prefix: String, parts: Vec<Part>| {
        parts.into_iter().enumerate().map(move |(index, part)| match index {
            0 => (prefix.clone(), part),
            _ => (format!("{prefix}-{}", index + 1), part),
        })
    };
    let for_names =
        named(base.clone(), parts(names, |challenge| Some(challenge.identifier.to_ascii_lowercase())));
    let for_addresses = named(format!("{base}-ip"), parts(addresses, |_| None));
    for_names.chain(for_addresses).map(|(name, part)| route(template, name, part)).collect()
}

/// The contents of one HTTPRoute.
#[derive(Default)]
struct Part {
    hostnames: BTreeSet<String>,
    tokens: BTreeSet<String>,
}

/// Splits challenges into parts that fit into one HTTPRoute, sorted by name and token.
fn parts(
    challenges: Vec<&PresentedChallenge>,
    hostname: impl Fn(&PresentedChallenge) -> Option<String>,
) -> Vec<Part> {
    let sorted: BTreeSet<(Option<String>, &str)> =
        challenges.into_iter().map(|challenge| (hostname(challenge), challenge.token.as_str())).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (hostname, token) in sorted {
        let fits = |part: &Part| {
            let known = hostname.as_ref().is_none_or(|name| part.hostnames.contains(name));
            (known || part.hostnames.len() < MAX_HOSTNAMES)
                && (part.tokens.contains(token) || part.tokens.len() < MAX_MATCHES)
        };
        if !parts.last().is_some_and(fits) {
            parts.push(Part::default());
        }
        if let Some(part) = parts.last_mut() {
            part.hostnames.extend(hostname);
            part.tokens.insert(token.to_owned());
        }
    }
    parts
}

fn route(template: &RouteTemplate, name: String, part: Part) -> HttpRoute {
    HttpRoute {
        metadata: template.metadata(name),
        spec: HttpRouteSpec {
            parent_refs: template.parent_refs.clone(),
            hostnames: part.hostnames.into_iter().collect(),
            rules: vec![HttpRouteRule {
                matches: part.tokens.iter().map(|token| exactly(challenge_path(token))).collect(),
                backend_refs: vec![template.backend(Backend::Http01(template.service_type))],
            }],
        },
        status: None,
    }
}

fn exactly(path: String) -> HttpRouteMatch {
    HttpRouteMatch { path: Some(HttpPathMatch { type_: "Exact".into(), value: path }) }
}

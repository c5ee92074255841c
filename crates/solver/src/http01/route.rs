//! The HTTPRoutes that route a CA's request through a Gateway to the operator's pods, and their status.
//!
//! Like the Ingress, they are rendered without a client, and the same input renders the same bytes. They point to the same
//! Service. In an HTTPRoute, all paths apply to all hostnames. This discloses nothing, because tokens cannot be guessed and are
//! answered only for their own names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::challenge_path;
use super::objects::PresentedChallenge;
use super::ownership::{Backend, Http01Shard, NameDigest, certificate_labels, certificate_owner};
use certwright_api::{ParentReference, ServiceType};

mod acceptance;
#[cfg(test)]
mod tests;

pub use acceptance::{Acceptance, Route, acceptance};

/// Limits of the API (v1.7.0): `spec.hostnames`, and `matches` of a rule.
const MAX_HOSTNAMES: usize = 16;
const MAX_MATCHES: usize = 64;

/// What is presented for one Certificate through one solver.
#[derive(Clone, Debug)]
pub struct RoutePresentation {
    /// The Certificate's namespace.
    pub namespace: String,
    /// The Certificate's name.
    pub certificate_name: String,
    /// The Certificate's `metadata.uid`.
    pub certificate_uid: String,
    /// The challenges that are being validated, in any order.
    pub challenges: Vec<PresentedChallenge>,
    /// The solver's `http01.gatewayHTTPRoute.parentRefs`.
    pub parent_refs: Vec<ParentReference>,
    /// The solver's `http01.gatewayHTTPRoute.labels`, added to ours; ours take precedence.
    pub labels: BTreeMap<String, String>,
    /// The solver's `http01.gatewayHTTPRoute.serviceType`.
    pub service_type: ServiceType,
    /// The shard that presents.
    pub shard: Http01Shard,
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

/// The status of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// The status for each parent, written by its controller.
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}

/// The status of a route for one parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parent, as in the route's `spec.parentRefs`.
    pub parent_ref: ParentReference,
    /// The controller that wrote this entry.
    #[serde(default)]
    pub controller_name: String,
    /// `Accepted`, `ResolvedRefs` and others.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

impl Route for HttpRoute {
    fn parent_refs(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn parents(&self) -> &[RouteParentStatus] {
        self.status.as_ref().map(|status| status.parents.as_slice()).unwrap_or_default()
    }
}

/// The name of the first of [`routes`]: the same for the same Certificate and solver, regardless of the challenges. The names
/// of further routes begin with it.
fn route_name(presentation: &RoutePresentation) -> String {
    let mut digest =
        NameDigest::of_certificate(&presentation.certificate_uid, &presentation.certificate_name);
    digest.add_parents(&presentation.parent_refs);
    digest.add_map(&presentation.labels);
    digest.add(&presentation.shard.service_name(Backend::Http01(presentation.service_type)));
    digest.name("certwright-http01")
}

/// The HTTPRoutes that route all of a Certificate's challenge paths to the shared Service: one for each 16 names, the maximum
/// for an HTTPRoute, and one without host names for IP addresses, which are not permitted as host names.
///
/// A route that was rendered for more challenges than there are now may no longer be rendered. It can stay until all of the
/// Certificate's routes are removed.
pub fn routes(presentation: &RoutePresentation) -> Vec<HttpRoute> {
    let base = route_name(presentation);
    let (addresses, names): (Vec<_>, Vec<_>) =
        presentation.challenges.iter().partition(|challenge| challenge.identifier.parse::<IpAddr>().is_ok());
    let named = |prefix: String, parts: Vec<Part>| {
        parts.into_iter().enumerate().map(move |(index, part)| match index {
            0 => (prefix.clone(), part),
            _ => (format!("{prefix}-{}", index + 1), part),
        })
    };
    let for_names =
        named(base.clone(), parts(names, |challenge| Some(challenge.identifier.to_ascii_lowercase())));
    let for_addresses = named(format!("{base}-ip"), parts(addresses, |_| None));
    for_names.chain(for_addresses).map(|(name, part)| route(presentation, name, part)).collect()
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

fn route(presentation: &RoutePresentation, name: String, part: Part) -> HttpRoute {
    let owner = certificate_owner(&presentation.certificate_name, &presentation.certificate_uid);
    HttpRoute {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(presentation.namespace.clone()),
            labels: Some(certificate_labels(
                &presentation.labels,
                &presentation.certificate_uid,
                &presentation.shard,
            )),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: HttpRouteSpec {
            parent_refs: presentation.parent_refs.clone(),
            hostnames: part.hostnames.into_iter().collect(),
            rules: vec![HttpRouteRule {
                matches: part.tokens.iter().map(|token| exactly(challenge_path(token))).collect(),
                backend_refs: vec![BackendReference {
                    name: presentation.shard.service_name(Backend::Http01(presentation.service_type)),
                    port: Some(Backend::Http01(presentation.service_type).port()),
                }],
            }],
        },
        status: None,
    }
}

fn exactly(path: String) -> HttpRouteMatch {
    HttpRouteMatch { path: Some(HttpPathMatch { type_: "Exact".into(), value: path }) }
}

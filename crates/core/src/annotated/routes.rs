//! Hostnames of HTTPRoutes, as names for the certificates of listeners that have no hostname, or a wildcard.
//!
//! Whoever can attach a route gets names into a certificate of the Gateway, so the Gateway must ask for it. A certificate is ordered
//! for all names at once, so names do not come and go with each route: see [`settled`].

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};

use super::object::{AnnotatedObject, Block};
use super::{Remark, is_made_from};
use crate::conditions::{condition, is_true};
use crate::reading::{Bounds, Readable};
use crate::spec::is_dns_name;
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, Certificate, GATEWAY_GROUP, ParentReference, RouteStatus,
    annotated_reason as reason,
};

/// The maximum number of names that routes add to a certificate.
pub const MAX_ROUTE_NAMES: usize = 100;

/// A `gateway.networking.k8s.io/v1` HTTPRoute.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    root = "NamedRoute",
    namespaced,
    status = "RouteStatus",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    doc = "An HTTPRoute, reduced to its hostnames and to where it is attached."
)]
#[serde(rename_all = "camelCase")]
pub struct NamedRouteSpec {
    /// What it asks to be attached to.
    #[serde(default)]
    pub parent_refs: Vec<ParentReference>,
    /// Its hostnames.
    #[serde(default)]
    pub hostnames: Vec<String>,
}

impl Readable for NamedRoute {
    const BOUNDS: Bounds = Bounds { metadata_only: false, spec: 128 << 10, only: None, text: usize::MAX };

    // One that cannot be read has no hostnames here. It is not ours, so nobody is told.
    fn concerns_us(&self) -> bool {
        false
    }

    fn reduce(&mut self, _also: &[String]) {
        let metadata = &mut self.metadata;
        *metadata = ObjectMeta {
            name: metadata.name.take(),
            namespace: metadata.namespace.take(),
            uid: metadata.uid.take(),
            resource_version: metadata.resource_version.take(),
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp.take(),
            deletion_timestamp: metadata.deletion_timestamp.take(),
            ..ObjectMeta::default()
        };
        let parents = self.status.iter_mut().flat_map(|status| &mut status.parents);
        for condition in parents.flat_map(|parent| &mut parent.conditions) {
            (condition.reason, condition.message) = Default::default();
        }
    }
}

/// The namespaces and names of the Gateways and ListenerSets that a route asks to be attached to, each with its kind.
pub fn parents(route: &NamedRoute) -> impl Iterator<Item = (&str, &str, &str)> {
    let own = route.metadata.namespace.as_deref().unwrap_or_default();
    route.spec.parent_refs.iter().filter(|parent| is_of_gateway_api(parent)).map(move |parent| {
        (kind_of(parent), parent.namespace.as_deref().unwrap_or(own), parent.name.as_str())
    })
}

/// Gives listeners without a hostname, and those with a wildcard, the hostnames of the routes that are attached to them.
/// `existing` is the Certificate with a name.
pub fn name_listeners<'a>(
    object: &mut AnnotatedObject,
    routes: impl Iterator<Item = &'a NamedRoute> + Clone,
    existing: impl Fn(&str) -> Option<Certificate>,
) {
    let (open, fixed): (Vec<Block>, Vec<Block>) =
        std::mem::take(&mut object.blocks).into_iter().partition(is_open);
    let secrets: BTreeSet<&str> =
        open.iter().flat_map(|block| &block.secrets).map(|secret| secret.name.as_str()).collect();
    let mut named = Vec::new();
    for secret in secrets {
        let names_it = |block: &&Block| block.secrets.iter().any(|named| named.name == secret);
        let open: Vec<&Block> = open.iter().filter(names_it).collect();
        let asked = asked(object, &open, routes.clone());
        let own: BTreeSet<&String> = fixed.iter().filter(names_it).flat_map(|block| &block.hosts).collect();
        let certificate = existing(secret).filter(|certificate| is_made_from(certificate, object));
        let hosts = match &certificate {
            Some(certificate) => settled(certificate, &own, &asked),
            None => asked.accepted.clone(),
        };
        let Some(first) = open.first() else { continue };
        if hosts.len() > MAX_ROUTE_NAMES {
            let note = format!(
                "{} has HTTPRoutes with {} hostnames, but a certificate takes {MAX_ROUTE_NAMES} of them: add listeners with other \
                 Secrets",
                first.path,
                hosts.len()
            );
            object.remarks.push(Remark { reason: reason::TLS_SKIPPED, note });
        }
        named.push(Block {
            hosts: hosts.into_iter().take(MAX_ROUTE_NAMES).collect(),
            secrets: first.secrets.iter().filter(|named| named.name == secret).cloned().collect(),
            of_routes: true,
            ..(*first).clone()
        });
    }
    // Those without a Secret are reported.
    named.extend(open.into_iter().filter(|block| block.secrets.is_empty()));
    object.blocks = fixed.into_iter().chain(named).collect();
}

/// Whether the names of a listener are those of its routes.
fn is_open(block: &Block) -> bool {
    block.listener.is_some() && block.hosts.iter().all(|host| host.starts_with("*."))
}

/// The names that routes ask for.
#[derive(Debug, Default)]
struct Asked {
    /// Those of routes that the Gateway has accepted, the oldest route first.
    accepted: Vec<String>,
    /// Those of all routes.
    all: BTreeSet<String>,
}

fn asked<'a>(
    object: &AnnotatedObject,
    listeners: &[&Block],
    routes: impl Iterator<Item = &'a NamedRoute>,
) -> Asked {
    let mut asked = Asked::default();
    let mut routes: Vec<&NamedRoute> =
        routes.filter(|route| route.metadata.deletion_timestamp.is_none()).collect();
    routes.sort_by_key(|route| {
        let created = route.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, route.namespace(), route.name_any())
    });
    for route in routes {
        for listener in listeners {
            let own = route.metadata.namespace.as_deref().unwrap_or_default();
            let means = |parent: &ParentReference| means(parent, own, object, listener);
            if !route.spec.parent_refs.iter().any(means) {
                continue;
            }
            let is_accepted = route.status.iter().flat_map(|status| &status.parents).any(|parent| {
                let accepted = parent.current("Accepted", route.metadata.generation);
                means(&parent.parent_ref) && accepted.is_some_and(|accepted| accepted.status == "True")
            });
            let hosts = route.spec.hostnames.iter().map(|host| host.to_ascii_lowercase());
            for host in
                hosts.filter(|host| is_dns_name(host) && !host.starts_with("*.") && is_within(host, listener))
            {
                if is_accepted && !asked.accepted.contains(&host) {
                    asked.accepted.push(host.clone());
                }
                asked.all.insert(host);
            }
        }
    }
    asked
}

/// The names for a certificate that exists; `own` are those that the spec lists. An order is for all names, so
///
/// - a name that no route asks for any more stays until there is another reason for an order, or the order with it fails;
/// - a route that is no longer accepted keeps its name;
/// - while there is an order, no name is added.
fn settled(certificate: &Certificate, own: &BTreeSet<&String>, asked: &Asked) -> Vec<String> {
    let conditions =
        certificate.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_issuing = is_true(conditions, CONDITION_ISSUING);
    let is_ready = is_true(conditions, CONDITION_READY);
    let has: Vec<String> =
        certificate.spec.dns_names.iter().filter(|name| !own.contains(name)).cloned().collect();
    let is_stale = has.iter().any(|name| !asked.all.contains(name));
    let is_short = asked.accepted.iter().any(|name| !has.contains(name));
    // What is being ordered, or could not be, is given up for a name that is gone, but not for another one.
    let is_due = if is_issuing || !is_ready { is_stale } else { is_short };
    let is_failed = !is_issuing && !is_ready && condition(conditions, CONDITION_ISSUING).is_some();
    let is_retried = is_failed && is_short;
    if !is_due && !is_retried {
        return has;
    }
    let mut names: Vec<String> = has.into_iter().filter(|name| asked.all.contains(name)).collect();
    let new: Vec<String> = asked.accepted.iter().filter(|name| !names.contains(name)).cloned().collect();
    names.extend(new);
    names
}

/// Whether a route in the namespace `own` means this listener.
fn means(parent: &ParentReference, own: &str, object: &AnnotatedObject, listener: &Block) -> bool {
    is_of_gateway_api(parent)
        && kind_of(parent) == object.kind.as_str()
        && parent.namespace.as_deref().unwrap_or(own) == object.namespace
        && parent.name == object.name
        && parent.section_name.as_ref().is_none_or(|section| Some(section) == listener.listener.as_ref())
        && parent.port.is_none_or(|port| Some(port) == listener.port)
}

fn is_of_gateway_api(parent: &ParentReference) -> bool {
    parent.group.as_deref().is_none_or(|group| group == GATEWAY_GROUP)
}

fn kind_of(parent: &ParentReference) -> &str {
    parent.kind.as_deref().unwrap_or("Gateway")
}

/// Whether a listener serves a host. Its wildcard stands for any number of labels.
fn is_within(host: &str, listener: &Block) -> bool {
    let below = |wildcard: &String| {
        let zone = wildcard.trim_start_matches('*').to_ascii_lowercase();
        host.strip_suffix(&zone).is_some_and(|label| !label.is_empty())
    };
    listener.hosts.is_empty() || listener.hosts.iter().any(below)
}

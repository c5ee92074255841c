//! Where HTTPRoutes and TLSRoutes lead, and whether their Gateways accept them.

use std::cmp::Reverse;

use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{
    Backend, PathRank, Port, Rank, Routes, age, exact_path,
    gateway::{BackendReference, CONTROLLER_NAME, GROUP, Gateway, Listener, Match, ParentReference, Route},
    path_prefix,
};

/// The status of a condition, with its reason and message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn yes(reason: &'static str) -> Self {
        Self { holds: true, reason, message: String::new() }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self { holds: false, reason, message }
    }
}

impl Routes {
    /// Whether a Gateway belongs to one of our classes.
    pub(super) fn is_served(&self, gateway: &Gateway) -> bool {
        let class = self.gateway_classes.get(&ObjectRef::new(&gateway.spec.gateway_class_name));
        class.is_some_and(|class| class.spec.controller_name == CONTROLLER_NAME)
    }

    /// The Gateway that a parent reference of a route names, if it is one of ours.
    pub(super) fn parent(
        &self,
        route: &impl Route,
        parent: &ParentReference,
    ) -> Option<std::sync::Arc<Gateway>> {
        let is_gateway = parent.group.as_deref().unwrap_or(GROUP) == GROUP
            && parent.kind.as_deref().unwrap_or("Gateway") == "Gateway";
        let namespace = parent.namespace.clone().or_else(|| route.namespace()).unwrap_or_default();
        let gateway = self.gateways.get(&ObjectRef::new(&parent.name).within(&namespace));
        gateway.filter(|gateway| is_gateway && self.is_served(gateway))
    }

    /// The backends in HTTPRoutes for a host and path.
    pub(super) fn route_candidates(&self, host: &str, path: &str) -> Vec<(Rank, Backend)> {
        let mut candidates = Vec::new();
        for route in self.http_routes.state() {
            for parent in &route.spec.parent_refs {
                let Some(gateway) = self.parent(&*route, parent) else { continue };
                let Ok(listeners) = attached(&*route, parent, &gateway) else { continue };
                let hosts = listeners.into_iter().filter_map(|listener| host_rank(listener, &*route, host));
                let Some(host_rank) = hosts.max() else { continue };
                for rule in &route.spec.rules {
                    let paths = rule.matches.iter().filter_map(|one| path_rank(one, path));
                    let fits = if rule.matches.is_empty() { Some((1, 0)) } else { paths.max() };
                    let backend =
                        rule.backend_refs.first().and_then(|backend| service(&*route, backend).ok());
                    if let Some((path_rank, backend)) = fits.zip(backend) {
                        candidates.push(((host_rank, path_rank, Reverse(age(&*route))), backend));
                    }
                }
            }
        }
        candidates
    }

    /// The backend in the TLSRoutes for a server name.
    pub(super) fn tls_backend(&self, host: &str) -> Option<Backend> {
        let mut candidates = Vec::new();
        for route in self.tls_routes.state() {
            for parent in &route.spec.parent_refs {
                let Some(gateway) = self.parent(&*route, parent) else { continue };
                let Ok(listeners) = attached(&*route, parent, &gateway) else { continue };
                let hosts = listeners.into_iter().filter_map(|listener| host_rank(listener, &*route, host));
                let reference = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs).next();
                let backend = reference.and_then(|reference| service(&*route, reference).ok());
                if let Some((rank, backend)) = hosts.max().zip(backend) {
                    candidates.push(((rank, Reverse(age(&*route))), backend));
                }
            }
        }
        let best = candidates.into_iter().max_by(|(left, _), (right, _)| left.cmp(right));
        best.map(|(_, backend)| backend)
    }

    /// Whether all backends of a route exist.
    pub(super) fn resolved(&self, route: &impl Route) -> Verdict {
        for reference in route.rules().iter().flat_map(|rule| &rule.backend_refs) {
            let backend = match service(route, reference) {
                Ok(backend) => backend,
                Err(verdict) => return verdict,
            };
            if self.port_name(&backend).is_none() {
                let Backend { namespace, service, .. } = &backend;
                let port = reference.port.unwrap_or_default();
                let message = format!("there is no Service {namespace}/{service} with port {port}");
                return Verdict::no("BackendNotFound", message);
            }
        }
        Verdict::yes("ResolvedRefs")
    }
}

/// Whether a Gateway accepts a route.
pub(super) fn accepted(route: &impl Route, parent: &ParentReference, gateway: &Gateway) -> Verdict {
    match attached(route, parent, gateway) {
        Ok(_) => Verdict::yes("Accepted"),
        Err(verdict) => verdict,
    }
}

/// The listeners of a Gateway that accept a route, or why none does.
fn attached<'a, R: Route>(
    route: &R,
    parent: &ParentReference,
    gateway: &'a Gateway,
) -> Result<Vec<&'a Listener>, Verdict> {
    let wanted = gateway.spec.listeners.iter().filter(|listener| {
        R::fits(listener)
            && parent.section_name.as_ref().is_none_or(|name| *name == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    });
    let wanted: Vec<_> = wanted.collect();
    if wanted.is_empty() {
        let (protocol, port) = R::LISTENER;
        let message = format!("no listener for {protocol} on port {port} is meant");
        return Err(Verdict::no("NoMatchingParent", message));
    }
    let same = route.namespace() == gateway.namespace();
    let allows = |listener: &&Listener| {
        let allowed = &listener.allowed_routes;
        let namespaces = match allowed.namespaces.from.as_deref() {
            None | Some("Same") => same,
            other => other == Some("All"),
        };
        let kind_fits = allowed.kinds.is_empty()
            || allowed
                .kinds
                .iter()
                .any(|one| one.kind == R::kind(&()) && one.group.as_deref().unwrap_or(GROUP) == GROUP);
        namespaces && kind_fits
    };
    let allowed: Vec<_> = wanted.into_iter().filter(allows).collect();
    if allowed.is_empty() {
        let namespace = route.namespace().unwrap_or_default();
        let message = format!("no listener takes {}s of namespace {namespace}", R::kind(&()));
        return Err(Verdict::no("NotAllowedByListeners", message));
    }
    let meets = |listener: &&Listener| {
        let names = route.hostnames();
        let listens = listener.hostname.as_deref().unwrap_or_default();
        names.is_empty() || names.iter().any(|name| hostnames_meet(listens, name))
    };
    let attached: Vec<_> = allowed.into_iter().filter(meets).collect();
    if attached.is_empty() {
        let message = format!("no listener has one of the hostnames {}", route.hostnames().join(", "));
        return Err(Verdict::no("NoMatchingListenerHostname", message));
    }
    Ok(attached)
}

/// The Service that a backend reference names.
fn service(route: &impl Route, backend: &BackendReference) -> Result<Backend, Verdict> {
    let kind = backend.kind.as_deref().unwrap_or("Service");
    if !backend.group.as_deref().unwrap_or_default().is_empty() || kind != "Service" {
        return Err(Verdict::no("InvalidKind", format!("the backend {} is no Service", backend.name)));
    }
    let own = route.namespace().unwrap_or_default();
    let namespace = backend.namespace.clone().unwrap_or_else(|| own.clone());
    if namespace != own {
        let message = format!("the backend {namespace}/{} is in another namespace", backend.name);
        return Err(Verdict::no("RefNotPermitted", message));
    }
    let port = Port::Number(backend.port.unwrap_or_default());
    Ok(Backend { namespace, service: backend.name.clone(), port })
}

/// How well a host matches a route at a listener: not at all, any host, a wildcard, exactly.
fn host_rank(listener: &Listener, route: &impl Route, host: &str) -> Option<u8> {
    let at_listener = hostname_rank(listener.hostname.as_deref().unwrap_or_default(), host)?;
    let of_route = route.hostnames().iter().filter_map(|name| hostname_rank(name, host)).max();
    if route.hostnames().is_empty() { Some(at_listener) } else { of_route }
}

/// Unlike in an Ingress, a wildcard matches one or more labels.
fn hostname_rank(hostname: &str, host: &str) -> Option<u8> {
    if hostname.is_empty() {
        return Some(1);
    }
    match hostname.strip_prefix('*') {
        Some(domain) => (host.len() > domain.len() && host.ends_with(domain)).then_some(2),
        None => (hostname == host).then_some(3),
    }
}

/// Whether there are hosts that match both hostnames, each of which may be a wildcard.
fn hostnames_meet(left: &str, right: &str) -> bool {
    match (left.strip_prefix('*'), right.strip_prefix('*')) {
        (Some(left), Some(right)) => left.ends_with(right) || right.ends_with(left),
        (None, Some(_)) => left.is_empty() || hostname_rank(right, left).is_some(),
        _ => hostname_rank(left, right).is_some(),
    }
}

fn path_rank(one: &Match, path: &str) -> Option<PathRank> {
    let wanted = one.path.clone().unwrap_or_default();
    let value = wanted.value.as_deref().unwrap_or("/");
    match wanted.type_.as_deref().unwrap_or("PathPrefix") {
        "Exact" => exact_path(value, path),
        "PathPrefix" => path_prefix(value, path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::router::gateway::HttpRoute;

    #[test]
    fn a_wildcard_stands_for_one_label_or_more() {
        assert_eq!(hostname_rank("*.example.com", "a.b.example.com"), Some(2));
        assert_eq!(hostname_rank("*.example.com", "example.com"), None);
        assert_eq!(hostname_rank("*.example.com", ".example.com"), None);
        assert_eq!(hostname_rank("a.example.com", "a.example.com"), Some(3));
        assert_eq!(hostname_rank("", "192.0.2.1"), Some(1));
    }

    #[test]
    fn hostnames_meet_where_a_host_fits_both() {
        for (left, right) in [
            ("", "a.example.com"),
            ("a.example.com", "a.example.com"),
            ("*.example.com", "a.b.example.com"),
            ("a.example.com", "*.example.com"),
            ("*.example.com", "*.b.example.com"),
            ("*.b.example.com", "*.example.com"),
        ] {
            assert!(hostnames_meet(left, right), "{left} {right}");
        }
        for (left, right) in [("*.example.com", "example.com"), ("*.example.com", "*.example.org")] {
            assert!(!hostnames_meet(left, right), "{left} {right}");
        }
    }

    #[test]
    fn a_route_attaches_to_the_listeners_that_it_means_and_that_take_it() {
        let listener = json!({"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"});
        let with = |change: fn(&mut Value)| {
            let mut listener = listener.clone();
            change(&mut listener);
            listener
        };
        let all = json!({"namespaces": {"from": "All"}});
        let cases = [
            (listener.clone(), json!({"name": "gateway"}), "shop", "Accepted"),
            (
                listener.clone(),
                json!({"name": "gateway", "port": 80, "sectionName": "http"}),
                "shop",
                "Accepted",
            ),
            (
                listener.clone(),
                json!({"name": "gateway", "sectionName": "https"}),
                "shop",
                "NoMatchingParent",
            ),
            (listener.clone(), json!({"name": "gateway", "port": 81}), "shop", "NoMatchingParent"),
            (with(|one| one["port"] = 81.into()), json!({"name": "gateway"}), "shop", "NoMatchingParent"),
            (
                with(|one| one["protocol"] = "HTTPS".into()),
                json!({"name": "gateway"}),
                "shop",
                "NoMatchingParent",
            ),
            (listener.clone(), json!({"name": "gateway"}), "other", "NotAllowedByListeners"),
            (
                with(|one| one["hostname"] = "example.org".into()),
                json!({"name": "gateway"}),
                "shop",
                "NoMatchingListenerHostname",
            ),
        ];
        for (listener, parent, namespace, reason) in cases {
            assert_eq!(verdict(&listener, &parent, namespace), reason, "{listener} {parent} {namespace}");
        }
        let mut open = listener;
        open["allowedRoutes"] = all;
        assert_eq!(verdict(&open, &json!({"name": "gateway"}), "other"), "Accepted");
        open["allowedRoutes"]["kinds"] = json!([{"kind": "GRPCRoute"}]);
        assert_eq!(verdict(&open, &json!({"name": "gateway"}), "other"), "NotAllowedByListeners");
    }

    /// The reason why a Gateway in `shop` accepts or rejects a route in a namespace.
    fn verdict(listener: &Value, parent: &Value, namespace: &str) -> &'static str {
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "gateway", "namespace": "shop"},
            "spec": {"gatewayClassName": "router", "listeners": [listener]},
        });
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "route", "namespace": namespace},
            "spec": {"parentRefs": [parent], "hostnames": ["a.example.com"]},
        });
        let route: HttpRoute = serde_json::from_value(route).unwrap();
        let gateway = serde_json::from_value(gateway).unwrap();
        accepted(&route, &route.spec.parent_refs[0], &gateway).reason
    }
}

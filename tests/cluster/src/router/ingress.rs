//! Where Ingresses route requests.

use std::cmp::Reverse;

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend, IngressSpec};
use kube::ResourceExt;

use super::{Backend, CLASS, PathRank, Port, Rank, age, exact_path, path_prefix};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The backends in an Ingress for a host and path.
pub(super) fn candidates(ingress: &Ingress, host: &str, path: &str) -> Vec<(Rank, Backend)> {
    let Some(spec) = ingress.spec.as_ref().filter(|spec| is_ours(ingress, spec)) else { return Vec::new() };
    let mut candidates = Vec::new();
    for rule in spec.rules.iter().flatten() {
        let Some(host_rank) = host_rank(rule.host.as_deref(), host) else { continue };
        for http_path in rule.http.iter().flat_map(|http| &http.paths) {
            let Some(path_rank) = path_rank(http_path, path) else { continue };
            candidates.push(((host_rank, path_rank), &http_path.backend));
        }
    }
    candidates.extend(spec.default_backend.as_ref().map(|backend| ((0, (0, 0)), backend)));
    let age = age(ingress);
    candidates
        .into_iter()
        .filter_map(|((host, path), backend)| {
            Some(((host, path, Reverse(age.clone())), service(ingress, backend)?))
        })
        .collect()
}

fn service(ingress: &Ingress, backend: &IngressBackend) -> Option<Backend> {
    let service = backend.service.as_ref()?;
    let port = service.port.clone().unwrap_or_default();
    Some(Backend {
        namespace: ingress.namespace().unwrap_or_default(),
        service: service.name.clone(),
        port: port.name.map(Port::Name).unwrap_or(Port::Number(port.number.unwrap_or_default())),
    })
}

fn is_ours(ingress: &Ingress, spec: &IngressSpec) -> bool {
    let annotation = ingress.annotations().get(CLASS_ANNOTATION);
    let class = spec.ingress_class_name.as_ref().or(annotation);
    class.is_none_or(|class| class == CLASS)
}

/// How well a rule's host matches: not at all, any host, a wildcard, exactly.
fn host_rank(rule: Option<&str>, host: &str) -> Option<u8> {
    let Some(rule) = rule.filter(|rule| !rule.is_empty()) else { return Some(1) };
    if let Some(domain) = rule.strip_prefix("*.") {
        let (label, rest) = host.split_once('.')?;
        return (!label.is_empty() && rest == domain).then_some(2);
    }
    (rule == host).then_some(3)
}

fn path_rank(rule: &HTTPIngressPath, path: &str) -> Option<PathRank> {
    let wanted = rule.path.as_deref().unwrap_or("/");
    match rule.path_type.as_str() {
        "Exact" => exact_path(wanted, path),
        _ => path_prefix(wanted, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_host_ranks_above_a_wildcard_above_none() {
        assert_eq!(host_rank(Some("a.example.com"), "a.example.com"), Some(3));
        assert_eq!(host_rank(Some("*.example.com"), "a.example.com"), Some(2));
        assert_eq!(host_rank(None, "a.example.com"), Some(1));
        assert_eq!(host_rank(Some("*.example.com"), "a.b.example.com"), None);
        assert_eq!(host_rank(Some("*.example.com"), "example.com"), None);
        assert_eq!(host_rank(Some("b.example.com"), "a.example.com"), None);
    }
}

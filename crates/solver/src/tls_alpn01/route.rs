//! The TLSRoute that routes a CA's handshake through a Gateway to the operator's pods.
//!
//! Like an HTTPRoute for http-01, it is rendered without a client, and the same input renders the same bytes. All of the names'
//! connections lead to the operator while it exists.

use std::collections::BTreeSet;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::server_name;
use crate::http01::{Backend, BackendReference, Route, RouteTemplate};
use certwright_api::{ParentReference, RouteParentStatus, RouteStatus};

/// A `gateway.networking.k8s.io/v1` TLSRoute, with the fields used here.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "TLSRoute",
    plural = "tlsroutes",
    root = "TlsRoute",
    namespaced,
    status = "RouteStatus",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    doc = "A TLSRoute, with the fields used here."
)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// The Gateways to attach to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// The server names it applies to; at least one, and at most 1024.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The routing rules; exactly one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TlsRouteRule>,
}

/// Connections are sent to `backend_refs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteRule {
    /// The backends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendReference>,
}

impl Route for TlsRoute {
    fn parent_refs(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn parents(&self) -> &[RouteParentStatus] {
        self.status.as_ref().map(|status| status.parents.as_slice()).unwrap_or_default()
    }
}

/// The TLSRoute that routes all of a Certificate's names to the shared Service. An IP address has the server name of its reverse
/// mapping, so it is a host name here.
pub fn tls_route(template: &RouteTemplate, identifiers: &[String]) -> TlsRoute {
    let backend = Backend::TlsAlpn01(template.service_type);
    let names: BTreeSet<String> = identifiers.iter().map(|name| server_name(name)).collect();
    TlsRoute {
        metadata: template.metadata(template.name("certwright-tls-alpn01", backend)),
        spec: TlsRouteSpec {
            parent_refs: template.parent_refs.clone(),
            hostnames: names.into_iter().collect(),
            rules: vec![TlsRouteRule { backend_refs: vec![template.backend(backend)] }],
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use certwright_api::ServiceType;
    use serde_json::json;

    use super::*;
    use crate::http01::Http01Shard;

    #[test]
    fn a_route_has_all_names_of_a_certificate_and_the_service_of_its_type() {
        let rendered_one = serde_json::to_value(rendered(ServiceType::ClusterIp)).unwrap();
        let name = rendered_one["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("certwright-tls-alpn01-"), "{name}");
        let expected = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "TLSRoute",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "labels": {
                    "app.kubernetes.io/managed-by": "certwright",
                    "certwright.dev/certificate-uid": "5c2f",
                    "certwright.dev/http01": "true",
                    "team": "web",
                },
                "ownerReferences": [{
                    "apiVersion": "certwright.dev/v1alpha1",
                    "kind": "Certificate",
                    "name": "web",
                    "uid": "5c2f",
                    "controller": true,
                    "blockOwnerDeletion": false,
                }],
            },
            "spec": {
                "parentRefs": [{ "name": "public" }],
                "hostnames": ["1.2.0.192.in-addr.arpa", "a.test", "b.test"],
                "rules": [{ "backendRefs": [{ "name": "certwright-tls-alpn01", "port": 443 }] }],
            },
        });
        assert_eq!(rendered_one, expected);
        let node_port = rendered(ServiceType::NodePort);
        assert_eq!(node_port.spec.rules[0].backend_refs[0].name, "certwright-tls-alpn01-nodeport");
        assert_ne!(node_port.metadata.name.as_deref(), Some(name), "each solver has its own");
    }

    fn rendered(service_type: ServiceType) -> TlsRoute {
        let template = RouteTemplate {
            namespace: "shop".to_owned(),
            certificate_name: "web".to_owned(),
            certificate_uid: "5c2f".to_owned(),
            parent_refs: vec![ParentReference { name: "public".to_owned(), ..ParentReference::default() }],
            labels: BTreeMap::from([("team".to_owned(), "web".to_owned())]),
            service_type,
            shard: Http01Shard::default(),
        };
        tls_route(&template, &["b.test", "A.test", "192.0.2.1", "a.test"].map(str::to_owned))
    }
}

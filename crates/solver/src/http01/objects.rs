//! The objects that route a CA's request to the operator's pods, rendered without a client.
//!
//! One temporary Ingress per Certificate and solver contains all names and tokens that are being validated. It points to one
//! Service per namespace. The Service has no selector, but EndpointSlices with the operator's pods, so that no pod has to
//! start. Every list is sorted, so that the same input renders the same bytes, and applying it again writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::challenge_path;
use super::ownership::{Backend, Http01Shard, NameDigest, certificate_labels, certificate_owner};
use certwright_api::{IngressTemplateMetadata, ServiceType};

const SLICE_MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const SLICE_MANAGED_BY: &str = "certwright.dev";
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
const INGRESS_CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const SSL_REDIRECT_ANNOTATION: &str = "nginx.ingress.kubernetes.io/ssl-redirect";
const SOURCE_RANGE_ANNOTATION: &str = "nginx.ingress.kubernetes.io/whitelist-source-range";

/// What is presented for one Certificate through one solver.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// The Certificate's namespace.
    pub namespace: String,
    /// The Certificate's name.
    pub certificate_name: String,
    /// The Certificate's `metadata.uid`.
    pub certificate_uid: String,
    /// The challenges that are being validated, in any order.
    pub challenges: Vec<PresentedChallenge>,
    /// The solver's `http01.ingress.ingressClassName`.
    pub ingress_class_name: Option<String>,
    /// The solver's `http01.ingress.class`.
    pub class: Option<String>,
    /// The solver's `http01.ingress.ingressTemplate.metadata`. Our labels take precedence over its labels; its annotations take
    /// precedence over ours, as in cert-manager.
    pub template: IngressTemplateMetadata,
    /// The solver's `http01.ingress.serviceType`. Each type has its own Service.
    pub service_type: ServiceType,
    /// How the paths are matched.
    pub path_type: PathType,
    /// The shard that presents.
    pub shard: Http01Shard,
}

/// A name, and the token that a CA will request there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PresentedChallenge {
    /// A DNS name or an IP address.
    pub identifier: String,
    /// The challenge's token.
    pub token: String,
}

/// An Ingress path's `pathType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathType {
    /// Exactly this path, on every controller.
    #[default]
    Exact,
    /// As in cert-manager before 1.18, for ingress-nginx releases whose strict path validation rejects the dot of `.well-known`
    /// in an exact path (kubernetes/ingress-nginx issue 11176).
    ImplementationSpecific,
}

impl PathType {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Exact, Self::ImplementationSpecific];

    /// The value in an Ingress.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::ImplementationSpecific => "ImplementationSpecific",
        }
    }
}

/// The name of the Ingress for `presentation`: the same for the same Certificate and solver, regardless of the challenges.
pub fn ingress_name(presentation: &Presentation) -> String {
    let mut digest =
        NameDigest::of_certificate(&presentation.certificate_uid, &presentation.certificate_name);
    for option in [&presentation.ingress_class_name, &presentation.class] {
        digest.add_option(option.as_deref());
    }
    digest.add(&presentation.shard.service_name(Backend::Http01(presentation.service_type)));
    digest.add_map(&presentation.template.labels);
    digest.add_map(&presentation.template.annotations);
    digest.name("certwright-http01")
}

/// The Ingress that routes all of a Certificate's challenge paths to the shared Service.
pub fn ingress(presentation: &Presentation) -> Ingress {
    let labels =
        certificate_labels(&presentation.template.labels, &presentation.certificate_uid, &presentation.shard);
    let owner = certificate_owner(&presentation.certificate_name, &presentation.certificate_uid);
    Ingress {
        metadata: ObjectMeta {
            name: Some(ingress_name(presentation)),
            namespace: Some(presentation.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations(presentation)),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(IngressSpec {
            ingress_class_name: presentation.ingress_class_name.clone(),
            rules: Some(rules(presentation)),
            ..IngressSpec::default()
        }),
        status: None,
    }
}

/// The Service behind the Ingresses, HTTPRoutes or TLSRoutes of a namespace. `responder_port` is the port where the operator's pods
/// answer.
pub fn service(namespace: &str, backend: Backend, responder_port: u16, shard: &Http01Shard) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(shard.service_name(backend)),
            namespace: Some(namespace.into()),
            labels: Some(shard.labels()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some(backend.service_type().as_str().into()),
            ip_family_policy: Some("PreferDualStack".into()),
            ports: Some(vec![ServicePort {
                name: Some(backend.port_name().into()),
                port: backend.port().into(),
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::Int(responder_port.into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The EndpointSlices of [`service`], one per address family that `addresses` has.
///
/// Addresses that the API server rejects in a slice (loopback, link-local, multicast, unspecified) are omitted. With the
/// Service's uid, the slices are garbage-collected with it.
pub fn endpoint_slices(
    namespace: &str,
    backend: Backend,
    service_uid: Option<&str>,
    responder_port: u16,
    addresses: &BTreeSet<IpAddr>,
    shard: &Http01Shard,
) -> Vec<EndpointSlice> {
    let (six, four) =
        addresses.iter().filter(|ip| is_routable(**ip)).partition::<Vec<IpAddr>, _>(|ip| ip.is_ipv6());
    [("IPv4", four), ("IPv6", six)]
        .into_iter()
        .filter(|(_, addresses)| !addresses.is_empty())
        .map(|(family, addresses)| EndpointSlice {
            metadata: slice_metadata(namespace, &shard.service_name(backend), service_uid, family, shard),
            address_type: family.into(),
            endpoints: addresses.iter().map(ready_endpoint).collect(),
            ports: Some(vec![EndpointPort {
                name: Some(backend.port_name().into()),
                port: Some(responder_port.into()),
                protocol: Some("TCP".into()),
                ..EndpointPort::default()
            }]),
        })
        .collect()
}

fn annotations(presentation: &Presentation) -> BTreeMap<String, String> {
    let template = &presentation.template.annotations;
    let mut annotations = BTreeMap::from([(SSL_REDIRECT_ANNOTATION.into(), "false".into())]);
    // A CA can connect from anywhere, so a default source restriction is lifted, unless the template sets its own, under any
    // controller's prefix.
    let limits_sources = |key: &String| key.rsplit('/').next() == Some("whitelist-source-range");
    if !template.keys().any(limits_sources) {
        annotations.insert(SOURCE_RANGE_ANNOTATION.into(), "0.0.0.0/0,::/0".into());
    }
    if let Some(class) = &presentation.class {
        annotations.insert(INGRESS_CLASS_ANNOTATION.into(), class.clone());
    }
    annotations.extend(template.clone());
    annotations
}

/// One rule per host, and one without a host for IP addresses, which are not permitted as a rule's host.
fn rules(presentation: &Presentation) -> Vec<IngressRule> {
    let mut tokens = BTreeMap::<Option<String>, BTreeSet<&str>>::new();
    for challenge in &presentation.challenges {
        let is_ip = challenge.identifier.parse::<IpAddr>().is_ok();
        let host = (!is_ip).then(|| challenge.identifier.to_ascii_lowercase());
        tokens.entry(host).or_default().insert(&challenge.token);
    }
    tokens
        .into_iter()
        .map(|(host, tokens)| IngressRule {
            host,
            http: Some(HTTPIngressRuleValue {
                paths: tokens
                    .into_iter()
                    .map(|token| {
                        path(token, presentation.service_type, presentation.path_type, &presentation.shard)
                    })
                    .collect(),
            }),
        })
        .collect()
}

pub(super) fn path(
    token: &str,
    service_type: ServiceType,
    path_type: PathType,
    shard: &Http01Shard,
) -> HTTPIngressPath {
    HTTPIngressPath {
        path: Some(challenge_path(token)),
        path_type: path_type.as_str().into(),
        backend: IngressBackend {
            service: Some(IngressServiceBackend {
                name: shard.service_name(Backend::Http01(service_type)),
                port: Some(ServiceBackendPort {
                    number: Some(Backend::Http01(service_type).port().into()),
                    name: None,
                }),
            }),
            resource: None,
        },
    }
}

fn slice_metadata(
    namespace: &str,
    service: &str,
    service_uid: Option<&str>,
    family: &str,
    shard: &Http01Shard,
) -> ObjectMeta {
    let mut labels = shard.labels();
    labels.insert(SERVICE_NAME_LABEL.into(), service.into());
    labels.insert(SLICE_MANAGED_BY_LABEL.into(), SLICE_MANAGED_BY.into());
    ObjectMeta {
        name: Some(format!("{service}-{}", family.to_ascii_lowercase())),
        namespace: Some(namespace.into()),
        labels: Some(labels),
        owner_references: service_uid.map(|uid| {
            vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Service".into(),
                name: service.into(),
                uid: uid.into(),
                controller: Some(true),
                block_owner_deletion: Some(false),
            }]
        }),
        ..ObjectMeta::default()
    }
}

/// One address per endpoint: proxies use only the first one.
fn ready_endpoint(address: &IpAddr) -> Endpoint {
    Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(true),
            serving: Some(true),
            terminating: Some(false),
        }),
        ..Endpoint::default()
    }
}

fn is_routable(address: IpAddr) -> bool {
    let refused = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    !refused
        && match address {
            IpAddr::V4(four) => !four.is_link_local(),
            IpAddr::V6(six) => !six.is_unicast_link_local(),
        }
}

#[cfg(test)]
mod tests;

//! The http-01 solver, through Ingresses and HTTPRoutes.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_ANNOTATION, MAX_LABEL};
use crate::ignored::IgnoredObject;
use crate::schema;

/// http-01 (RFC 8555 section 8.3): the operator answers the CA's HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.ingress), has(self.gatewayHTTPRoute)].filter(x, x).size() == 1")
    .message("http01: set either ingress or gatewayHTTPRoute"))]
pub struct Http01Solver {
    /// Use temporary Ingresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Http01Ingress>,
    /// Use temporary HTTPRoutes of the Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "gatewayHTTPRoute")]
    pub gateway_http_route: Option<Http01GatewayHttpRoute>,
}

/// Temporary Ingresses that route `/.well-known/acme-challenge/` to the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.ingressClassName), has(self.class), has(self.name)].filter(x, x).size() <= 1")
        .message("http01.ingress: ingressClassName, class and name are mutually exclusive; set only one")
)]
pub struct Http01Ingress {
    /// Value of `spec.ingressClassName` of the Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ingress_class_name: Option<String>,
    /// Value of the annotation `kubernetes.io/ingress.class`, for controllers that do not support `ingressClassName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class: Option<String>,
    /// Name of an Ingress in the Certificate's namespace that is edited in place during a validation. For controllers that
    /// assign each Ingress its own address.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_object_name"
    )]
    #[schemars(length(max = 253), regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"))]
    pub name: Option<String>,
    /// Labels and annotations for the Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_template: Option<IngressTemplate>,
    /// Type of the Service behind the Ingress: `ClusterIP` (the default) or `NodePort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Has no effect: the operator itself answers challenges, without solver pods. Accepted for compatibility with cert-manager
    /// manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    pub pod_template: Option<IgnoredObject>,
}

impl Http01Ingress {
    /// The name of the Ingress that is edited in place, if there is one.
    pub fn edited(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }
}

/// Metadata for the temporary Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTemplate {
    /// Metadata of the Ingress.
    #[serde(default)]
    pub metadata: IngressTemplateMetadata,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTemplateMetadata {
    /// Labels to add.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "bounds::labels::<_, MAX_LABEL>")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to add.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_ANNOTATION>"
    )]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Type of the Service behind an Ingress or HTTPRoute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum ServiceType {
    /// Reachable only within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// For ingress controllers that send traffic through the nodes.
    NodePort,
}

impl ServiceType {
    /// All types.
    pub const ALL: [Self; 2] = [Self::ClusterIp, Self::NodePort];

    /// The type as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
        }
    }
}

/// Temporary HTTPRoutes that route `/.well-known/acme-challenge/` to the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    // The Gateway API would reject the HTTPRoute. It also compares groups; here that would exceed the cost limit of rules.
    validation = Rule::new("!has(self.parentRefs) || self.parentRefs.all(p, self.parentRefs.exists_one(q, p.name == q.name && (has(p.__namespace__) ? has(q.__namespace__) && p.__namespace__ == q.__namespace__ : !has(q.__namespace__)) && ((!has(p.kind) || p.kind == 'Gateway') ? (!has(q.kind) || q.kind == 'Gateway') : has(q.kind) && p.kind == q.kind) && (!has(p.sectionName) || !has(q.sectionName) || p.sectionName == q.sectionName)))")
        .message("http01.gatewayHTTPRoute: parentRefs with the same Gateway must each have a different sectionName")
)]
pub struct Http01GatewayHttpRoute {
    /// Labels for the HTTPRoute.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_LABEL>"
    )]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
    /// Gateways to attach the HTTPRoute to, as in `spec.parentRefs` of an HTTPRoute. Each must have an HTTP listener on port
    /// 80. Without any, only Certificates whose annotations name a Gateway can use this solver, such as those that are created from
    /// annotations on a Gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16))]
    pub parent_refs: Vec<ParentReference>,
    /// Type of the Service behind the HTTPRoute: `ClusterIP` (the default) or `NodePort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Has no effect: the operator itself answers challenges, without solver pods. Accepted for compatibility with cert-manager
    /// manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    pub pod_template: Option<IgnoredObject>,
}

/// Reference to a Gateway, or a part of one, that an HTTPRoute is attached to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group of the parent. Defaults to `gateway.networking.k8s.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind of the parent. Defaults to `Gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Namespace of the parent. Defaults to the Certificate's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name of a listener of the Gateway. By default, all listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
    /// Port of the Gateway. By default, all ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

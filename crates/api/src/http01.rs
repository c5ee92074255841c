//! Ways to prove control of names: http-01 through Ingresses and routes.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds::{self, MAX_ANNOTATION, MAX_LABEL};
use crate::schema;

/// http-01 (RFC 8555 section 8.3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.ingress), has(self.gatewayHTTPRoute)].filter(x, x).size() == 1")
    .message("http01 needs one of ingress and gatewayHTTPRoute"))]
pub struct Http01Solver {
    /// Through temporary Ingresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Http01Ingress>,
    /// Through temporary HTTPRoutes of the Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "gatewayHTTPRoute")]
    pub gateway_http_route: Option<Http01GatewayHttpRoute>,
}

/// Temporary Ingresses that lead `/.well-known/acme-challenge/` to the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.ingressClassName), has(self.class), has(self.name)].filter(x, x).size() <= 1")
        .message("http01.ingress: ingressClassName, class and name exclude each other; keep one")
)]
pub struct Http01Ingress {
    /// `spec.ingressClassName` of the Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ingress_class_name: Option<String>,
    /// Value of the annotation `kubernetes.io/ingress.class`, for controllers that do not know `ingressClassName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class: Option<String>,
    /// An Ingress, in the Certificate's namespace, that is edited in place for the time of a validation, for controllers
    /// that give each Ingress an address of its own.
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
    /// Refused: no pods are started, the operator itself answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("http01.ingress.podTemplate: no solver pods are started, the operator itself answers; remove the field"))]
    pub pod_template: Option<Value>,
}

impl Http01Ingress {
    /// The Ingress that is edited in place, if one is.
    pub fn edited(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }
}

/// Metadata for the temporary Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTemplate {
    /// Its metadata.
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

/// Types of the Service behind the Ingress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum ServiceType {
    /// Reachable within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// For ingress controllers that come in through the nodes.
    NodePort,
}

/// Temporary HTTPRoutes that lead `/.well-known/acme-challenge/` to the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("size(self.?parentRefs.orValue([])) > 0")
        .message("http01.gatewayHTTPRoute: parentRefs must name a Gateway"),
    // The Gateway API would refuse the HTTPRoute. It tells groups apart, too, which would cost too much here.
    validation = Rule::new("!has(self.parentRefs) || self.parentRefs.all(p, self.parentRefs.exists_one(q, p.name == q.name && (has(p.__namespace__) ? has(q.__namespace__) && p.__namespace__ == q.__namespace__ : !has(q.__namespace__)) && ((!has(p.kind) || p.kind == 'Gateway') ? (!has(q.kind) || q.kind == 'Gateway') : has(q.kind) && p.kind == q.kind) && (!has(p.sectionName) || !has(q.sectionName) || p.sectionName == q.sectionName)))")
        .message("http01.gatewayHTTPRoute: parentRefs that name the same Gateway need a sectionName each, and another one")
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
    /// The Gateways, as `spec.parentRefs` of an HTTPRoute has them. Each must have a listener for HTTP at port 80.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16))]
    pub parent_refs: Vec<ParentReference>,
    /// Type of the Service behind the route: `ClusterIP` (the default) or `NodePort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Refused: no pods are started, the operator itself answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("http01.gatewayHTTPRoute.podTemplate: no solver pods are started, the operator itself answers; remove the field"))]
    pub pod_template: Option<Value>,
}

/// A Gateway, or a part of it, that an HTTPRoute asks to be attached to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group; `gateway.networking.k8s.io` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind; `Gateway` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Namespace; that of the Certificate by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A listener of the Gateway; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
    /// A port of the Gateway; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

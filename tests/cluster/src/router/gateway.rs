//! The kinds of the Gateway API, as far as the router reads them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, Resource, core::NamespaceResourceScope};
use serde::{Deserialize, Serialize};

/// The controller name of GatewayClasses that the router serves.
pub const CONTROLLER_NAME: &str = "certwright.dev/test-router";

pub(super) const GROUP: &str = "gateway.networking.k8s.io";

#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "GatewayClass",
    plural = "gatewayclasses",
    status = "Conditions",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub(super) struct GatewayClassSpec {
    pub(super) controller_name: String,
}

#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    plural = "gateways",
    namespaced,
    status = "Conditions",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub(super) struct GatewaySpec {
    pub(super) gateway_class_name: String,
    #[serde(default)]
    pub(super) listeners: Vec<Listener>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Conditions {
    #[serde(default)]
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) hostname: Option<String>,
    pub(super) port: i32,
    pub(super) protocol: String,
    #[serde(default)]
    pub(super) tls: Option<ListenerTls>,
    #[serde(default)]
    pub(super) allowed_routes: AllowedRoutes,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ListenerTls {
    pub(super) mode: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AllowedRoutes {
    #[serde(default)]
    pub(super) namespaces: RouteNamespaces,
    #[serde(default)]
    pub(super) kinds: Vec<RouteKind>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RouteNamespaces {
    pub(super) from: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RouteKind {
    pub(super) group: Option<String>,
    pub(super) kind: String,
}

#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    root = "HttpRoute",
    namespaced,
    status = "RouteStatus",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpRouteSpec {
    #[serde(default)]
    pub(super) parent_refs: Vec<ParentReference>,
    #[serde(default)]
    pub(super) hostnames: Vec<String>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "TLSRoute",
    plural = "tlsroutes",
    root = "TlsRoute",
    namespaced,
    status = "RouteStatus",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub(super) struct TlsRouteSpec {
    #[serde(default)]
    pub(super) parent_refs: Vec<ParentReference>,
    #[serde(default)]
    pub(super) hostnames: Vec<String>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
}

/// A kind of route.
pub(super) trait Route: Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    /// The protocol and port of listeners that it can be attached to.
    const LISTENER: (&str, i32);

    fn parent_refs(&self) -> &[ParentReference];
    fn hostnames(&self) -> &[String];
    fn rules(&self) -> &[Rule];
    fn status(&self) -> Option<&RouteStatus>;

    /// Whether a listener can have such routes.
    fn fits(listener: &Listener) -> bool {
        (listener.protocol.as_str(), listener.port) == Self::LISTENER
    }
}

impl Route for HttpRoute {
    const LISTENER: (&str, i32) = ("HTTP", 80);

    fn parent_refs(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn hostnames(&self) -> &[String] {
        &self.spec.hostnames
    }

    fn rules(&self) -> &[Rule] {
        &self.spec.rules
    }

    fn status(&self) -> Option<&RouteStatus> {
        self.status.as_ref()
    }
}

impl Route for TlsRoute {
    const LISTENER: (&str, i32) = ("TLS", 443);

    fn parent_refs(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn hostnames(&self) -> &[String] {
        &self.spec.hostnames
    }

    fn rules(&self) -> &[Rule] {
        &self.spec.rules
    }

    fn status(&self) -> Option<&RouteStatus> {
        self.status.as_ref()
    }

    fn fits(listener: &Listener) -> bool {
        let mode = listener.tls.as_ref().and_then(|tls| tls.mode.as_deref());
        (listener.protocol.as_str(), listener.port) == Self::LISTENER && mode == Some("Passthrough")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParentReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) section_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(default)]
    pub(super) matches: Vec<Match>,
    #[serde(default)]
    pub(super) backend_refs: Vec<BackendReference>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Match {
    pub(super) path: Option<PathMatch>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PathMatch {
    #[serde(rename = "type")]
    pub(super) type_: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct BackendReference {
    pub(super) group: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) port: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RouteStatus {
    #[serde(default)]
    pub(super) parents: Vec<ParentStatus>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParentStatus {
    pub(super) parent_ref: ParentReference,
    pub(super) controller_name: String,
    #[serde(default)]
    pub(super) conditions: Vec<Condition>,
}

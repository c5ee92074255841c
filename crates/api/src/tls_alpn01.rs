//! The tls-alpn-01 solver.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_LABEL};
use crate::http01::{ParentReference, ServiceType};
use crate::schema;

/// tls-alpn-01 (RFC 8737): the operator answers the CA's TLS handshake on port 443 of the name, which offers the protocol
/// `acme-tls/1`. Without `gatewayTLSRoute`, nothing is created: a proxy in front of the name must forward these handshakes to the
/// operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsAlpn01Solver {
    /// Use temporary TLSRoutes of the Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "gatewayTLSRoute")]
    pub gateway_tls_route: Option<TlsAlpn01GatewayTlsRoute>,
}

/// Temporary TLSRoutes that route the names to the operator. Only for names that have no TLS at these Gateways yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("size(self.?parentRefs.orValue([])) > 0")
        .message("tlsAlpn01.gatewayTLSRoute: parentRefs must list at least one Gateway")
)]
pub struct TlsAlpn01GatewayTlsRoute {
    /// Labels for the TLSRoute.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_LABEL>"
    )]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
    /// Gateways to attach the TLSRoute to, as in `spec.parentRefs` of a TLSRoute. Each must have a listener for TLS on port 443
    /// with the mode `Passthrough`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16))]
    pub parent_refs: Vec<ParentReference>,
    /// Type of the Service behind the TLSRoute: `ClusterIP` (the default) or `NodePort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
}

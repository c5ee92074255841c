//! A real Kubernetes control plane, ACME servers, DNS and an ingress router for Certwright's tests.
//!
//! The binary `cluster` builds the programs and starts them in Linux namespaces of their own (`cluster exec`).
//! What runs inside finds them through this library: [`Cluster::from_env`] first, then a [`TestNamespace`], a
//! [`Pebble`] and an [`Operator`] for each test.

pub mod ca;
pub mod control_plane;
pub mod description;
pub mod dns;
pub mod forward;
pub mod gateway_api;
pub mod packages;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod router;
pub mod rust_web_server;
pub mod sandbox;
pub mod tools;
pub mod venv;

mod cluster;
mod gateway_controller;
mod ingress_controller;
mod metrics;
mod namespace;
mod operator;
mod pebble;
mod step_ca;

pub use cluster::Cluster;
pub use dns::Dns;
pub use gateway_api::{GatewayApi, NoGatewayApi};
pub use gateway_controller::GatewayController;
pub use ingress_controller::IngressController;
pub use metrics::{ApiServerMetrics, RequestKind};
pub use namespace::TestNamespace;
pub use operator::{Operator, OperatorBuilder, OperatorProcess};
pub use pebble::{Pebble, PebbleBuilder};
pub use proxy::Proxy;
pub use step_ca::StepCa;

/// The address everything listens on. EndpointSlices refuse loopback addresses, so it is one from the documentation
/// range (RFC 5737), put on the namespace's loopback device.
pub const ADDRESS: &str = "192.0.2.10";

/// A second address, for a second replica of the operator.
pub const SECOND_ADDRESS: &str = "192.0.2.11";

/// The address a real ingress controller listens on; the router has [`ADDRESS`].
pub const INGRESS_CONTROLLER_ADDRESS: &str = "192.0.2.20";

/// The address a real Gateway controller listens on.
pub const GATEWAY_CONTROLLER_ADDRESS: &str = "192.0.2.21";

/// Where services have their cluster addresses.
pub const SERVICE_NETWORK: &str = "10.96.0.0/16";

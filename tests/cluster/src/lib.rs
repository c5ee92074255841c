//! A real Kubernetes control plane, ACME servers, DNS and an ingress router for Certwright's tests.
//!
//! The binary `cluster` builds the programs and starts them in separate Linux namespaces (`cluster exec`). Tests that run inside
//! find them through this library: first [`Cluster::from_env`], then a [`TestNamespace`], a [`Pebble`] and an [`Operator`] for
//! each test.

pub mod addresses;
pub mod at_rest;
pub mod ca;
pub mod cert_manager;
pub mod cgroups;
pub mod control_plane;
pub mod description;
pub mod dns;
pub mod forward;
pub mod gateway_api;
pub mod node;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod router;
pub mod sandbox;
pub mod shard;
pub mod terminal;
pub mod venv;

pub use certwright_programs::{needs, packages, tools};

mod acme2certifier;
mod api_service;
mod bind;
mod bind_config;
mod certwright_dns;
mod cluster;
mod fake_clock;
mod http_server;
mod ingress_controller;
mod knot;
mod kube_proxy;
mod metrics;
mod moto;
mod name_server;
mod namespace;
mod operator;
mod pebble;
mod power_dns;
mod prometheus;
mod provider_protocol;
mod query_log;
mod resolver;
mod scripted_provider;
mod step_ca;
mod traefik;
mod webhook_provider;
mod zone;

pub use acme2certifier::Acme2certifier;
pub use addresses::Address;
pub use api_service::without_api_groups;
pub use bind::{Bind, BindBuilder};
pub use cert_manager::CertManager;
pub use certwright_dns::{CertwrightDns, Replica};
pub use cluster::Cluster;
pub use dns::Dns;
pub use fake_clock::FakeClock;
pub use gateway_api::{GatewayApi, NoGatewayApi};
pub use ingress_controller::IngressController;
pub use knot::Knot;
pub use metrics::{ApiServerMetrics, RequestKind};
pub use moto::Moto;
pub use name_server::{Answer, NameServer, TsigKey};
pub use namespace::TestNamespace;
pub use node::Node;
pub use operator::{Operator, OperatorBuilder, OperatorProcess};
pub use pebble::{Pebble, PebbleBuilder};
pub use power_dns::PowerDns;
pub use prometheus::Prometheus;
pub use provider_protocol::AcmeDnsAccount;
pub use proxy::Proxy;
pub use query_log::DnsQuery;
pub use resolver::{Resolver, ResolverBuilder};
pub use scripted_provider::{ProviderRequest, Reply, ScriptedProvider};
pub use step_ca::StepCa;
pub use traefik::Traefik;
pub use webhook_provider::WebhookProvider;
pub use zone::Zone;

/// The address that everything listens on. EndpointSlices reject loopback addresses, so it is one from the documentation range
/// (RFC 5737), on the loopback device of the network namespace.
pub const ADDRESS: &str = "192.0.2.10";

/// A second address, for a second replica of the operator.
pub const SECOND_ADDRESS: &str = "192.0.2.11";

/// The address that a real ingress controller listens on; the router has [`ADDRESS`].
pub const INGRESS_CONTROLLER_ADDRESS: &str = "192.0.2.20";

/// The address that [`Traefik`] listens on.
pub const TRAEFIK_ADDRESS: &str = "192.0.2.21";

/// The range of the cluster addresses of Services.
pub const SERVICE_NETWORK: &str = "10.96.0.0/16";

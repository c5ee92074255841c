//! Gather, act and report: the reconcile loops of the three kinds.
//!
//! - [`cache`] watches; [`reconcile_queue`] requests reconciles; [`run`] starts and stops the controllers with leadership;
//!   [`reconciler`] runs the reconciles of one kind (`work_queue` says when), and [`events`] publishes events;
//! - [`certificate`] and [`issuer`]: one reconcile each, in gather, act and report;
//! - [`annotated`] creates the Certificates that Ingresses and Gateways ([`annotated_objects`]) request;
//! - [`signing_request`] has certificates issued for CertificateSigningRequests ([`signing_requests`]);
//! - [`ledger_key`]: the Secret with the keys that verify which entries of a status the operator wrote;
//! - [`caa`] looks up CAA records before an order is placed;
//! - [`check_revocation_lists`] finds certificates that the CA has revoked, on the lists in [`revocation_lists`];
//! - [`check_served`] looks at what servers show of the certificates in [`served_checks`];
//! - [`presenter`] presents the answers to challenges, and [`http01_state`] knows which ones this process answers,
//!   with [`handshakes`] for tls-alpn-01;
//! - order slots ([`order_slots`]), [`key_makers`] and reads of Secrets are shared fairly by namespaces (`fair_queue`);
//! - [`api_server`] knows when the API server is away, and `retry` handles failed reconciles;
//! - `config`: the settings; [`context`]: what all reconciles share;
//! - `apply`: how the operator applies what it writes;
//! - `shard`: which objects this installation serves, if several share the cluster;
//! - [`unreadable`]: objects that cannot be read, and [`report_unreadable`], which reports them;
//! - [`acme_log`] logs what a CA and an issuer say to each other, if its annotation asks for that;
//! - [`accounts`], [`resolvers`], [`in_flight`], [`renewal_info_polls`], [`account_refusals`]: state that is only in memory, and may be
//!   lost at any time.

pub mod account_refusals;
pub mod accounts;
pub mod acme_log;
pub mod annotated;
pub mod annotated_objects;
pub mod api_server;
mod apply;
pub mod authorizations;
pub mod caa;
pub mod cache;
pub mod certificate;
pub mod check_revocation_lists;
pub mod check_served;
mod config;
pub mod context;
pub mod error;
pub mod events;
mod fair_queue;
pub mod handshakes;
pub mod http01_state;
pub mod in_flight;
pub mod issuer;
pub mod issuer_record;
pub mod key_makers;
pub mod ledger_key;
pub mod order_slots;
pub mod presenter;
pub mod reconcile_queue;
pub mod reconciler;
pub mod renewal_info_polls;
pub mod report_unreadable;
pub mod resolvers;
mod retry;
pub mod revocation_lists;
pub mod run;
mod secrets;
mod self_checks;
pub mod served_checks;
mod shard;
pub mod signing_request;
pub mod signing_requests;
pub mod unreadable;
pub mod watch_handlers;
mod work_queue;

pub use config::{AmbientCredentials, AnnotationsConfig, Config, ResponderPorts};
pub use context::Context;
pub use retry::wake_whoever_failed;
pub use served_checks::ServedConfig;

#[cfg(test)]
mod tests;

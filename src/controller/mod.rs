//! Gather, act and report: the reconcile loops of the three kinds.
//!
//! - [`cache`] watches; [`wake`] asks for reconciles; [`run`] starts and stops them with leadership;
//! - [`certificate`] and [`issuer`]: one reconcile each, in gather, act and report;
//! - [`annotated`] makes Certificates that Ingresses and Gateways ask for;
//! - [`ledger_key`]: the Secret with the keys by which the operator knows what of a status is its own;
//! - [`presenter`] puts the answers to challenges where the CA will look;
//! - [`places`] for orders, [`key_makers`] and reads of Secrets are shared fairly by namespaces (`turns`);
//! - [`api_server`] knows when the API server is away, and [`retry`] what follows when it fails a reconcile;
//! - [`unreadable`]: objects that cannot be read, each reported on itself;
//! - [`accounts`], [`resolvers`], [`in_flight`], [`questions`], [`verdicts`]: what lives in memory only, and may be lost at any
//!   moment.

pub mod accounts;
pub mod annotated;
pub mod api_server;
pub mod cache;
pub mod certificate;
pub mod context;
pub mod error;
pub mod events;
pub mod in_flight;
pub mod issuer;
pub mod issuer_record;
pub mod key_makers;
pub mod ledger_key;
pub mod observe;
pub mod places;
pub mod presenter;
pub mod questions;
pub mod resolvers;
mod retry;
pub mod run;
mod secrets;
mod turns;
pub mod unreadable;
pub mod verdicts;
pub mod wake;

pub use context::{AnnotationsConfig, Config, Context};
pub use retry::wake_whoever_failed;

//! Gather, act and report: the reconcile loops of the three kinds.
//!
//! - [`cache`] watches; [`wake`] requests reconciles; [`run`] starts and stops the controllers with leadership;
//!   [`reconciler`] runs the reconciles of one kind, and [`events`] publishes events;
//! - [`certificate`] and [`issuer`]: one reconcile each, in gather, act and report;
//! - [`annotated`] creates the Certificates that Ingresses and Gateways ([`annotated_objects`]) request;
//! - [`ledger_key`]: the Secret with the keys that verify which entries of a status the operator wrote;
//! - [`presenter`] presents the answers to challenges, and [`http01_state`] knows which ones this process answers;
//! - order slots ([`places`]), [`key_makers`] and reads of Secrets are shared fairly by namespaces (`turns`);
//! - [`api_server`] knows when the API server is away, and [`retry`] handles failed reconciles;
//! - [`unreadable`]: objects that cannot be read, and [`report_unreadable`], which reports them;
//! - [`accounts`], [`resolvers`], [`in_flight`], [`questions`], [`verdicts`]: state that is only in memory, and may be
//!   lost at any time.

pub mod accounts;
pub mod annotated;
pub mod annotated_objects;
pub mod api_server;
pub mod cache;
pub mod certificate;
pub mod context;
pub mod error;
pub mod events;
pub mod http01_state;
pub mod in_flight;
pub mod issuer;
pub mod issuer_record;
pub mod key_makers;
pub mod ledger_key;
pub mod observe;
pub mod places;
pub mod presenter;
pub mod questions;
pub mod reconciler;
pub mod report_unreadable;
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

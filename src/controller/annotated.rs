//! Ingresses, Gateways and ListenerSets: creates the Certificates that their annotations request.
//!
//! The watches and controllers run only on the leader.

mod act;
mod reconcile;
mod watch;

pub use watch::{start, watches};

//! CertificateSigningRequests of Kubernetes: has certificates issued for those whose signer name is that of an issuer.
//!
//! The watch and the controller run only on the leader, and only if this is enabled.

mod act;
mod reconcile;
mod watch;

pub use watch::{start, watches};

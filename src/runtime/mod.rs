//! What of a long-running process is particular to the operator: its metrics, its health, and its traces. The rest is in
//! `certwright-runtime`.

pub mod health;
pub mod metrics;
pub mod metrics_auth;
pub mod traces;

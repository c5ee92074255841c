//! The infrastructure of a long-running process: logs, metrics, traces, health, leadership, supervision, shutdown, and the
//! clock.

pub mod api_server;
pub mod clock;
pub mod health;
pub mod leader;
pub mod liveness;
pub mod logs;
pub mod metrics;
pub mod metrics_auth;
pub mod panics;
pub mod server;
pub mod shutdown;
pub mod supervisor;
pub mod traces;

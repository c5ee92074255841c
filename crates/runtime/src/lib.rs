//! The infrastructure of a program that runs for months in a cluster: the clock, logs, the servers of its ports, its client of
//! the API server, leader election, supervision of tasks, and shutdown.

pub mod api_server;
pub mod clock;
pub mod leader;
pub mod liveness;
pub mod logs;
pub mod panics;
pub mod process_metrics;
pub mod reviews;
pub mod server;
pub mod shutdown;
pub mod supervisor;

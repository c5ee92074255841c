//! What a long-running process needs: logs, metrics, traces, health, leadership, shutdown, and the clock.

pub mod clock;
pub mod health;
pub mod leader;
pub mod logs;
pub mod metrics;
pub mod recent;
pub mod shutdown;
pub mod traces;

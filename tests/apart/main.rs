//! The tests that change cluster-wide kinds, observe everything that happens in the cluster, or use a clock that is too fast for
//! a busy machine. They run while no other tests do.

#[path = "../common/mod.rs"]
mod common;

mod fault_matrix;
mod hostile_objects;
mod rbac;

/// Each of these tests holds it while it runs.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

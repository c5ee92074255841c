//! The tests that change kinds of the whole cluster, look at what everybody does in it, or live by a clock that is too fast for a
//! busy machine: they run when no others do.

#[path = "../common/mod.rs"]
mod common;

mod fault_matrix;
mod hostile_objects;
mod rbac;

/// Held by each of them while it runs.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

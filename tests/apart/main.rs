//! The tests that change kinds of the whole cluster, or look at what everybody does in it: they run when no others do.

#[path = "../common/mod.rs"]
mod common;

mod hostile_objects;
mod rbac;

//! The programs that the demo, the benchmarks and the tests need: built from pinned Go modules, or from the operating system.
//!
//! Each command needs some of them ([`needs`]). What is built for one is there for all others, except that the
//! demo is content with programs that are compiled quickly.

pub mod build;
pub mod modules;
pub mod namespaces;
pub mod needs;
pub mod packages;
pub mod tools;

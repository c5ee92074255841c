//! The commands, a file each: its flags, what it asks the cluster for, and what it shows.
//!
//! To add one: a file here, or a folder if it is more than one thing, with a struct of flags that derives [`clap::Args`] and has
//! `async fn execute(self) -> Result<Exit, Error>`; a variant and an arm in [`cli`](crate::cli); a section in
//! `docs/command-line.md`, and its name in `docs/operations.md`. One that talks to a cluster flattens [`ClusterArgs`] into its
//! flags and calls [`ClusterArgs::connect`]. One with errors of its own has a variant for them in [`Error`].
//!
//! What a command shows is made by functions from objects and `now` to text, without a client, and printed by [`print`]. Whatever
//! it shows of an object goes through [`shown`](output::shown) first, and other words from outside through [`plain`].

mod check;
mod cluster;
mod completion;
pub mod crds;
mod egress;
mod error;
mod exit;
mod explain;
mod handbook;
mod list;
pub mod man;
mod migrate;
mod outlook;
mod output;
mod renew;
mod revoke;
mod rollover;
mod run;
mod status;
mod wait;

pub use check::Check;
pub use cluster::{Cluster, ClusterArgs};
pub use completion::Completion;
pub use egress::EgressArgs;
pub use error::{Error, causes};
pub use exit::Exit;
pub use explain::Explain;
pub use list::List;
pub use migrate::{Migrate, MigrateError};
pub use output::{plain, print};
pub use renew::Renew;
pub use revoke::Revoke;
pub use rollover::Rollover;
pub use run::Run;
pub use status::Status;

//! The commands, one per file: its flags, its requests to the cluster, and its output.
//!
//! To add a command:
//! - Add a file here, or a folder if it has several parts, with a struct of flags that derives [`clap::Args`] and has
//!   `async fn execute(self) -> Result<Exit, Error>`.
//! - Add a variant and a match arm in [`cli`](crate::cli).
//! - Add a section to `docs/command-line.md`, and its name to `docs/operations.md`.
//!
//! A command that talks to a cluster flattens [`ClusterArgs`] into its flags and calls [`ClusterArgs::connect`]. A command with
//! errors of its own has a variant for them in [`Error`].
//!
//! Functions without a client turn objects and `now` into the text that a command shows, and [`print()`] prints it. Everything
//! shown from an object first goes through `shown`, and other text from outside through [`plain`].

mod ca;
mod check;
mod chosen_issuer;
mod cluster;
mod completion;
mod confirm;
pub mod crds;
mod deactivate;
mod dns_record;
mod egress;
mod error;
mod exit;
mod explain;
mod failures;
pub mod handbook;
mod inspect;
mod issuer_request;
mod kind;
mod kubectl_flags;
mod list;
mod mac_key;
pub mod man;
mod migrate;
mod names;
mod outlook;
mod output;
mod rebind;
mod renew;
mod request;
mod retry;
mod revoke;
mod rollover;
mod rows;
mod run;
mod shards;
mod status;
mod support_bundle;
mod targets;
mod top;
mod ui;
mod values;
mod version;
mod wait;

pub use check::Check;
pub use cluster::{Cluster, ClusterArgs};
pub use completion::{Completion, answer};
pub use deactivate::Deactivate;
pub use dns_record::DnsRecord;
pub use egress::EgressArgs;
pub use error::{Error, causes};
pub use exit::Exit;
pub use explain::Explain;
pub use inspect::Inspect;
pub use list::List;
pub use migrate::{Migrate, MigrateError};
pub use output::{plain, print};
pub use rebind::Rebind;
pub use renew::Renew;
pub use retry::Retry;
pub use revoke::Revoke;
pub use rollover::Rollover;
pub use run::Run;
pub use status::Status;
pub use support_bundle::SupportBundle;
pub use top::Top;
pub use ui::Ui;
pub use version::Version;

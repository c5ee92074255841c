//! The command line. What each command does is in [`command`](crate::command).

use std::ffi::OsStr;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    Check, Completion, Error, Exit, Explain, List, Migrate, Renew, Revoke, Rollover, Run, Status, crds, man,
};

/// Keeps TLS Secrets filled with certificates from any ACME certificate authority.
#[derive(Debug, Parser)]
#[command(name = "certwright", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Say why a Certificate or an issuer is ready or not, and what comes next.
    Status(Status),
    /// List Certificates: when they expire, and what comes next.
    List(List),
    /// Have Certificates renewed now.
    Renew(Renew),
    /// Have the certificate of a Certificate revoked now.
    Revoke(Revoke),
    /// Have the account key of an issuer changed now.
    Rollover(Rollover),
    /// Look at all that an issuance needs: the installation, issuers, their CAs, names.
    Check(Check),
    /// Say what a reason means, or the code of a CA, and what to do.
    Explain(Explain),
    /// Print a script that completes commands and flags in a shell.
    Completion(Completion),
    /// Print the manual page, in roff.
    Man,
    /// Bring over Issuers, ClusterIssuers and Certificates of cert-manager.
    Migrate(Box<Migrate>),
}

impl Cli {
    /// What was asked for. Ends the process, with a word of help, if it cannot be understood.
    pub fn of_arguments() -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        let matches = named(&program).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Does it.
    ///
    /// # Errors
    /// [`Error`], if it could not be done.
    pub async fn execute(self) -> Result<Exit, Error> {
        match self.command {
            Command::Run(command) => command.execute().await,
            Command::Crds => crds::execute(),
            Command::Status(command) => command.execute().await,
            Command::List(command) => command.execute().await,
            Command::Renew(command) => command.execute().await,
            Command::Revoke(command) => command.execute().await,
            Command::Rollover(command) => command.execute().await,
            Command::Check(command) => command.execute().await,
            Command::Explain(command) => command.execute(),
            Command::Completion(command) => command.execute(),
            Command::Man => man::execute(),
            Command::Migrate(command) => command.execute().await,
        }
    }
}

/// The command line as the usage shows it: kubectl runs its plugins by a name of their own.
fn named(program: &OsStr) -> clap::Command {
    let command = Cli::command();
    match Path::new(program).file_name().is_some_and(|name| name.to_string_lossy().starts_with("kubectl-")) {
        true => command.bin_name("kubectl certwright"),
        false => command.bin_name("certwright"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_names_the_plugin_where_it_is_one() {
        let usage = |program: &str| named(OsStr::new(program)).render_usage().to_string();
        assert_eq!(usage("/usr/local/bin/kubectl-certwright"), "Usage: kubectl certwright <COMMAND>");
        assert_eq!(usage("target/debug/certwright"), "Usage: certwright <COMMAND>");
    }
}

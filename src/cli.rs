//! The command line. [`command`](crate::command) implements the commands.

use std::ffi::OsStr;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    Check, Completion, Deactivate, DnsRecord, Error, Exit, Explain, Inspect, List, Migrate, Rebind, Renew,
    Retry, Revoke, Rollover, Run, Status, SupportBundle, Top, Ui, Version, answer, crds, man,
};

/// Keeps TLS Secrets filled with certificates from any ACME certificate authority.
#[derive(Debug, Parser)]
#[command(name = "certwright", version, propagate_version = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Show why a Certificate or an issuer is ready or not, and what happens next.
    Status(Status),
    /// List Certificates, when they expire, and what happens next.
    List(List),
    /// Show Certificates and issuers live: what is under way, what waits, what fails, and what is renewed next.
    Top(Top),
    /// Serve a page about Certificates and issuers to a browser on this machine.
    Ui(Ui),
    /// Look into a Secret with a certificate: chain, key, revocation, and what uses it.
    Inspect(Inspect),
    /// Renew Certificates now.
    Renew(Renew),
    /// Try issuers, or issuances that failed, again now.
    Retry(Retry),
    /// Revoke the certificate of a Certificate now.
    Revoke(Revoke),
    /// Roll over the account key of an issuer now.
    Rollover(Rollover),
    /// Bind the account of an issuer again, with a new key.
    Rebind(Rebind),
    /// Deactivate an account of an issuer, permanently.
    Deactivate(Deactivate),
    /// Check everything that an issuance needs: the installation, issuers, their CAs, names.
    Check(Box<Check>),
    /// Print the TXT records to set for dns-persist-01.
    DnsRecord(DnsRecord),
    /// Explain a reason or a CA's error code, and what to do.
    Explain(Explain),
    /// Collect what somebody who helps needs to see, without secrets, in an archive.
    SupportBundle(SupportBundle),
    /// Print the versions of this program and of the operator.
    Version(Version),
    /// Migrate Issuers, ClusterIssuers and Certificates from cert-manager.
    Migrate(Box<Migrate>),
    /// Print a script that completes commands and flags in a shell.
    Completion(Completion),
    /// Print the manual page, in roff.
    Man,
}

impl Cli {
    /// Parses the arguments of the process. Answers a shell that asks how they continue, and exits. If they are invalid, prints a usage
    /// message and exits.
    pub fn of_arguments() -> Self {
        answer(Self::command);
        let program = std::env::args_os().next().unwrap_or_default();
        let matches = named(&program).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Runs the command.
    ///
    /// # Errors
    /// [`Error`], if the command fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        match self.command {
            Command::Run(command) => command.execute().await,
            Command::Crds => crds::execute(),
            Command::Status(command) => command.execute().await,
            Command::List(command) => command.execute().await,
            Command::Top(command) => command.execute().await,
            Command::Ui(command) => command.execute().await,
            Command::Inspect(command) => command.execute().await,
            Command::Renew(command) => command.execute().await,
            Command::Retry(command) => command.execute().await,
            Command::Revoke(command) => command.execute().await,
            Command::Rollover(command) => command.execute().await,
            Command::Rebind(command) => command.execute().await,
            Command::Deactivate(command) => command.execute().await,
            Command::Check(command) => command.execute().await,
            Command::DnsRecord(command) => command.execute().await,
            Command::Explain(command) => command.execute(),
            Command::SupportBundle(command) => command.execute().await,
            Command::Version(command) => command.execute().await,
            Command::Migrate(command) => command.execute().await,
            Command::Completion(command) => command.execute(),
            Command::Man => man::execute(Cli::command()),
        }
    }
}

/// The command line with the name that the usage message shows: kubectl runs its plugins under a name of their own.
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
    fn usage_names_the_plugin_if_kubectl_runs_it() {
        let usage = |program: &str| named(OsStr::new(program)).render_usage().to_string();
        assert_eq!(usage("/usr/local/bin/kubectl-certwright"), "Usage: kubectl certwright <COMMAND>");
        assert_eq!(usage("target/debug/certwright"), "Usage: certwright <COMMAND>");
    }
}

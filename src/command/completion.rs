//! `certwright completion`: prints a script for a shell, and answers the questions of that script and of kubectl.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Args, Command};
use clap_complete::engine::complete;
use clap_complete::env::Shells;
use clap_complete::{ArgValueCompleter, CompleteEnv, Shell};

use super::names::{
    complete_certificates, complete_contexts, complete_namespaces, complete_secrets, complete_targets,
};
use super::{Error, Exit, print};

/// The variable by which a script asks.
const VARIABLE: &str = "CERTWRIGHT_COMPLETE";
/// The program under this name answers kubectl.
const OF_KUBECTL: &str = "kubectl_complete-certwright";

/// Which shell.
#[derive(Args, Clone, Debug)]
pub struct Completion {
    /// The shell.
    pub shell: Shell,
}

impl Completion {
    /// Prints the script. It asks the program, which knows the names of objects.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn execute(self) -> Result<Exit, Error> {
        let mut script = Vec::new();
        if let Some(shell) = Shells::builtins().completer(&self.shell.to_string()) {
            let program = "certwright";
            shell
                .write_registration(VARIABLE, program, program, program, &mut script)
                .map_err(Error::Output)?;
        }
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Fine)
    }
}

/// If a shell or kubectl asks how a command line continues, prints the answer and exits.
pub fn answer(command: fn() -> Command) {
    let command = || with_names(command());
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let program = arguments.first().map(Path::new).and_then(Path::file_name);
    if program.is_some_and(|name| name == OF_KUBECTL) {
        if arguments.len() < 2 {
            arguments.push(OsString::new());
        }
        let printed = print(&for_kubectl(&mut command(), arguments));
        std::process::exit(if printed.is_ok() { 0 } else { 1 });
    }
}

/// Adds to the arguments of all commands how the names of objects are found.
fn with_names(command: Command) -> Command {
    let argument = |argument: Arg| match argument.get_id().as_str() {
        "objects" => argument.add(ArgValueCompleter::new(complete_targets)),
        "certificates" => argument.add(ArgValueCompleter::new(complete_certificates)),
        "secrets" => argument.add(ArgValueCompleter::new(complete_secrets)),
        "namespace" | "operator_namespace" => argument.add(ArgValueCompleter::new(complete_namespaces)),
        "context" => argument.add(ArgValueCompleter::new(complete_contexts)),
        _ => argument,
    };
    command.mut_args(argument).mut_subcommands(with_names)
}

/// The answer for kubectl: a line for each candidate, with what it is after a tab, and at the end what the shell is to do: never to
/// offer files, unless there is nothing else.
fn for_kubectl(command: &mut Command, arguments: Vec<OsString>) -> String {
    let last = arguments.len() - 1;
    let found = complete(command, arguments, last, None).unwrap_or_default();
    let lines = found.iter().filter(|candidate| !candidate.is_hide_set()).map(|candidate| {
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().map_or(String::new(), |line| format!("\t{line}"));
        format!("{}{help}\n", candidate.get_value().to_string_lossy())
    });
    let lines: String = lines.collect();
    let directive = if lines.is_empty() { ":0" } else { ":4" };
    format!("{lines}{directive}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_is_told_candidates_what_they_are_and_that_files_are_none() {
        let mut command = Command::new("certwright")
            .disable_help_subcommand(true)
            .subcommand(Command::new("status").about("Show one.\nMore."))
            .subcommand(Command::new("start").arg(Arg::new("file")));
        let answer = |command: &mut Command, words: &[&str]| {
            for_kubectl(command, words.iter().map(OsString::from).collect())
        };
        assert_eq!(answer(&mut command, &[OF_KUBECTL, "stat"]), "status\tShow one.\n:4\n");
        assert_eq!(answer(&mut command, &[OF_KUBECTL, "start", "x"]), ":0\n");
    }
}

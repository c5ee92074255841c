//! `certwright completion`: prints a script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Error, Exit, print};
use crate::cli::Cli;

/// Which shell.
#[derive(Args, Clone, Debug)]
pub struct Completion {
    /// The shell.
    pub shell: Shell,
}

impl Completion {
    /// Prints the script.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn execute(self) -> Result<Exit, Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "certwright", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Fine)
    }
}

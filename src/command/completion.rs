//! `certwright completion`: prints a script for a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Error, Exit, print};

/// Which shell.
#[derive(Args, Clone, Debug)]
pub struct Completion {
    /// The shell.
    pub shell: Shell,
}

impl Completion {
    /// Prints the script for `command`.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn execute(self, command: &mut Command) -> Result<Exit, Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "certwright", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Fine)
    }
}

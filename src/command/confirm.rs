//! Asks for confirmation of what cannot be undone, or is a lot.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;

use super::Error;
use super::output::tell;

/// Whether the user has confirmed already.
#[derive(Args, Clone, Debug)]
pub struct Confirm {
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub yes: bool,
}

/// What is to be confirmed.
pub struct Act<'a> {
    /// Such as "a revocation".
    pub name: &'a str,
    /// Why it is to be confirmed, such as "cannot be undone".
    pub consequence: &'a str,
    /// What nothing was if it is not confirmed, such as "revoked".
    pub effect: &'a str,
}

impl Confirm {
    /// Returns if the user confirms, by `--yes` or as the answer to `question`.
    ///
    /// # Errors
    /// [`Error::Usage`], if the user does not.
    pub fn require(&self, act: &Act<'_>, question: &str) -> Result<(), Error> {
        let Act { name, consequence, effect } = act;
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Error::Usage(format!("{name} {consequence}: confirm it with --yes")));
        }
        tell(&format!("{question} This {consequence}. Type yes to continue: "))?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map_err(Error::Output)?;
        match answer.trim() {
            "yes" => Ok(()),
            _ => Err(Error::Usage(format!("nothing was {effect}"))),
        }
    }
}

//! Asks for confirmation of what cannot be undone.

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

impl Confirm {
    /// Returns if the user confirms, by `--yes` or as the answer to `question`. The act and its effect, such as "a revocation" and
    /// "revoked", are for the error.
    ///
    /// # Errors
    /// [`Error::Usage`], if the user does not.
    pub fn require(&self, (act, effect): (&str, &str), question: &str) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Error::Usage(format!("{act} cannot be undone: confirm it with --yes")));
        }
        tell(&format!("{question} This cannot be undone. Type yes to continue: "))?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map_err(Error::Output)?;
        match answer.trim() {
            "yes" => Ok(()),
            _ => Err(Error::Usage(format!("nothing was {effect}"))),
        }
    }
}

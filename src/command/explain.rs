//! `certwright explain`: what a reason means, and what to do.

use clap::Args;

use super::handbook::{self, Entry};
use super::output::{BOLD, fit_terminal, styled};
use super::{Error, Exit, print};

/// What to explain.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// A reason of a condition or an event, or a CA's error code, also in the form in which the CA sends it. Without it, lists
    /// all of them.
    pub reason: Option<String>,
}

impl Explain {
    /// Prints the entry of a page on troubleshooting.
    ///
    /// # Errors
    /// [`Error::NoSuchReason`]
    pub fn execute(self) -> Result<Exit, Error> {
        fit_terminal();
        let text = match &self.reason {
            None => list(&handbook::entries()),
            Some(reason) => {
                let found = handbook::look_up(reason);
                if found.is_empty() {
                    return Err(Error::NoSuchReason(reason.clone()));
                }
                found.iter().map(shown).collect::<Vec<_>>().join("\n")
            }
        };
        print(&text)?;
        Ok(Exit::Fine)
    }
}

fn shown(entry: &Entry) -> String {
    format!("{} ({})\n\n{}\n", styled(BOLD, entry.reason), entry.of, handbook::plain(&entry.text, 2))
}

fn list(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut of = "";
    for entry in entries {
        if entry.of != of {
            let space = if of.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{space}{}\n", styled(BOLD, entry.of)));
            of = entry.of;
        }
        text.push_str(&format!("  {}\n", entry.reason));
    }
    text
}

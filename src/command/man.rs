//! `certwright man`: prints the manual page.

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Error, Exit, print};
use crate::cli::Cli;

/// Prints the manual page: the command line, then each command.
///
/// # Errors
/// [`Error::Output`].
pub fn execute() -> Result<Exit, Error> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page).map_err(Error::Output)?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Fine)
}

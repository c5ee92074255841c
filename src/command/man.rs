//! `certwright man`: prints the manual page.

use std::io;

use clap::Command;
use clap_mangen::Man;

use super::{Error, Exit, print};

/// Prints the manual page: the program, then each command with its flags.
///
/// # Errors
/// [`Error::Output`].
pub fn execute(mut root: Command) -> Result<Exit, Error> {
    root.build();
    let mut page = Vec::new();
    let man = Man::new(root.clone());
    man.render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .map_err(Error::Output)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        page.push_str(&section(command, "certwright").map_err(Error::Output)?);
    }
    page.push_str(EXIT_CODES);
    print(&page)?;
    Ok(Exit::Fine)
}

const EXIT_CODES: &str = ".SH \"EXIT STATUS\"\n\
    0: success. 1: the command failed. 2: the command line is invalid, or a revocation was not confirmed. 3: the command \
    succeeded but found a problem. 4: the object or the reason does not exist. 124: the wait timed out.\n";

/// A section for the command, if it can be given without a subcommand, and for each of its subcommands.
fn section(command: &Command, above: &str) -> Result<String, io::Error> {
    let name = format!("{above} {}", command.get_name());
    let below: Vec<&Command> =
        command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    let below = below.into_iter().map(|below| section(below, &name)).collect::<Result<String, _>>()?;
    if command.is_subcommand_required_set() {
        return Ok(below);
    }
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    // Turn the sections of a separate page into subsections. The definitions of the program are at the top.
    let parts = String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ");
    let parts = parts.strip_prefix(".SH ").map_or(parts.clone(), |rest| format!(".SS {rest}"));
    Ok(format!(".SH \"{}\"\n{parts}{below}", name.to_uppercase().replace('-', "\\-")))
}

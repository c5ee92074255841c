//! The command line, one argument a line: lists of name servers and addresses, durations, sizes.

use certwright::cli::Cli;
use clap::Parser;

use crate::property::screen;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let arguments = ["certwright"].into_iter().chain(text.lines().take(16));
    // What is quoted there is the user's own.
    if let Err(error) = Cli::try_parse_from(arguments)
        && !text.chars().any(|c| c.is_control() && c != '\n')
    {
        screen(&error.to_string());
    }
}

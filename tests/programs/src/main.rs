//! `programs`: builds what a command needs, before that command itself is built.

use std::{env, process::ExitCode};

use anyhow::{Result, bail};
use certwright_programs::needs::Needs;

const USAGE: &str = "usage: programs demo: build what the demo needs
       programs packages: install the packages of the operating system that the tests need";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("programs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match env::args().nth(1).as_deref() {
        Some("demo") => Needs::demo().provide().map(drop),
        Some("packages") => Needs::tests().provide_packages(),
        _ => bail!("{USAGE}"),
    }
}

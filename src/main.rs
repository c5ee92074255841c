use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use certwright::cli::{Cli, Command};
use certwright::runtime::logs;
use certwright::{api, operator};
use clap::Parser;

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = format!("certwright: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                message.push_str(&format!(": {error}"));
                cause = error.source();
            }
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Crds => Ok(std::io::stdout().write_all(api::crds_yaml()?.as_bytes())?),
        Command::Run(settings) => {
            logs::init(settings.log_format, settings.log_level.as_deref())?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            Ok(runtime.block_on(operator::operate(*settings))?)
        }
    }
}

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use certwright::cli::Cli;
use certwright::command::{Exit, causes, plain};

fn main() -> ExitCode {
    let cli = Cli::of_arguments();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Exit::Failed),
    };
    match runtime.block_on(cli.execute()) {
        Ok(exit) => exit.into(),
        Err(error) => failed(&error, error.exit()),
    }
}

fn failed(error: &dyn Error, exit: Exit) -> ExitCode {
    let message = format!("certwright: {}", plain(&causes(error)));
    let _ = writeln!(std::io::stderr(), "{message}");
    exit.into()
}

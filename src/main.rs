use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use certwright::cli::Cli;
use certwright::command::{Exit, causes, plain};
use certwright_runtime::panics::caught;

fn main() -> ExitCode {
    let cli = Cli::of_arguments();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Exit::Failed),
    };
    let outcome = runtime.block_on(caught(cli.execute()));
    // Do not wait for what still runs, such as the generation of a key.
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => failed(&error, error.exit()),
        Err(panic) => failed(&panic, Exit::Failed),
    }
}

fn failed(error: &dyn Error, exit: Exit) -> ExitCode {
    let message = format!("certwright: {}", plain(&causes(error)));
    let _ = writeln!(std::io::stderr(), "{message}");
    exit.into()
}

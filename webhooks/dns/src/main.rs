//! `certwright-dns`: a DNS provider webhook for Certwright and cert-manager.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use certwright_dns::cli::Arguments;
use certwright_dns::run::run;
use certwright_runtime::logs;
use certwright_runtime::panics::{self, caught};
use clap::Parser;
use tracing::error;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = logs::init(arguments.log_format, arguments.log_level.as_ref(), None);
    if let Err(error) = started {
        return failed(&error);
    }
    panics::log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(caught(run(arguments)));
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error!(error = &error as &dyn Error, "certwright-dns failed"),
        Err(panic) => error!(%panic, "certwright-dns failed"),
    }
    ExitCode::FAILURE
}

fn failed(error: &dyn Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "certwright-dns: {error}");
    ExitCode::FAILURE
}

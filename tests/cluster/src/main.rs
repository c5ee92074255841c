//! `cluster`: builds and starts the control plane that Certwright's tests run on.

mod exec;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use certwright_cluster::{
    packages,
    sandbox::{self, StateDir},
    tools::Tools,
};
use clap::{Parser, Subcommand};

/// Builds and starts the control plane that Certwright's tests run on.
#[derive(Parser)]
struct Arguments {
    /// The directory of the run this process is part of. Set by the program itself.
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the programs the tests need, if they are not there.
    Tools,
    /// Run a command beside a new cluster: KUBECONFIG is set, and ports and processes are the run's own.
    Exec {
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<i32> {
    let arguments = Arguments::parse();
    match (arguments.inside, arguments.task) {
        (_, Task::Tools) => {
            let needs: Vec<_> = packages::BASE.iter().chain(packages::INGRESS_CONTROLLER).collect();
            packages::ensure_installed(&needs)?;
            Tools::build().map(|_| 0)
        }
        (None, _) => outside(),
        (Some(_), _) if std::process::id() == 1 => sandbox::be_init(),
        (Some(state), Task::Exec { command }) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(exec::run(&state, command))
        }
    }
}

/// Makes a directory for the run, goes into namespaces and does the task there.
fn outside() -> Result<i32> {
    packages::ensure_installed(&packages::BASE.iter().collect::<Vec<_>>())?;
    Tools::build()?;
    let state = StateDir::create()?;
    let own = std::env::args_os().skip(1);
    let inner = [OsString::from("--inside"), state.path().into()].into_iter().chain(own).collect();
    // On the main thread: the kernel ties the child's life to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(sandbox::run_inside(inner)).context("the run failed")
}

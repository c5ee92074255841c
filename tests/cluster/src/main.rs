//! `cluster`: builds and starts the control plane that Certwright's tests run on.

mod bench;
mod bench_scale;
mod dashboard;
mod demo;
mod exec;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, ensure};
use certwright_cluster::{
    forward::{accept_outside, api_socket},
    gateway_api::definitions,
    needs::Needs,
    sandbox::{self, StateDir},
    shard::{self, Shard},
    tools::Tools,
    venv,
};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

/// Builds and starts the control plane that Certwright's tests run on.
#[derive(Parser)]
struct Arguments {
    /// The directory of the run this process is part of. Set by the program itself.
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
    /// The port of this machine that leads to the API server. Set by the program itself.
    #[arg(long, hide = true, default_value_t = 0)]
    api_port: u16,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the programs the tests need, if they are not there.
    Tools,
    /// Print which figures of `make bench` are worse than they were; the exit code is 1 if there are any.
    BenchCompare {
        /// `target/bench.json` as it was.
        before: PathBuf,
        /// `target/bench.json` as it is.
        after: PathBuf,
    },
    /// Of the tests that test programs list on standard input (`--list --format terse`), print the names of one part.
    Shard {
        /// Which part, such as `2/4`.
        part: Shard,
    },
    #[command(flatten)]
    InCluster(InCluster),
}

/// What starts a cluster.
#[derive(Subcommand)]
enum InCluster {
    /// Run a command beside a new cluster: KUBECONFIG is set, and ports and processes are the run's own.
    Exec {
        /// Give the cluster a node that runs pods, and install nothing.
        #[arg(long)]
        node: bool,
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Issue a certificate in a new cluster, showing each step, and keep the cluster until Ctrl-C.
    Demo(demo::Wanted),
    /// Issue certificates for two minutes, and draw the chart's Grafana dashboard meanwhile.
    Dashboard(dashboard::Wanted),
    /// Measure what certificates cost in time, writes, ACME requests, processor time and memory.
    Bench(bench::Wanted),
    /// Measure what the operator costs with tens of thousands of Certificates.
    BenchScale(bench_scale::Wanted),
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
    match arguments.task {
        Task::Tools => {
            let needs = Needs::tests();
            needs.provide_packages()?;
            venv::install()?;
            definitions::install()?;
            Tools::build(&needs.programs, needs.effort).map(|_| 0)
        }
        Task::BenchCompare { before, after } => bench::compare::run(&before, &after).map(i32::from),
        Task::Shard { part } => print_shard(part).map(|()| 0),
        Task::InCluster(task) => match arguments.inside {
            None => task.run_outside(),
            Some(_) if std::process::id() == 1 => sandbox::be_init(),
            Some(state) => tokio::runtime::Runtime::new()?.block_on(task.run(&state, arguments.api_port)),
        },
    }
}

impl InCluster {
    fn needs(&self) -> Needs {
        match self {
            Self::Exec { .. } => Needs::tests_after_tools(),
            Self::Demo(_) => Needs::demo(),
            Self::Dashboard(_) => Needs::dashboard(),
            Self::Bench(_) | Self::BenchScale(_) => Needs::bench(),
        }
    }

    fn run_outside(&self) -> Result<i32> {
        match (self, outside(&self.needs())?) {
            // Ctrl-C is the normal end of a demo.
            (Self::Demo(_), 130) => Ok(0),
            (_, code) => Ok(code),
        }
    }

    async fn run(self, state: &Path, api_port: u16) -> Result<i32> {
        match self {
            Self::Exec { node, command } => exec::run(state, node, command).await,
            Self::Demo(wanted) => demo::run(state, api_port, &wanted).await,
            Self::Dashboard(wanted) => dashboard::run(state, &wanted).await,
            Self::BenchScale(wanted) => bench_scale::run(state, &wanted).await,
            Self::Bench(wanted) => bench::run(state, &wanted).await,
        }
    }
}

/// Creates a directory for the run, enters new namespaces and runs the task there.
fn outside(needs: &Needs) -> Result<i32> {
    needs.provide()?;
    let state = StateDir::create()?;
    // On the main thread: the kernel ends the child with the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(accept_outside(listener, api_socket(state.path())));
        let inner =
            [OsString::from("--inside"), state.path().into(), "--api-port".into(), port.to_string().into()];
        sandbox::run_inside(inner.into_iter().chain(std::env::args_os().skip(1)).collect()).await
    })
}

/// Prints the tests of a part. None is an error: a test program without names runs all.
fn print_shard(part: Shard) -> Result<()> {
    let list = io::read_to_string(io::stdin())?;
    let names: Vec<&str> = shard::listed(&list).filter(|name| part.has(name)).collect();
    ensure!(!names.is_empty(), "no test is in this part; is the list of tests complete?");
    println!("{}", names.join("\n"));
    Ok(())
}

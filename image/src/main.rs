//! `certwright-image`: writes an image as an OCI archive. `make image` calls it for each program.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use certwright_image::{
    Program,
    contents::{self, Build, Which},
};
use clap::{Parser, Subcommand};

/// Writes an image as an OCI archive.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the image.
    Write(Box<Write>),
    /// Print the roots that it trusts, in PEM.
    Roots,
}

#[derive(clap::Args)]
struct Write {
    /// Which image.
    #[arg(value_enum)]
    which: Which,
    /// The program, linked statically.
    #[arg(long)]
    program: PathBuf,
    /// Its bill of materials, in CycloneDX's JSON.
    #[arg(long)]
    sbom: Option<PathBuf>,
    /// Its version, which is the image's tag.
    #[arg(long)]
    version: String,
    /// The commit that it was built from.
    #[arg(long, value_parser = some_text)]
    revision: Option<String>,
    /// URL of its sources.
    #[arg(long, value_parser = some_text)]
    source: Option<String>,
    /// Unix time, in seconds, of everything in the image.
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    created: u64,
    /// The archive.
    #[arg(long)]
    output: PathBuf,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Write(write) => run(*write),
        Task::Roots => {
            print!("{}", contents::roots());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("certwright-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(write: Write) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let program = Program::new(read(&write.program)?)
        .with_context(|| format!("{} cannot be the program of the image", write.program.display()))?;
    let build = Build {
        version: write.version,
        created: write.created,
        revision: write.revision,
        source: write.source,
        bill_of_materials: write.sbom.as_ref().map(read).transpose()?,
    };
    contents::image(write.which, program, build).write(&write.output)?;
    let megabytes = fs::metadata(&write.output)?.len() as f64 / 1e6;
    println!("{} ({megabytes:.1} MB)", write.output.display());
    Ok(())
}

fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty; leave it out".into()) } else { Ok(text.into()) }
}

//! `certwright-image`: writes an image as an OCI archive. `make image` calls it for each program.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use certwright_image::{
    Program,
    contents::{self, Build, Built, Which},
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
    /// Write a program and its licence as a compressed archive, for people who run it on their own machines.
    Archive(Archive),
    /// Print the roots that it trusts, in PEM.
    Roots,
}

#[derive(clap::Args)]
struct Write {
    /// Which image.
    #[arg(value_enum)]
    which: Which,
    /// The program, linked statically. Several, each for another kind of processor, make one image for all.
    #[arg(long, required = true)]
    program: Vec<PathBuf>,
    /// Its bill of materials, in CycloneDX's JSON: none, or one for each program, in the same order.
    #[arg(long)]
    sbom: Vec<PathBuf>,
    /// Its version, which is the image's tag.
    #[arg(long)]
    version: String,
    /// The commit that it was built from.
    #[arg(long, value_parser = some_text)]
    revision: Option<String>,
    /// Unix time, in seconds, of everything in the image.
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    created: u64,
    /// The archive.
    #[arg(long)]
    output: PathBuf,
}

#[derive(clap::Args)]
struct Archive {
    /// The program.
    #[arg(long)]
    program: PathBuf,
    /// Unix time, in seconds, of everything in the archive.
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    created: u64,
    /// The archive, such as `certwright-v0.1.0-linux-amd64.tar.gz`.
    #[arg(long)]
    output: PathBuf,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Write(write) => run(*write),
        Task::Archive(wanted) => archive(&wanted),
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
    ensure!(
        write.sbom.is_empty() || write.sbom.len() == write.program.len(),
        "{} programs and {} bills of materials; give one for each program, or none",
        write.program.len(),
        write.sbom.len()
    );
    let mut programs: Vec<Built> = Vec::new();
    for (index, path) in write.program.iter().enumerate() {
        let program = Program::new(read(path)?)
            .with_context(|| format!("{} cannot be the program of the image", path.display()))?;
        ensure!(
            programs.iter().all(|built| built.program.architecture != program.architecture),
            "{} is another program for {}",
            path.display(),
            program.architecture
        );
        programs.push(Built { program, bill_of_materials: write.sbom.get(index).map(read).transpose()? });
    }
    let build = Build { version: write.version, created: write.created, revision: write.revision, programs };
    contents::image(write.which, build).write(&write.output)?;
    let megabytes = fs::metadata(&write.output)?.len() as f64 / 1e6;
    println!("{} ({megabytes:.1} MB)", write.output.display());
    Ok(())
}

fn archive(wanted: &Archive) -> Result<()> {
    let archive = contents::archive(read(&wanted.program)?, wanted.created)?;
    fs::write(&wanted.output, archive).with_context(|| format!("cannot write {}", wanted.output.display()))
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty; leave it out".into()) } else { Ok(text.into()) }
}

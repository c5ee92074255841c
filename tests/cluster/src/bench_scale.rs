//! `cluster bench-scale`: what the operator costs with tens of thousands of Certificates.
//!
//! Certificates at rest are written, as an issuance would leave them, and not issued. What is issued is issued as in
//! `cluster bench`, whose counts of writes are the same. Requests of an operator for Certificates at rest come from the
//! audit log, which tells its own from those of others.

mod activity;
mod at_rest;
mod audit;
mod issuing;
mod needs;
mod report;
mod revocation;
mod stock;

use std::path::Path;

use anyhow::Result;
use certwright_cluster::{Cluster, StepCa};
use clap::{Args, ValueEnum};

use self::report::Report;
use crate::exec::start_large_cluster;

/// What is measured if nothing else is wanted, in half an hour.
const BY_DEFAULT: [Section; 5] =
    [Section::Start, Section::Idle, Section::Issuer, Section::Issue, Section::Queue];

/// What is to be measured.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// How many Certificates are at rest.
    #[arg(long, env = "N", default_value_t = 10_000)]
    n: usize,
    /// How many certificates are issued at once.
    #[arg(long, env = "ISSUE", default_value_t = 10_000)]
    issue: usize,
    /// What to measure, separated by commas; everything but revocation by default.
    #[arg(long, env = "SECTIONS", value_enum, value_delimiter = ',', default_values_t = BY_DEFAULT)]
    sections: Vec<Section>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// The start of an operator, and its memory.
    Start,
    /// A minute in which nothing changes.
    Idle,
    /// A change of an issuer that most Certificates name.
    Issuer,
    /// Certificates issued at once.
    Issue,
    /// A single Certificate while others are queued.
    Queue,
    /// A CA is about to revoke all certificates.
    Revocation,
}

impl Section {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Idle => "idle",
            Self::Issuer => "issuer",
            Self::Issue => "issue",
            Self::Queue => "queue",
            Self::Revocation => "revocation",
        }
    }
}

impl Wanted {
    fn has(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }

    fn has_any(&self, sections: &[Section]) -> bool {
        sections.iter().any(|section| self.has(*section))
    }
}

/// Runs the wanted sections, prints the figures and writes them to `bench-scale.json` in cargo's target directory.
pub async fn run(state: &Path, wanted: &Wanted) -> Result<i32> {
    if cfg!(debug_assertions) {
        println!(
            "This is a development build: its figures say nothing of a release. See `make bench-scale`."
        );
    }
    let at_rest = wanted.has_any(&[Section::Start, Section::Idle, Section::Issuer]);
    let issued = [Section::Issue, Section::Queue, Section::Revocation]
        .into_iter()
        .filter(|section| wanted.has(*section))
        .count();
    needs::say(if at_rest { wanted.n } else { 0 } + issued * wanted.issue, state)?;

    let running = start_large_cluster(state).await?;
    let cluster = || Cluster::new(running.description.clone());
    let ca = StepCa::start(&cluster()).await?;
    let own = at_rest::own_namespace(cluster()).await?;
    let mut report = Report::create(wanted)?;
    if at_rest {
        at_rest::run(&own, &ca, wanted, &mut report).await?;
    }
    if wanted.has(Section::Issue) {
        issuing::batch(&running.description, &ca, wanted, &mut report).await?;
    }
    if wanted.has(Section::Queue) {
        issuing::queue(&own, &ca, wanted, &mut report).await?;
    }
    if wanted.has(Section::Revocation) {
        revocation::day(&own, &ca, wanted, &mut report).await?;
    }
    report.set("needed", needs::measured(state)?)?;
    report.print();
    Ok(0)
}

//! `certwright migrate`: migrates cert-manager's objects.

mod adopt;
mod error;
mod read;
mod store;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

pub use error::MigrateError;

use super::output::{harmless, print_objects};
use super::{ClusterArgs, Error, Exit, print};
use crate::migrate::{Fitness, GROUP, Outcome, Source, convert, report};
use adopt::Adoption;

/// What to read, and what to do with it.
#[derive(Args, Clone, Debug)]
pub struct Migrate {
    /// Which cluster and namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Read these files, directories, or standard input (`-`) instead of the cluster.
    #[arg(short, long, value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Read all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Write Certwright's objects as files into this directory instead of to standard output.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write the report about each object to this file instead of to standard error.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Take over the objects in the cluster, with their certificates and accounts. Deletes each of cert-manager's Certificates
    /// once Certwright's has its Secret.
    #[arg(long, conflicts_with = "give_back")]
    pub adopt: bool,
    /// Give Certificates that were taken over back to cert-manager.
    #[arg(long, conflicts_with_all = ["filename", "output"])]
    pub give_back: bool,
    /// Only show what --adopt or --give-back would do.
    #[arg(long)]
    pub dry_run: bool,
    /// The operator's own namespace, where it keeps the Secrets of ClusterIssuers.
    #[arg(long, env = "CERTWRIGHT_NAMESPACE", default_value = "certwright", value_name = "NAMESPACE")]
    pub operator_namespace: String,
    /// The namespace where cert-manager keeps the Secrets of ClusterIssuers.
    #[arg(long, default_value = "cert-manager", value_name = "NAMESPACE")]
    pub cert_manager_namespace: String,
}

impl Migrate {
    /// Runs the migration.
    ///
    /// # Errors
    /// [`Error`], if the migration fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        if self.give_back {
            let mut adoption = Adoption::new(&self).await?;
            adoption.give_back(self.all_namespaces).await?;
            print(&adoption.said(self.dry_run, "given back"))?;
            return Ok(adoption.exit());
        }
        let outcomes = convert(&self.read().await?);
        self.write_report(&report(&outcomes))?;
        if let Some(directory) = &self.output {
            write_files(directory, &outcomes)?;
        }
        if self.adopt {
            let mut adoption = Adoption::new(&self).await?;
            adoption.adopt(&outcomes).await?;
            print(&adoption.said(self.dry_run, "taken over"))?;
            return Ok(adoption.exit());
        }
        if self.output.is_none() {
            print_objects(&yaml(&outcomes)?)?;
        }
        let all = outcomes.iter().all(|outcome| outcome.fitness == Fitness::TakenOver);
        Ok(if all { Exit::Fine } else { Exit::NotWell })
    }

    /// cert-manager's objects.
    async fn read(&self) -> Result<Vec<Value>, Error> {
        let objects = match self.filename.is_empty() {
            false => read::files(&self.filename)?,
            true => read::cluster(&self.cluster.connect().await?, self.all_namespaces).await?,
        };
        let of_cert_manager = |object: &Value| {
            let source = Source::of(object);
            source.group() == GROUP || source.group().ends_with(&format!(".{GROUP}"))
        };
        Ok(objects.into_iter().filter(of_cert_manager).collect())
    }

    fn write_report(&self, text: &str) -> Result<(), MigrateError> {
        match &self.report {
            Some(path) => std::fs::write(path, text)
                .map_err(|source| MigrateError::Write { path: path.clone(), source }),
            None => {
                use std::io::Write;
                // If standard error is closed, nobody reads the report.
                let _ = std::io::stderr().write_all(harmless(text).as_bytes());
                Ok(())
            }
        }
    }
}

fn yaml(outcomes: &[Outcome]) -> Result<String, MigrateError> {
    let objects = outcomes.iter().filter_map(|outcome| outcome.object.as_ref());
    objects
        .map(|object| Ok(format!("---\n{}", serde_yaml::to_string(object).map_err(MigrateError::Yaml)?)))
        .collect()
}

fn write_files(directory: &std::path::Path, outcomes: &[Outcome]) -> Result<(), MigrateError> {
    let failed = |path: PathBuf| move |source| MigrateError::Write { path, source };
    std::fs::create_dir_all(directory).map_err(failed(directory.to_owned()))?;
    for outcome in outcomes.iter().filter(|outcome| outcome.object.is_some()) {
        let Source { kind, namespace, name, .. } = &outcome.source;
        let parts = [Some(kind.to_ascii_lowercase()), namespace.clone(), Some(name.clone())];
        let parts: Vec<_> = parts.into_iter().flatten().map(|part| part.replace(['/', '\\'], "_")).collect();
        let path = directory.join(format!("{}.yaml", parts.join("_")));
        std::fs::write(&path, yaml(std::slice::from_ref(outcome))?).map_err(failed(path.clone()))?;
    }
    Ok(())
}

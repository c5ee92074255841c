//! A request to the operator about issuers: an annotation with a new value, as users set it. `certwright rebind`, `retry` and
//! `rollover` are such requests.

use clap::Args;

use super::chosen_issuer::{ChosenIssuer, Judge, wait_for};
use super::failures::Failures;
use super::kind::Kind;
use super::targets::{Target, Targets};
use super::wait::Wait;
use super::{Cluster, ClusterArgs, Error, Exit};
use certwright_runtime::clock;

/// Which issuers.
#[derive(Args, Clone, Debug)]
pub struct IssuerRequest {
    /// Which issuers.
    #[command(flatten)]
    pub targets: Targets,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl IssuerRequest {
    /// Requests `what`, by a new value of `annotation`. With `--wait`, waits until `judge` says how it ended.
    ///
    /// # Errors
    /// [`Error`], if a request or the wait fails. All issuers that exist are asked.
    pub async fn execute(self, what: &str, annotation: &str, judge: Judge) -> Result<Exit, Error> {
        let targets = self.targets.parse(&[Kind::Issuer, Kind::ClusterIssuer])?;
        let cluster = self.cluster.connect().await?;
        ask_issuers(&cluster, &targets, (what, annotation), &self.wait, judge).await
    }
}

/// Requests `what` of issuers, by a new value of an annotation. With `--wait`, waits until `judge` says how it ended.
///
/// # Errors
/// [`Error`], if a request or the wait fails. All issuers that exist are asked.
pub async fn ask_issuers(
    cluster: &Cluster,
    targets: &[Target],
    (what, annotation): (&str, &str),
    wait: &Wait,
    judge: Judge,
) -> Result<Exit, Error> {
    let value = clock::now().to_string();
    let (mut asked, mut failures) = (Vec::new(), Failures::default());
    for target in targets {
        let issuer = ChosenIssuer::of(target, cluster);
        match issuer.ask(what, (annotation, &value)).await {
            Ok(()) => asked.push((issuer, value.clone())),
            Err(error) => failures.add(error)?,
        }
    }
    failures.end(wait_for(&asked, wait, judge).await?)
}

//! A request to the operator about an issuer: an annotation with a new value, as users set it. `certwright rebind`, `retry` and
//! `rollover` are such requests.

use clap::Args;

use super::chosen_issuer::{ChosenIssuer, OfIssuer};
use super::wait::{Wait, WaitStatus};
use super::{ClusterArgs, Error, Exit};
use certwright_api::IssuerStatus;
use certwright_runtime::clock;

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct IssuerRequest {
    /// The kind of the issuer.
    #[command(subcommand)]
    pub of: OfIssuer<Named>,
}

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct Named {
    /// Name of the issuer.
    pub name: String,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The state of a request, from the status of the issuer and the value of the annotation.
type Judge = fn(Option<&IssuerStatus>, &str) -> WaitStatus;

impl IssuerRequest {
    /// Requests `what`, by a new value of `annotation`. With `--wait`, waits until `judge` says how it ended.
    ///
    /// # Errors
    /// [`Error`], if the request or the wait fails.
    pub async fn execute(self, what: &str, annotation: &str, judge: Judge) -> Result<Exit, Error> {
        let value = (annotation, clock::now().to_string());
        let (kind, named) = self.of.split();
        let cluster = named.cluster.connect().await?;
        ChosenIssuer::new(kind, named.name, &cluster).request(what, value, &named.wait, judge).await
    }
}

//! `certwright rebind`: asks the operator to bind the account of an issuer anew.

use clap::{Args, Subcommand};

use super::chosen_issuer::ChosenIssuer;
use super::wait::{Wait, WaitStatus};
use super::{ClusterArgs, Error, Exit, outlook};
use crate::runtime::clock;
use certwright_api::{ANNOTATION_REBIND, CONDITION_ACCOUNT_REBOUND, CONDITION_READY, IssuerStatus};

/// What is requested.
const WHAT: &str = "rebinding of the account";

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct Rebind {
    /// The kind of the issuer.
    #[command(subcommand)]
    pub of: Of,
}

/// The kinds of issuers.
#[derive(Clone, Debug, Subcommand)]
pub enum Of {
    /// Rebind the account of an Issuer.
    Issuer(Named),
    /// Rebind the account of a ClusterIssuer.
    Clusterissuer(Named),
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

impl Rebind {
    /// Requests the rebinding by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        let value = (ANNOTATION_REBIND, clock::now().to_string());
        match self.of {
            Of::Issuer(named) => {
                let issuer = ChosenIssuer::issuer(&named.name, &named.cluster).await?;
                issuer.request(WHAT, value, &named.wait, judge).await
            }
            Of::Clusterissuer(named) => {
                let issuer = ChosenIssuer::cluster_issuer(&named.name, &named.cluster).await?;
                issuer.request(WHAT, value, &named.wait, judge).await
            }
        }
    }
}

fn judge(status: Option<&IssuerStatus>, value: &str) -> WaitStatus {
    let Some((status, acme)) = status.and_then(|status| Some((status, status.acme.as_ref()?))) else {
        return WaitStatus::Pending("waiting for the issuer to have an account".to_owned());
    };
    if acme.observed_rebind_request.as_deref() == Some(value) {
        return WaitStatus::Done(format!("the account is {}", acme.uri));
    }
    let ready = outlook::condition(&status.conditions, CONDITION_READY);
    let refused = outlook::condition(&status.conditions, CONDITION_ACCOUNT_REBOUND);
    // A condition may be older than the request, so it does not end the wait.
    let failed = refused.into_iter().chain(ready).find(|condition| condition.status == "False");
    WaitStatus::Pending(failed.map_or("waiting for the operator".to_owned(), |failed| {
        format!("{}: {}", failed.reason, failed.message)
    }))
}

//! `certwright rollover`: asks the operator to roll over the account key of an issuer now.

use std::collections::BTreeMap;
use std::fmt::Debug;

use clap::{Args, Subcommand};
use kube::Api;

use super::wait::{Wait, WaitStatus};
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use crate::runtime::clock;
use certwright_api::{ANNOTATION_ROLLOVER, CONDITION_KEY_ROLLOVER, ClusterIssuer, Issuer, IssuerStatus};
use certwright_core::reading::{Readable, Reading};

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct Rollover {
    /// The kind of the issuer.
    #[command(subcommand)]
    pub of: Of,
}

/// The kinds of issuers.
#[derive(Clone, Debug, Subcommand)]
pub enum Of {
    /// Roll over the account key of an Issuer.
    Issuer(Named),
    /// Roll over the account key of a ClusterIssuer.
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

impl Rollover {
    /// Requests the rollover by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        match self.of {
            Of::Issuer(named) => {
                let cluster = named.cluster.connect().await?;
                let api = |client| Api::<Reading<Issuer>>::namespaced(client, &cluster.namespace);
                let apis = (api(cluster.client.clone()), api(cluster.watching.clone()));
                roll_over(&cluster, apis, Some(&cluster.namespace), &named, |issuer| issuer.status.as_ref())
                    .await
            }
            Of::Clusterissuer(named) => {
                let cluster = named.cluster.connect().await?;
                let apis = (
                    Api::<Reading<ClusterIssuer>>::all(cluster.client.clone()),
                    Api::all(cluster.watching.clone()),
                );
                roll_over(&cluster, apis, None, &named, |issuer| issuer.status.as_ref()).await
            }
        }
    }
}

async fn roll_over<K>(
    cluster: &Cluster,
    (api, watched): (Api<Reading<K>>, Api<Reading<K>>),
    namespace: Option<&str>,
    named: &Named,
    status: impl Fn(&K) -> Option<&IssuerStatus>,
) -> Result<Exit, Error>
where
    K: Readable + Clone + Debug + Send + 'static,
{
    let kind = K::kind(&());
    let called = outlook::named(&kind, namespace, &named.name);
    let value = clock::now().to_string();
    cluster.annotate(&api, &named.name, &called, (ANNOTATION_ROLLOVER, Some(&value))).await?;
    print(&format!(
        "{}.certwright.dev/{}: account key rollover requested\n",
        kind.to_lowercase(),
        named.name
    ))?;
    if !named.wait.wait {
        return Ok(Exit::Fine);
    }
    let asked = BTreeMap::from([(named.name.clone(), value)]);
    named.wait.for_all(watched, asked, |issuer, value| judge(status(issuer), value)).await
}

fn judge(status: Option<&IssuerStatus>, value: &str) -> WaitStatus {
    let waits = || WaitStatus::Pending("waiting for the operator".to_owned());
    let Some((status, acme)) = status.and_then(|status| Some((status, status.acme.as_ref()?))) else {
        return WaitStatus::Pending("waiting for the issuer to have an account".to_owned());
    };
    let condition = outlook::condition(&status.conditions, CONDITION_KEY_ROLLOVER);
    let failed = acme.failed_key_rollover.as_ref().and_then(|failed| failed.request.as_deref());
    match condition {
        _ if acme.observed_rollover_request.as_deref() == Some(value) => {
            WaitStatus::Done(format!("the account key was rolled over, and is now {}", acme.key_algorithm))
        }
        Some(condition) if failed == Some(value) => {
            let again = outlook::time(acme.next_key_rollover.as_ref());
            let again = again.map_or(String::new(), |again| format!("; next attempt at {again}"));
            WaitStatus::Failed(format!("{}: {}{again}", condition.reason, condition.message))
        }
        _ => waits(),
    }
}

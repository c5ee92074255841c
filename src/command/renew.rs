//! `certwright renew`: asks the operator to renew Certificates now.

use std::collections::BTreeMap;

use clap::Args;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::output::{plain, tell};
use super::wait::{Wait, WaitStatus};
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use certwright_api::{ANNOTATION_RENEW, Certificate};
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// Which Certificates.
#[derive(Args, Clone, Debug)]
pub struct Renew {
    /// Names of Certificates.
    #[arg(required_unless_present_any = ["all", "selector"], conflicts_with_all = ["all", "selector"])]
    pub names: Vec<String>,
    /// All Certificates of the namespace.
    #[arg(long, conflicts_with = "selector")]
    pub all: bool,
    /// Certificates with these labels, such as `app=web`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl Renew {
    /// Requests the renewal by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let names = self.names(&cluster).await?;
        let api = Api::<Reading<Certificate>>::namespaced(cluster.client.clone(), &cluster.namespace);
        let value = clock::now().to_string();
        let mut asked = BTreeMap::new();
        let mut failed = None;
        for name in names {
            let called = outlook::named("Certificate", Some(&cluster.namespace), &name);
            let annotation = (ANNOTATION_RENEW, Some(value.as_str()));
            match cluster.annotate(&api, &name, &called, annotation).await {
                Err(error) => {
                    failed.iter().try_for_each(|error: &Error| {
                        tell(&format!("certwright: {}\n", plain(&error.to_string())))
                    })?;
                    failed = Some(error);
                }
                Ok(_) => {
                    print(&format!("certificate.certwright.dev/{name}: renewal requested\n"))?;
                    asked.insert(name, value.clone());
                }
            }
        }
        let mut exit = Exit::Fine;
        if self.wait.wait && !asked.is_empty() {
            let api = Api::<Reading<Certificate>>::namespaced(cluster.watching.clone(), &cluster.namespace);
            exit = self.wait.for_all(api, asked, judge).await?;
        }
        failed.map_or(Ok(exit), Err)
    }

    async fn names(&self, cluster: &Cluster) -> Result<Vec<String>, Error> {
        if !self.names.is_empty() {
            return Ok(self.names.clone());
        }
        let mut parameters = ListParams::default();
        if let Some(selector) = &self.selector {
            parameters = parameters.labels(selector);
        }
        let found = cluster.certificates(Some(&cluster.namespace), &parameters).await?;
        if found.is_empty() {
            return Err(Error::NotFound(format!(
                "a matching Certificate in namespace {}",
                cluster.namespace
            )));
        }
        Ok(found.iter().map(ResourceExt::name_any).collect())
    }
}

fn judge(certificate: &Certificate, asked: &String) -> WaitStatus {
    let status = certificate.status.clone().unwrap_or_default();
    if status.observed_renew_request.as_ref() == Some(asked) {
        let until = outlook::time(status.not_after.as_ref());
        return WaitStatus::Done(
            until.map_or("renewed".to_owned(), |until| format!("renewed, valid until {until}")),
        );
    }
    let issuing = outlook::condition(&status.conditions, certwright_api::CONDITION_ISSUING);
    match issuing {
        Some(issuing) if issuing.status == "False" && status.failed_renew_request.as_ref() == Some(asked) => {
            WaitStatus::Failed(format!("{}: {}", issuing.reason, issuing.message))
        }
        Some(issuing) if issuing.status == "True" => {
            WaitStatus::Pending(format!("{}: {}", issuing.reason, issuing.message))
        }
        _ => WaitStatus::Pending("waiting for the operator".to_owned()),
    }
}

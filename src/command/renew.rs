//! `certwright renew`: asks the operator to renew Certificates now.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::output::tell;
use super::wait::{Verdict, Wait};
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use crate::api::{ANNOTATION_RENEW, Certificate};
use crate::runtime::clock;

/// Which Certificates.
#[derive(Args, Clone, Debug)]
pub struct Renew {
    /// Names of Certificates.
    #[arg(required_unless_present_any = ["all", "selector"], conflicts_with_all = ["all", "selector"])]
    pub names: Vec<String>,
    /// All Certificates of the namespace.
    #[arg(long, conflicts_with = "selector")]
    pub all: bool,
    /// Those with these labels, such as `app=web`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// What was so when the renewal was asked for.
struct Asked {
    value: String,
    last_failure: Option<Timestamp>,
}

impl Renew {
    /// Asks for it, by the annotation that a human would set.
    ///
    /// # Errors
    /// [`Error`], if it cannot be asked for; with `--wait`, if that cannot be waited for.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let names = self.names(&cluster).await?;
        let api = Api::<Certificate>::namespaced(cluster.client.clone(), &cluster.namespace);
        let now = clock::now();
        let value = now.to_string();
        let mut asked = BTreeMap::new();
        let mut failed = None;
        let mut exit = Exit::Fine;
        for name in names {
            let called = outlook::named("Certificate", Some(&cluster.namespace), &name);
            let annotation = (ANNOTATION_RENEW, Some(value.as_str()));
            match cluster.annotate(&api, &name, &called, annotation).await {
                Err(error) => {
                    failed.iter().try_for_each(|error| tell(&format!("certwright: {error}\n")))?;
                    failed = Some(error);
                }
                Ok(certificate) => {
                    print(&format!("certificate.certwright.dev/{name}: renewal asked for\n"))?;
                    if let Some(words) = backs_off(&certificate, now) {
                        tell(&format!("{name}: {words}\n"))?;
                        exit = Exit::NotWell;
                        continue;
                    }
                    let status = certificate.status.as_ref();
                    let last_failure =
                        status.and_then(|status| outlook::time(status.last_failure_time.as_ref()));
                    asked.insert(name, Asked { value: value.clone(), last_failure });
                }
            }
        }
        if self.wait.wait && !asked.is_empty() {
            let api = Api::<Certificate>::namespaced(cluster.watching.clone(), &cluster.namespace);
            let waited = self.wait.for_all(api, asked, judge).await?;
            exit = if exit == Exit::Fine { waited } else { exit };
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
                "a Certificate that fits, in namespace {},",
                cluster.namespace
            )));
        }
        Ok(found.iter().map(ResourceExt::name_any).collect())
    }
}

/// A wait after a failure is not ended by asking for a renewal.
fn backs_off(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let outlook = outlook::of_certificate(certificate, now);
    let trouble = outlook.trouble.filter(|trouble| trouble.failed)?;
    let outlook::Next::At(_, time) = outlook.next else { return None };
    (time > now).then(|| {
        format!(
            "it waits after a failure ({}), and asking does not end that: it is tried again at {}; to have it tried at \
             once, change something in the spec",
            trouble.reason,
            super::output::moment(time, now)
        )
    })
}

fn judge(certificate: &Certificate, asked: &Asked) -> Verdict {
    let status = certificate.status.clone().unwrap_or_default();
    if status.observed_renew_request.as_deref() == Some(&asked.value) {
        let until = outlook::time(status.not_after.as_ref());
        return Verdict::Done(
            until.map_or("renewed".to_owned(), |until| format!("renewed, valid until {until}")),
        );
    }
    let issuing = outlook::condition(&status.conditions, crate::api::CONDITION_ISSUING);
    let failed_at = outlook::time(status.last_failure_time.as_ref());
    match issuing {
        Some(issuing)
            if issuing.status == "False" && failed_at.is_some() && failed_at != asked.last_failure =>
        {
            Verdict::Failed(format!("{}: {}", issuing.reason, issuing.message))
        }
        Some(issuing) if issuing.status == "True" => {
            Verdict::Pending(format!("{}: {}", issuing.reason, issuing.message))
        }
        _ => Verdict::Pending("waits for the operator".to_owned()),
    }
}

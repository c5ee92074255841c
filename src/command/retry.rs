//! `certwright retry`: asks the operator to try issuers, or issuances that failed, again now.

use clap::Args;
use kube::Api;

use super::failures::Failures;
use super::issuer_request::ask_issuers;
use super::kind::Kind;
use super::output::tell;
use super::renew::ask_certificates;
use super::targets::{Target, Targets};
use super::wait::{Wait, WaitStatus};
use super::{Cluster, ClusterArgs, Error, Exit, outlook};
use certwright_api::{ANNOTATION_RETRY, CONDITION_READY, Certificate, IssuerStatus};
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// Which objects.
#[derive(Args, Clone, Debug)]
pub struct Retry {
    /// Which objects.
    #[command(flatten)]
    pub targets: Targets,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl Retry {
    /// Requests the retry by the annotations that a user would set.
    ///
    /// # Errors
    /// [`Error`], if a request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        let targets = self.targets.parse(&Kind::ALL)?;
        let cluster = self.cluster.connect().await?;
        let (certificates, issuers): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| target.kind == Kind::Certificate);
        let mut failures = Failures::default();
        let ends = [
            ask_issuers(&cluster, &issuers, ("retry", ANNOTATION_RETRY), &self.wait, judge).await,
            retry_certificates(&cluster, &certificates, &self.wait).await,
        ];
        let mut exit = Exit::Fine;
        for end in ends {
            match end {
                Ok(Exit::Fine) => {}
                Ok(other) => exit = other,
                Err(error) => failures.add(error)?,
            }
        }
        failures.end(exit)
    }
}

/// Tries issuances that failed again. A Certificate without a failure is left alone: each certificate counts toward rate limits.
async fn retry_certificates(cluster: &Cluster, targets: &[Target], wait: &Wait) -> Result<Exit, Error> {
    let api = Api::<Reading<Certificate>>::namespaced(cluster.client.clone(), &cluster.namespace);
    let (mut failed, mut failures) = (Vec::new(), Failures::default());
    for target in targets {
        match cluster.one(&api, &target.name, &target.called(&cluster.namespace)).await {
            Ok(certificate) if has_failed(&certificate) => failed.push(target.name.clone().into()),
            Ok(_) => tell(&format!(
                "{}: nothing to retry: it has not failed; `certwright renew` renews it anyway\n",
                target.name
            ))?,
            Err(error) => failures.add(error)?,
        }
    }
    failures.end(ask_certificates(cluster, failed, "retry", wait).await?)
}

/// Whether the last issuance failed, and none is in progress.
pub fn has_failed(certificate: &Certificate) -> bool {
    outlook::of_certificate(certificate, clock::now()).trouble.is_some_and(|trouble| trouble.failed)
}

fn judge(status: Option<&IssuerStatus>, value: &str) -> WaitStatus {
    let observed = status.filter(|status| status.observed_retry_request.as_deref() == Some(value));
    let ready = observed.and_then(|status| outlook::condition(&status.conditions, CONDITION_READY));
    let (Some(status), Some(ready)) = (observed, ready) else {
        return WaitStatus::Pending("waiting for the operator".to_owned());
    };
    if ready.status == "True" {
        return WaitStatus::Done("the issuer is ready, and its Certificates continue".to_owned());
    }
    let again = outlook::time(status.next_attempt_time.as_ref());
    let again = again.map_or(String::new(), |again| format!("; next attempt at {again}"));
    WaitStatus::Failed(format!("{}: {}{again}", ready.reason, ready.message))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    #[test]
    fn the_wait_ends_with_the_attempt_that_was_requested_and_with_no_other() {
        let pending = WaitStatus::Pending("waiting for the operator".to_owned());
        assert_eq!(judge(None, "now"), pending);
        assert_eq!(judge(Some(&status("True", Some("before"))), "now"), pending);
        assert_eq!(judge(Some(&status("False", None)), "now"), pending);
        let done = WaitStatus::Done("the issuer is ready, and its Certificates continue".to_owned());
        assert_eq!(judge(Some(&status("True", Some("now"))), "now"), done);
        let failed = "OUT_OF_CREDIT: No credit left; next attempt at 1970-01-01T00:00:00Z".to_owned();
        assert_eq!(judge(Some(&status("False", Some("now"))), "now"), WaitStatus::Failed(failed));
    }

    fn status(ready: &str, observed: Option<&str>) -> IssuerStatus {
        let condition = Condition {
            type_: CONDITION_READY.to_owned(),
            status: ready.to_owned(),
            reason: "OUT_OF_CREDIT".to_owned(),
            message: "No credit left".to_owned(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        IssuerStatus {
            conditions: vec![condition],
            observed_retry_request: observed.map(str::to_owned),
            next_attempt_time: Some(Time(Timestamp::UNIX_EPOCH)),
            ..IssuerStatus::default()
        }
    }
}

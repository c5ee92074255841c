//! `certwright revoke`: asks the operator to revoke the certificate of a Certificate now.

use std::collections::BTreeMap;

use clap::Args;
use kube::Api;

use super::confirm::{Act, Confirm};
use super::output::{moment, plain};
use super::values::one_of;
use super::wait::{Wait, WaitStatus};
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use certwright_api::{
    ANNOTATION_REVOKE, CONDITION_REVOCATION, Certificate, LastRevocation, RevocationReason, RevocationResult,
    certificate_reason as reason,
};
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// Which Certificate, and why.
#[derive(Args, Clone, Debug)]
pub struct Revoke {
    /// Name of the Certificate.
    pub name: String,
    /// Reason for the revocation. With `keyCompromise`, the next certificate has a new private key.
    #[arg(long, value_parser = one_of(RevocationReason::ALL, RevocationReason::as_str))]
    pub reason: RevocationReason,
    /// Whether it is confirmed.
    #[command(flatten)]
    pub confirm: Confirm,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The state at the time of the request.
struct Asked {
    reason: RevocationReason,
    last: Option<LastRevocation>,
}

impl Revoke {
    /// Requests the revocation by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let called = outlook::named("Certificate", Some(&cluster.namespace), &self.name);
        let api = Api::<Reading<Certificate>>::namespaced(cluster.client.clone(), &cluster.namespace);
        let certificate = cluster.one(&api, &self.name, &called).await?;
        let act = Act { name: "a revocation", consequence: "cannot be undone", effect: "revoked" };
        self.confirm.require(&act, &self.question(&called, &certificate))?;
        if observed(&certificate) == Some(self.reason.as_str()) {
            self.take_back(&cluster, &api, &called).await?;
        }
        let annotation = (ANNOTATION_REVOKE, Some(self.reason.as_str()));
        cluster.annotate(&api, &self.name, &called, annotation).await?;
        print(&format!("certificate.certwright.dev/{}: revocation requested\n", self.name))?;
        if !self.wait.wait {
            return Ok(Exit::Fine);
        }
        let last = certificate.status.and_then(|status| status.revocation?.last);
        let asked = BTreeMap::from([(self.name.into(), Asked { reason: self.reason, last })]);
        let api = Api::<Reading<Certificate>>::namespaced(cluster.watching.clone(), &cluster.namespace);
        self.wait.for_all(api, asked, judge).await
    }

    /// What the user has to confirm.
    fn question(&self, called: &str, certificate: &Certificate) -> String {
        let status = certificate.status.clone().unwrap_or_default();
        let until = outlook::time(status.not_after.as_ref());
        let until =
            until.map_or(String::new(), |until| format!(", valid until {}", moment(until, clock::now())));
        let serial = status
            .serial_number
            .map_or(String::new(), |serial| format!(", serial number {}", plain(&serial)));
        let reason = self.reason.as_str();
        format!("Revoke the certificate of {called}{serial}{until}, with reason {reason}?")
    }

    /// Removes an earlier request for the same reason: the operator ignores the same request until it has been removed.
    async fn take_back(
        &self,
        cluster: &Cluster,
        api: &Api<Reading<Certificate>>,
        called: &str,
    ) -> Result<(), Error> {
        cluster.annotate(api, &self.name, called, (ANNOTATION_REVOKE, None)).await?;
        let gone = |certificate: &Certificate, (): &()| match observed(certificate) {
            Some(_) => WaitStatus::Pending(
                "waiting for the operator to clear the last request with this reason".to_owned(),
            ),
            None => WaitStatus::Done("the last request with this reason is cleared".to_owned()),
        };
        let watched = Api::<Reading<Certificate>>::namespaced(cluster.watching.clone(), &cluster.namespace);
        self.wait.for_all(watched, BTreeMap::from([(self.name.clone().into(), ())]), gone).await.map(drop)
    }
}

fn observed(certificate: &Certificate) -> Option<&str> {
    certificate.status.as_ref()?.revocation.as_ref()?.observed_request.as_deref()
}

fn judge(certificate: &Certificate, asked: &Asked) -> WaitStatus {
    let waits = || WaitStatus::Pending("waiting for the operator".to_owned());
    if observed(certificate) != Some(asked.reason.as_str()) {
        return waits();
    }
    let Some(status) = &certificate.status else { return waits() };
    let last = status.revocation.as_ref().and_then(|revocation| revocation.last.as_ref());
    let condition = outlook::condition(&status.conditions, CONDITION_REVOCATION);
    let said = condition.map_or(String::new(), |condition| condition.message.clone());
    match last {
        Some(last) if asked.last.as_ref() != Some(last) => match last.result {
            RevocationResult::Revoked => WaitStatus::Done(format!(
                "certificate {} is revoked; a replacement is ordered",
                last.serial_number
            )),
            RevocationResult::GivenUp => WaitStatus::Failed(said),
        },
        _ => match condition.map(|condition| condition.reason.as_str()) {
            Some(reason::NOTHING_TO_REVOKE | reason::INVALID_REVOCATION_REASON) => WaitStatus::Failed(said),
            Some(reason::REVOCATION_FAILED) => WaitStatus::Pending(said),
            _ => WaitStatus::Pending("asking the CA to revoke it".to_owned()),
        },
    }
}

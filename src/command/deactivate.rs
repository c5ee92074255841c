//! `certwright deactivate`: asks the operator to deactivate an account of an issuer now.

use clap::Args;

use super::chosen_issuer::{ChosenIssuer, wait_for};
use super::confirm::{Act, Confirm};
use super::kind::Kind;
use super::output::plain;
use super::targets::Targets;
use super::wait::{Wait, WaitStatus};
use super::{ClusterArgs, Error, Exit, outlook};
use certwright_api::{
    ANNOTATION_DEACTIVATE_ACCOUNT, CONDITION_ACCOUNT_DEACTIVATED, IssuerStatus, PreviousAccount,
};

/// Which issuer, and which of its accounts.
#[derive(Args, Clone, Debug)]
pub struct Deactivate {
    /// Which issuer.
    #[command(flatten)]
    pub targets: Targets,
    /// URL of the account: one of status.acme.previousAccounts. By default, the current account.
    #[arg(long, value_name = "URL")]
    pub account: Option<String>,
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

impl Deactivate {
    /// Requests the deactivation by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        let [target] = &self.targets.parse(&[Kind::Issuer, Kind::ClusterIssuer])?[..] else {
            return Err(Error::Usage("accounts are deactivated one at a time; name one issuer".to_owned()));
        };
        let cluster = self.cluster.connect().await?;
        let issuer = ChosenIssuer::of(target, &cluster);
        let url = account(&issuer.read().await?.status, self.account.as_deref(), &issuer.called)?;
        let question = format!("Deactivate the account {} of {}?", plain(&url), issuer.called);
        let act = Act { name: "a deactivation", consequence: "cannot be undone", effect: "deactivated" };
        self.confirm.require(&act, &question)?;
        issuer.ask("account deactivation", (ANNOTATION_DEACTIVATE_ACCOUNT, &url)).await?;
        wait_for(&[(issuer, url)], &self.wait, judge).await
    }
}

/// The URL of the account to deactivate: `wanted` or, by default, the current account.
fn account(status: &IssuerStatus, wanted: Option<&str>, called: &str) -> Result<String, Error> {
    let acme = status.acme.as_ref().ok_or_else(|| Error::NotFound(format!("an account of {called}")))?;
    let Some(wanted) = wanted else { return Ok(acme.uri.clone()) };
    let mut known = acme.previous_accounts.iter().map(|account| &account.uri).chain([&acme.uri]);
    let found = known.find(|uri| *uri == wanted);
    found.cloned().ok_or_else(|| Error::NotFound(format!("account {wanted} of {called}")))
}

fn judge(status: Option<&IssuerStatus>, url: &str) -> WaitStatus {
    let waits = || WaitStatus::Pending("waiting for the operator".to_owned());
    let Some((status, acme)) = status.and_then(|status| Some((status, status.acme.as_ref()?))) else {
        return waits();
    };
    let has_ended = |account: &PreviousAccount| account.uri == url && account.deactivation_time.is_some();
    if (acme.uri == url && acme.deactivation_time.is_some()) || acme.previous_accounts.iter().any(has_ended) {
        return WaitStatus::Done(format!("the account {url} is deactivated"));
    }
    let failed = status.deactivation.as_ref().filter(|failed| failed.account == url);
    match (outlook::condition(&status.conditions, CONDITION_ACCOUNT_DEACTIVATED), failed) {
        (Some(condition), Some(failed)) => {
            let again = outlook::time(failed.next_attempt_time.as_ref());
            let again = again.map_or(String::new(), |again| format!("; next attempt at {again}"));
            WaitStatus::Failed(format!("{}: {}{again}", condition.reason, condition.message))
        }
        _ => waits(),
    }
}

#[cfg(test)]
mod tests {
    use certwright_api::AcmeAccountStatus;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const CURRENT: &str = "https://ca.example/account/2";
    const PREVIOUS: &str = "https://ca.example/account/1";

    fn status() -> IssuerStatus {
        let previous = PreviousAccount { uri: PREVIOUS.to_owned(), ..PreviousAccount::default() };
        let acme = AcmeAccountStatus {
            uri: CURRENT.to_owned(),
            previous_accounts: vec![previous],
            ..AcmeAccountStatus::default()
        };
        IssuerStatus { acme: Some(acme), ..IssuerStatus::default() }
    }

    #[test]
    fn the_current_account_is_deactivated_unless_another_one_of_the_issuer_is_named() {
        let url = |status: &IssuerStatus, wanted| {
            account(status, wanted, "Issuer shop/ca").map_err(|e| e.to_string())
        };
        assert_eq!(url(&status(), None).as_deref(), Ok(CURRENT));
        assert_eq!(url(&status(), Some(CURRENT)).as_deref(), Ok(CURRENT));
        assert_eq!(url(&status(), Some(PREVIOUS)).as_deref(), Ok(PREVIOUS));
        let foreign = "https://ca.example/account/3";
        let refused = format!("account {foreign} of Issuer shop/ca does not exist");
        assert_eq!(url(&status(), Some(foreign)), Err(refused));
        let refused = "an account of Issuer shop/ca does not exist".to_owned();
        assert_eq!(url(&IssuerStatus::default(), None), Err(refused));
    }

    #[test]
    fn the_deactivation_of_one_account_is_not_taken_for_that_of_another() {
        let mut status = status();
        let pending = WaitStatus::Pending("waiting for the operator".to_owned());
        let done = |url: &str| WaitStatus::Done(format!("the account {url} is deactivated"));
        assert_eq!(judge(Some(&status), CURRENT), pending);
        let acme = status.acme.as_mut().unwrap();
        acme.previous_accounts[0].deactivation_time = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(judge(Some(&status), PREVIOUS), done(PREVIOUS));
        assert_eq!(judge(Some(&status), CURRENT), pending);
        status.acme.as_mut().unwrap().deactivation_time = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(judge(Some(&status), CURRENT), done(CURRENT));
    }
}

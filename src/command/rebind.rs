//! `certwright rebind`: asks the operator to bind the account of an issuer anew.

use clap::Args;

use super::issuer_request::IssuerRequest;
use super::wait::WaitStatus;
use super::{Error, Exit, outlook};
use certwright_api::{ANNOTATION_REBIND, CONDITION_ACCOUNT_REBOUND, CONDITION_READY, IssuerStatus};

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct Rebind {
    /// Which issuer.
    #[command(flatten)]
    pub issuer: IssuerRequest,
}

impl Rebind {
    /// Requests the rebinding by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        self.issuer.execute("rebinding of the account", ANNOTATION_REBIND, judge).await
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

//! `certwright rollover`: asks the operator to roll over the account key of an issuer now.

use clap::Args;

use super::issuer_request::IssuerRequest;
use super::wait::WaitStatus;
use super::{Error, Exit, outlook};
use certwright_api::{ANNOTATION_ROLLOVER, CONDITION_KEY_ROLLOVER, IssuerStatus};

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct Rollover {
    /// Which issuer.
    #[command(flatten)]
    pub issuer: IssuerRequest,
}

impl Rollover {
    /// Requests the rollover by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        self.issuer.execute("account key rollover", ANNOTATION_ROLLOVER, judge).await
    }
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

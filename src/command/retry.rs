//! `certwright retry`: asks the operator to try an issuer again now.

use clap::Args;

use super::issuer_request::IssuerRequest;
use super::wait::WaitStatus;
use super::{Error, Exit, outlook};
use certwright_api::{ANNOTATION_RETRY, CONDITION_READY, IssuerStatus};

/// Which issuer.
#[derive(Args, Clone, Debug)]
pub struct Retry {
    /// Which issuer.
    #[command(flatten)]
    pub issuer: IssuerRequest,
}

impl Retry {
    /// Requests the retry by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        self.issuer.execute("retry", ANNOTATION_RETRY, judge).await
    }
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

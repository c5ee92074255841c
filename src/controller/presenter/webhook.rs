//! Calls a webhook through the API server.

use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use tokio::time::timeout;

use crate::controller::context::Context;
use certwright_api::{Dns01Webhook, OpaqueJson};
use certwright_core::naming::digest;
use certwright_solver::dns01::Record;
use certwright_solver::dns01::Unserved;
use certwright_solver::dns01::webhook::{self, Action};

/// How long to wait for a webhook's answer: less than for the API server itself.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(25);
/// How long to wait for the API server to say whether it has an API group.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A webhook behind the Kubernetes API.
pub struct Webhook {
    /// Which, and its config.
    pub settings: Dns01Webhook,
    /// The namespace of the Secrets in its config.
    pub namespace: String,
    /// Whether it may use ambient credentials.
    pub ambient: bool,
}

impl Webhook {
    /// Lets it add or remove a record, for the object with this uid.
    pub async fn call(
        &self,
        context: &Context,
        uid: &str,
        action: Action,
        record: &Record,
    ) -> Result<(), Failure> {
        let Dns01Webhook { group_name, solver_name, config } = &self.settings;
        let request_id = format!("{uid}-{}", digest(&format!("{action:?} {}", record.value)));
        let named =
            |words: String| Failure::from(format!("the webhook {solver_name} of {group_name} {words}"));
        let config = config.as_ref().map(OpaqueJson::value).transpose();
        let config = config.map_err(|error| named(format!("cannot be called: {error}")))?;
        let payload = webhook::request(&request_id, action, record, &self.namespace, self.ambient, config);
        let body =
            serde_json::to_vec(&payload).map_err(|error| named(format!("cannot be called: {error}")))?;
        let request = Request::post(webhook::path(group_name, solver_name))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| named(format!("cannot be called: {error}")))?;
        let called = async {
            let answer = context.client.send(request).await;
            let answer = answer.map_err(|_| "cannot be reached through the API server")?;
            let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
            let body = Limited::new(answer.into_body(), webhook::MAX_ANSWER).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => "sent an answer of more than 128 KiB, which is not read; check its log",
                false => "sent an incomplete answer",
            })?;
            Ok((status, retry_after, body.to_bytes()))
        };
        let called = timeout(WEBHOOK_TIMEOUT, called).await.unwrap_or(Err("did not answer in time"));
        let (status, retry_after, body) = called.map_err(|words| named(words.to_owned()))?;
        let http_status = || named(format!("answered HTTP {}", status.as_u16()));
        let error = match webhook::read(&body, &request_id) {
            Ok(()) if status.is_success() => return Ok(()),
            Ok(()) => return Err(http_status()),
            Err(error) => error,
        };
        if *group_name == context.config.dns_webhook_group
            && let Some(unserved) = Unserved::of(group_name, status, &error)
        {
            let unserved = explained(unserved, context).await;
            return Err(Failure { words: unserved.to_string(), unserved: true, retry_after: None });
        }
        let failure = match error {
            webhook::Error::NotJson if !status.is_success() => http_status(),
            error => named(error.to_string()),
        };
        Err(Failure { retry_after, ..failure })
    }
}

/// Why a provider did not add or remove a record.
pub struct Failure {
    /// The cause, for people.
    pub words: String,
    /// Whether `certwright-dns` is not installed, does not answer, or may not be called.
    pub unserved: bool,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self { words, unserved: false, retry_after: None }
    }
}

/// The API server tells whoever may not call a group that this is forbidden, also if it has no such group: asks whether it has.
async fn explained(unserved: Unserved, context: &Context) -> Unserved {
    let Unserved::Forbidden { group, .. } = &unserved else { return unserved };
    let Ok(request) = Request::get(format!("/apis/{group}")).body(Body::empty()) else { return unserved };
    match timeout(DISCOVERY_TIMEOUT, context.client.send(request)).await {
        Ok(Ok(answer)) if answer.status() == StatusCode::NOT_FOUND => {
            Unserved::NotInstalled { group: group.clone() }
        }
        _ => unserved,
    }
}

/// The header of the same name, in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_seconds() {
        let read = |value: &'static str| {
            retry_after(&HeaderMap::from_iter([(http::header::RETRY_AFTER, value.parse().unwrap())]))
        };
        assert_eq!(read("60"), Some(Duration::from_secs(60)));
        assert_eq!([read("soon"), read("-1"), read("Sun, 29 Nov 2026 12:00:00 GMT")], [None; 3]);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}

//! The clients of the Kubernetes API server.

use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use http::{Request, StatusCode};
use kube::client::Body;
use kube::{Client, Config};
use tokio::time::timeout;
use tower::BoxError;

use super::clock;
use super::liveness::Liveness;

/// How long the API server may take to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to start answering a request of a watch. A watch itself may be silent for long.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a watch may be silent. The API server ends each watch earlier (Kubernetes, "--min-request-timeout"), and sends most
/// silent watches a bookmark every minute.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(6 * 60);

const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
const METADATA_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");

/// Why a watch got no answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server has not begun to answer for {} s", FIRST_ANSWER_TIMEOUT.as_secs())]
struct NoAnswer;

/// A client for watches. A request without an answer times out, so that the watch continues when the API server, or the
/// network, is back. Each answer is reported to `liveness` and `saw`.
///
/// # Errors
/// As [`Client::try_from`]
pub fn for_watches(
    mut config: Config,
    liveness: Liveness,
    saw: impl Fn(Answered<'_>) + Clone + Send + Sync + 'static,
) -> Result<Client, kube::Error> {
    config.read_timeout = Some(SILENCE_TIMEOUT);
    // Otherwise the idle time of a connection before the request also counts.
    config.reset_reader_on_write = true;
    let client = observed(Client::try_from(config)?, saw);
    let namespace = client.default_namespace().to_owned();
    let watched = tower::service_fn(move |request: Request<Body>| {
        let (client, liveness) = (client.clone(), liveness.clone());
        async move {
            let request = consistent(request);
            let watched = watched(request.uri().path()).to_owned();
            let response =
                timeout(FIRST_ANSWER_TIMEOUT, client.send(request)).await.map_err(|_| NoAnswer)??;
            liveness.answered(&watched, clock::instant());
            Ok::<_, BoxError>(response)
        }
    });
    Ok(Client::new(watched, namespace))
}

/// A client for all other requests, which are answered soon or fail. Each answer is reported to `saw`.
///
/// # Errors
/// As [`Client::try_from`]
pub fn for_requests(
    mut config: Config,
    saw: impl Fn(Answered<'_>) + Clone + Send + Sync + 'static,
) -> Result<Client, kube::Error> {
    config.read_timeout = Some(REQUEST_TIMEOUT);
    // It would block a reconcile for minutes, for example if a provider behind the API server is down. A failed reconcile is
    // retried anyway, and reports why.
    config.default_retry = false;
    Ok(observed(Client::try_from(config)?, saw))
}

/// The same client for metadata only: of Secrets, nothing else reaches this process.
pub fn metadata_only(client: &Client) -> Client {
    let (namespace, client) = (client.default_namespace().to_owned(), client.clone());
    let metadata = tower::service_fn(move |mut request: Request<Body>| {
        let client = client.clone();
        async move {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            request.headers_mut().insert(ACCEPT, if is_watch { METADATA } else { METADATA_LIST });
            Ok::<_, BoxError>(client.send(request).await?)
        }
    });
    Client::new(metadata, namespace)
}

/// When a watch starts with a list, kube accepts a list of any age: the cache of another API server may lag behind what this
/// process, or the last leader, has written. Without a version, the list contains all writes so far.
fn consistent(mut request: Request<Body>) -> Request<Body> {
    let uri = request.uri().to_string();
    if uri.contains("sendInitialEvents=true")
        && let Ok(uri) = uri.replace("&resourceVersion=0", "").parse()
    {
        *request.uri_mut() = uri;
    }
    request
}

/// The result of a request.
pub type Answered<'a> = Result<StatusCode, &'a kube::Error>;

/// The same client, which reports the result of each request to `saw`.
fn observed(client: Client, saw: impl Fn(Answered<'_>) + Clone + Send + Sync + 'static) -> Client {
    let namespace = client.default_namespace().to_owned();
    let observed = tower::service_fn(move |request: Request<Body>| {
        let (client, saw) = (client.clone(), saw.clone());
        async move {
            let answer = client.send(request).await;
            saw(answer.as_ref().map(|answer| answer.status()));
            Ok::<_, BoxError>(answer?)
        }
    });
    Client::new(observed, namespace)
}

/// The resource in a path, with its namespace if there is one.
fn watched(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.split_once("/namespaces/").map_or_else(|| path.rsplit('/').next().unwrap_or(path), |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_list_has_all_writes_so_far() {
        let sent = |uri: &str| {
            let request = Request::get(uri).body(Body::empty()).unwrap();
            consistent(request).uri().to_string()
        };
        let streamed = "/api/v1/secrets?&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        assert_eq!(sent(&format!("{streamed}&resourceVersion=0")), streamed);
        let resumed = "/api/v1/secrets?&watch=true&resourceVersion=0";
        assert_eq!(sent(resumed), resumed);
    }

    #[test]
    fn what_is_watched_is_in_the_path() {
        assert_eq!(watched("/apis/certwright.dev/v1alpha1/certificates"), "certificates");
        assert_eq!(watched("/apis/certwright.dev/v1alpha1/namespaces/web/issuers"), "web/issuers");
        assert_eq!(watched("/api/v1/namespaces"), "namespaces");
    }
}

//! Stands between a client of the crate `dns-update` and a server that an issuer's author chose.
//!
//! The crate resolves the server's name by itself, after it was checked, and reads answers of any size. So it is given an address of
//! this process in place of the server's. From there, requests go on to the server with a client that connects only to permitted
//! addresses, and reads bounded answers.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::Mutex;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::call::{Answer, Caller, Purpose};
use crate::error::ServiceError;

/// What concerns one connection only. Compressed answers are not asked for: they may be long.
const NOT_PASSED_ON: [HeaderName; 5] = [ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// A relay to one server. It ends when this is dropped.
pub struct Relay {
    url: String,
    to: Arc<Destination>,
    task: JoinHandle<()>,
}

struct Destination {
    title: &'static str,
    server: Url,
    caller: Caller,
    /// Why the last request has no answer.
    failure: Mutex<Option<ServiceError>>,
}

impl Relay {
    /// A relay to `server`, which messages call `title`.
    ///
    /// # Errors
    /// If this process cannot listen on its own host.
    pub async fn start(title: &'static str, server: Url, caller: Caller) -> Result<Self, ServiceError> {
        let failed = |_| ServiceError::new(format!("{title} cannot be reached: no port is free"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let url = format!("http://{address}{}", server.path());
        let to = Arc::new(Destination { title, server, caller, failure: Mutex::default() });
        let router = Router::new().fallback(pass_on).with_state(to.clone());
        let task = tokio::spawn(async move {
            // It does not end by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, to, task })
    }

    /// What to connect to in place of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Why the last request has no answer that the crate can use.
    #[must_use]
    pub fn failure(&self) -> Option<ServiceError> {
        self.to.failure.lock().take()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(
    State(to): State<Arc<Destination>>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut url = to.server.clone();
    url.set_path(uri.path());
    url.set_query(uri.query());
    NOT_PASSED_ON.iter().for_each(|name| drop(headers.remove(name)));
    to.failure.lock().take();
    let fill = |request: reqwest::RequestBuilder| request.headers(headers).body(body);
    let refused = match to.caller.send(Purpose::Service(to.title), method, url, fill).await {
        // The crate would wait for as long as this request may take. Whoever sent it waits for as long as the service says.
        Ok(answer) if is_wait(&answer) => answer.refusal(None, &[]),
        Ok(answer) => {
            let mut headers = answer.headers.clone();
            NOT_PASSED_ON.iter().for_each(|name| drop(headers.remove(name)));
            return (answer.status, headers, answer.body().to_vec()).into_response();
        }
        Err(error) => error,
    };
    *to.failure.lock() = Some(refused);
    StatusCode::BAD_REQUEST.into_response()
}

/// Whether an answer says that the service wants to be left alone for some time.
fn is_wait(answer: &Answer) -> bool {
    answer.status == StatusCode::TOO_MANY_REQUESTS
        || (answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.headers.contains_key(RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use certwright_egress::{Egress, Rules};
    use wiremock::matchers::{header, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    #[tokio::test]
    async fn requests_and_answers_are_passed_on() {
        let server = MockServer::start().await;
        let asked = Mock::given(method("PATCH")).and(path("/base/a%2Fb")).and(query_param("q", "1"));
        let asked = asked.and(header("x-api-key", "key")).and(wiremock::matchers::body_string("body"));
        let answer = ResponseTemplate::new(422).set_body_string("no").insert_header("x-more", "1");
        asked.respond_with(answer).mount(&server).await;
        let relay = relay(&format!("{}/base", server.uri()), true).await;
        let request = http().patch(format!("{}/a%2Fb?q=1", relay.url())).header("x-api-key", "key");
        let answer = request.body("body").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["x-more"].as_bytes()), (422, &b"1"[..]));
        assert_eq!(answer.text().await.unwrap(), "no");
        assert_eq!(relay.failure(), None);
    }

    #[tokio::test]
    async fn an_address_that_was_not_there_when_the_name_was_checked_is_not_connected_to() {
        let server = MockServer::start().await;
        let url = server.uri().replace("127.0.0.1", "localhost");
        let relay = relay(&url, false).await;
        assert_eq!(http().get(relay.url()).send().await.unwrap().status(), 400);
        let failure = relay.failure().unwrap().message;
        assert!(failure.starts_with("PowerDNS is not allowed: the operator's egress rules"), "{failure}");
        assert!(server.received_requests().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_wait_that_the_server_asks_for_is_passed_on_at_once() {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(429).insert_header("retry-after", "1000");
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let relay = relay(&server.uri(), true).await;
        assert_eq!(http().get(relay.url()).send().await.unwrap().status(), 400);
        let failure = relay.failure().unwrap();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(1000)));
        assert_eq!(failure.message, "PowerDNS answered HTTP 429; it limits the rate of requests");
    }

    async fn relay(server: &str, allowed: bool) -> Relay {
        let allow = if allowed { vec!["127.0.0.1".parse().unwrap()] } else { Vec::new() };
        let egress = Egress::new(Rules { allow, ..Rules::default() }, |_| {});
        let caller = Caller::restricted(&egress).unwrap();
        Relay::start("PowerDNS", server.parse().unwrap(), caller).await.unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test connects to its own servers")]
    fn http() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }
}

//! DNS over HTTPS (RFC 8484).

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Url};

use super::http::send;
use super::transport::{NoAnswer, Reply, Request};

const DNS_MESSAGE: &str = "application/dns-message";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server at `url`.
pub(super) async fn ask(client: &Client, url: &Url, request: &Request) -> Result<Reply, NoAnswer> {
    let post = client
        .post(url.clone())
        .header(CONTENT_TYPE, DNS_MESSAGE)
        .header(ACCEPT, DNS_MESSAGE)
        .body(request.bytes.clone());
    let bytes = send(post, TIMEOUT).await.map_err(NoAnswer::Https)?;
    request.reply(&bytes).ok_or(NoAnswer::Garbled)
}

//! DNS over HTTPS (RFC 8484).

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Url;

use super::http::post;
use super::transport::{NoAnswer, Reply, Request};
use certwright_egress::HttpClient;

const DNS_MESSAGE: &str = "application/dns-message";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a query to the server at `url`.
pub(super) async fn ask(client: &HttpClient, url: &Url, request: &Request) -> Result<Reply, NoAnswer> {
    let bytes = post(client, url, TIMEOUT, |post| {
        post.header(CONTENT_TYPE, DNS_MESSAGE).header(ACCEPT, DNS_MESSAGE).body(request.bytes.clone())
    });
    let bytes = bytes.await.map_err(NoAnswer::Https)?;
    request.reply(&bytes).ok_or(NoAnswer::Garbled)
}

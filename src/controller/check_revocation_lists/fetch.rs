//! Fetches one revocation list.

use std::time::Duration;

use http::Method;
use http::header::LOCATION;
use reqwest::{Response, Url};
use tokio::time::timeout;

use certwright_egress::{Egress, Forbidden, HttpClient, NoAnswer, Purpose, SendError, USER_AGENT, tls};

/// Larger lists are not used.
const MAX_LIST: usize = 8 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take altogether.
const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 3;

/// Why a list could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the URL is not valid")]
    Url,
    #[error("the HTTP client cannot be created")]
    Client,
    #[error("the server {0}")]
    Forbidden(Forbidden),
    #[error("the server did not send it in time")]
    Timeout,
    #[error("the server cannot be reached: TLS: {0}")]
    Tls(String),
    #[error("the server cannot be reached: {0}")]
    Unreachable(&'static str),
    #[error("the server answered HTTP {0}")]
    Status(u16),
    #[error("the server redirected more than {MAX_REDIRECTS} times")]
    Redirects,
    #[error("the server sent an incomplete answer")]
    Cut,
    #[error("it is larger than 8 MiB")]
    TooLarge,
}

/// Fetches the list at `url`.
///
/// # Errors
/// [`FetchError`]
pub(crate) async fn fetch(url: &str, egress: &Egress) -> Result<Vec<u8>, FetchError> {
    let tls = tls::system_roots().map_err(|_| FetchError::Client)?;
    let client = HttpClient::new(egress, Purpose::RevocationList, |builder| {
        builder
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(0)
            .tls_backend_preconfigured(tls.clone())
    });
    let client = client.map_err(|_| FetchError::Client)?;
    timeout(TIMEOUT, follow(&client, url)).await.unwrap_or(Err(FetchError::Timeout))
}

async fn follow(client: &HttpClient, url: &str) -> Result<Vec<u8>, FetchError> {
    let mut url: Url = url.parse().map_err(|_| FetchError::Url)?;
    for _ in 0..=MAX_REDIRECTS {
        if !["http", "https"].contains(&url.scheme()) {
            return Err(FetchError::Url);
        }
        let sent = client.send(Method::GET, url.clone(), |request| request.timeout(TIMEOUT)).await;
        let response = sent.map_err(no_answer)?;
        let status = response.status();
        if status.is_success() {
            return body(response).await;
        }
        if !status.is_redirection() {
            return Err(FetchError::Status(status.as_u16()));
        }
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        url = to.and_then(|to| url.join(to).ok()).ok_or(FetchError::Status(status.as_u16()))?;
    }
    Err(FetchError::Redirects)
}

async fn body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    // Growing would need twice the memory, and what is not written takes none.
    let mut body = Vec::with_capacity(MAX_LIST);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_LIST => return Err(FetchError::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(FetchError::Timeout),
            Err(_) => return Err(FetchError::Cut),
        }
    }
}

fn no_answer(error: SendError) -> FetchError {
    match NoAnswer::of(error) {
        NoAnswer::Forbidden(forbidden) => FetchError::Forbidden(forbidden),
        NoAnswer::Timeout => FetchError::Timeout,
        NoAnswer::Tls(detail) => FetchError::Tls(detail),
        NoAnswer::Unreachable(cause) => FetchError::Unreachable(cause),
    }
}

//! One HTTP request to one address, which distinguishes every way it can fail.
//!
//! A general HTTP client hides which of a name's addresses it connected to and why the others failed. A self-check has to
//! report this, so it makes its own connections.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, LOCATION, SERVER, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::answer::HttpResponse;
use super::failure::{ConnectFailure, OtherAddresses};
use super::{Progress, SelfCheckFailure};
use certwright_egress::tls::{self, TlsError};
use certwright_egress::{Egress, Forbidden, Purpose, is_forbidden};

const AGENT: &str = concat!("certwright/", env!("CARGO_PKG_VERSION"), " (http-01 self-check)");
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 4 * 1024;

/// Connects to the first of `addresses` that accepts, as CAs do: only addresses that do not accept a connection are skipped.
pub(super) async fn connect(
    egress: &Egress,
    host: &str,
    addresses: &[SocketAddr],
    progress: &mut Progress,
) -> Result<(TcpStream, SocketAddr), SelfCheckFailure> {
    let (mut tried, mut forbidden) = (Vec::new(), false);
    for &at in addresses {
        progress.unfinished = SelfCheckFailure::ConnectTimeout { at, others: OtherAddresses(tried.clone()) };
        match connect_to(egress, Purpose::SelfCheck, host, at).await {
            Ok(stream) => {
                if !tried.is_empty() {
                    tracing::debug!(%at, before = %OtherAddresses(tried), "connected, but not at the first address");
                }
                return Ok((stream, at));
            }
            Err(None) => forbidden = true,
            Err(Some(failure)) => tried.push((at, failure)),
        }
    }
    match tried.is_empty() && forbidden {
        true => Err(SelfCheckFailure::Forbidden { host: host.to_owned(), forbidden: Forbidden }),
        false => Err(unreachable(tried)),
    }
}

/// Connects to one address of `host`. The error is `None` if the egress rules forbid it.
pub(super) async fn connect_to(
    egress: &Egress,
    purpose: Purpose,
    host: &str,
    at: SocketAddr,
) -> Result<TcpStream, Option<ConnectFailure>> {
    match tokio::time::timeout(CONNECT_TIMEOUT, egress.tcp(purpose, host, at)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if is_forbidden(&error) => Err(None),
        Ok(Err(error)) => {
            tracing::debug!(%at, %error, "connecting failed");
            Err(Some(classify(error.kind())))
        }
        Err(_) => Err(Some(ConnectFailure::Timeout)),
    }
}

/// Sends one GET for `url` over `stream`, wrapped in TLS for https, and reads the answer.
pub(super) async fn get(
    stream: TcpStream,
    at: SocketAddr,
    url: &Url,
    tls: &TlsConnector,
) -> Result<HttpResponse, SelfCheckFailure> {
    let request = request(url)?;
    if url.scheme() != "https" {
        return exchange(stream, at, request).await;
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host.clone())
        .map_err(|_| SelfCheckFailure::NotAnAddressOrName { identifier: host })?;
    let stream = tls.connect(name, stream).await.map_err(|error| {
        let library = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let reason = library.map_or_else(|| "the connection was closed".to_owned(), ToString::to_string);
        SelfCheckFailure::Tls { at, reason }
    })?;
    exchange(stream, at, request).await
}

/// Accepts any certificate: the one to be replaced may be expired or self-signed, and CAs do not check it.
pub(super) fn tls_without_verification() -> Result<TlsConnector, TlsError> {
    let mut config = tls::no_verification()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) async fn exchange<S>(
    stream: S,
    at: SocketAddr,
    request: Request<Empty<Bytes>>,
) -> Result<HttpResponse, SelfCheckFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| broken(at, &error);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let text =
            |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let (location, server) = (text(LOCATION), text(SERVER));
        Ok(HttpResponse { at, status: head.status, location, server, body: read(body).await? })
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = answer.as_mut() => answer,
        // A server may close the connection as soon as it has sent everything; the received data can still be read.
        _ = connection => answer.await,
    }
    .map_err(failed)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(MAX_BODY_BYTES - bytes.len())]);
        }
        if bytes.len() == MAX_BODY_BYTES {
            break;
        }
    }
    Ok(bytes)
}

pub(super) fn request(url: &Url) -> Result<Request<Empty<Bytes>>, SelfCheckFailure> {
    let unusable =
        || SelfCheckFailure::NotAnAddressOrName { identifier: url.host_str().unwrap_or_default().into() };
    let host = url.host_str().ok_or_else(unusable)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Request::get(target)
        .header(HOST, host)
        .header(USER_AGENT, HeaderValue::from_static(AGENT))
        .header(ACCEPT, HeaderValue::from_static("*/*"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|_| unusable())
}

fn unreachable(mut tried: Vec<(SocketAddr, ConnectFailure)>) -> SelfCheckFailure {
    // The last address is IPv4 if the name has one, which is what most people expect.
    match tried.pop() {
        None => SelfCheckFailure::NotAnAddressOrName { identifier: String::new() },
        Some((at, failure)) => {
            let others = OtherAddresses(tried);
            match failure {
                ConnectFailure::Refused => SelfCheckFailure::Refused { at, others },
                ConnectFailure::Timeout => SelfCheckFailure::ConnectTimeout { at, others },
                ConnectFailure::NoRoute => SelfCheckFailure::NoRoute { at, others },
            }
        }
    }
}

fn classify(kind: ErrorKind) -> ConnectFailure {
    match kind {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ConnectFailure::Refused,
        ErrorKind::TimedOut => ConnectFailure::Timeout,
        _ => ConnectFailure::NoRoute,
    }
}

fn broken(at: SocketAddr, error: &hyper::Error) -> SelfCheckFailure {
    tracing::debug!(%at, %error, "an exchange was interrupted");
    if error.is_parse() { SelfCheckFailure::NotHttp { at } } else { SelfCheckFailure::Reset { at } }
}

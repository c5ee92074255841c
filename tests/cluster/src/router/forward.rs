//! Forwards one request.

use bytes::Bytes;
use futures::TryStreamExt;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};

use super::Routes;

type Body = BoxBody<Bytes, reqwest::Error>;

impl Routes {
    /// Sends a request to the backend of its host and path, and returns the answer.
    pub(super) async fn forward(&self, request: Request<Incoming>) -> Response<Body> {
        let host =
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let Some(backend) = self.backend(&host, request.uri().path()) else {
            return answer(
                StatusCode::NOT_FOUND,
                format!("router: no Ingress and no HTTPRoute for {host}{}\n", request.uri().path()),
            );
        };
        let addresses = self.addresses(&backend);
        if addresses.is_empty() {
            return answer(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "router: the backend of {host} in namespace {} has no ready address\n",
                    backend.namespace
                ),
            );
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return answer(StatusCode::BAD_REQUEST, "router: the request broke off\n".into());
        };
        let body = body.to_bytes();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        for address in addresses {
            let sent = self
                .http
                .request(parts.method.clone(), format!("http://{address}{path}"))
                .headers(end_to_end(&parts.headers))
                .body(body.clone())
                .send()
                .await;
            match sent {
                Ok(response) => return pass_on(response),
                Err(error) if error.is_connect() => continue,
                Err(error) => {
                    return answer(StatusCode::BAD_GATEWAY, format!("router: {address}: {error}\n"));
                }
            }
        }
        answer(StatusCode::BAD_GATEWAY, format!("router: no address of {host} accepts connections\n"))
    }
}

/// The end-to-end headers (RFC 9110 section 7.6.1).
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::CONTENT_LENGTH]
    {
        headers.remove(name);
    }
    headers
}

fn pass_on(response: reqwest::Response) -> Response<Body> {
    let mut answer = Response::builder().status(response.status());
    if let Some(headers) = answer.headers_mut() {
        *headers = end_to_end(response.headers());
    }
    let body = BodyExt::boxed(StreamBody::new(response.bytes_stream().map_ok(Frame::data)));
    answer.body(body).unwrap_or_else(|_| Response::new(empty()))
}

fn answer(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(full(text.into()));
    *response.status_mut() = status;
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn empty() -> Body {
    full(Bytes::new())
}

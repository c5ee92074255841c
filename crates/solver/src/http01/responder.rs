//! Answers requests to `/.well-known/acme-challenge/<token>`, on every replica.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::{CHALLENGE_PREFIX, is_token};

/// The answer to a request for a challenge that is not pending. The self-check recognizes it by this text.
pub const UNKNOWN_TOKEN: &str = "certwright: no challenge with this token is pending for this host\n";

const NOT_A_CHALLENGE: &str = "certwright: only ACME http-01 challenges are answered here\n";

/// The key authorizations of the pending challenges.
pub trait KeyAuthorizations: Send + Sync + 'static {
    /// The key authorization for `token` at `host`, if that challenge is pending.
    ///
    /// `host` is the request's `Host` in lower case, without port and trailing dot, and an IPv6 address without brackets; empty
    /// if the request has none. `token` is base64url.
    fn find(&self, host: &str, token: &str) -> Option<String>;
}

/// The answer to a request. Only the head of the request is used.
pub fn answer<B>(request: &Request<B>, answers: &dyn KeyAuthorizations) -> Response<Full<Bytes>> {
    let Some(token) = request.uri().path().strip_prefix(CHALLENGE_PREFIX) else {
        return plain(StatusCode::NOT_FOUND, NOT_A_CHALLENGE.into());
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::NOT_FOUND, NOT_A_CHALLENGE.into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let found = is_token(token).then(|| answers.find(&requested_host(request), token)).flatten();
    match found {
        Some(key_authorization) => plain(StatusCode::OK, key_authorization.into()),
        None => plain(StatusCode::NOT_FOUND, UNKNOWN_TOKEN.into()),
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    // Without this, a cache in front would continue to answer "not found" after the challenge becomes pending.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An absolute request target overrides `Host` (RFC 9112 section 3.2.2).
fn requested_host<B>(request: &Request<B>) -> String {
    let host = match request.uri().authority() {
        Some(authority) => authority.host(),
        None => {
            request.headers().get(HOST).and_then(|value| value.to_str().ok()).map_or("", host_without_port)
        }
    };
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn host_without_port(value: &str) -> &str {
    match value.rsplit_once(':') {
        // The last colon of a bare IPv6 address in brackets is inside them.
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => value,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_pending_challenge_is_answered_with_its_key_authorization() {
        for method in ["GET", "HEAD"] {
            let response = ask(method, "/.well-known/acme-challenge/tok-A_1", "example.com");
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(body(response), "tok-A_1.thumb");
        }
    }

    #[test]
    fn the_host_is_found_with_port_case_brackets_and_dot_removed() {
        for host in ["EXAMPLE.com:80", "example.com.", "example.com.:8080"] {
            let response = ask("GET", "/.well-known/acme-challenge/tok-A_1", host);
            assert_eq!(body(response), "tok-A_1.thumb", "{host}");
        }
        for host in ["[2001:DB8::1]", "[2001:db8::1]:80"] {
            assert_eq!(body(ask("GET", "/.well-known/acme-challenge/six", host)), "six.thumb", "{host}");
        }
        let absolute = "http://example.com:80/.well-known/acme-challenge/tok-A_1";
        assert_eq!(body(ask("GET", absolute, "other")), "tok-A_1.thumb");
    }

    #[test]
    fn anything_else_is_not_found_and_says_so_in_a_line() {
        for (method, target, host) in [
            ("GET", "/", "example.com"),
            ("GET", "/.well-known/acme-challenge/", "example.com"),
            ("GET", "/.well-known/acme-challenge/tok-A_1", "other.example.com"),
            ("GET", "/.well-known/acme-challenge/panic%2e", "example.com"),
            ("GET", "/.well-known/acme-challenge/panic/..", "example.com"),
            ("POST", "/.well-known/acme-challenge/tok-A_1", "example.com"),
        ] {
            let response = ask(method, target, host);
            assert_eq!(response.status(), 404, "{method} {target}");
            let body = body(response);
            assert!(body.starts_with("certwright: ") && body.ends_with('\n'), "{body}");
        }
    }

    fn ask(method: &str, target: &str, host: &str) -> Response<Full<Bytes>> {
        let request = Request::builder().method(method).uri(target).header(HOST, host).body(()).unwrap();
        answer(&request, &Pending::example())
    }

    fn body(response: Response<Full<Bytes>>) -> String {
        let bytes = futures::executor::block_on(http_body_util::BodyExt::collect(response.into_body()))
            .unwrap()
            .to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    struct Pending(HashMap<(&'static str, &'static str), &'static str>);

    impl Pending {
        fn example() -> Self {
            Self(HashMap::from([
                (("example.com", "tok-A_1"), "tok-A_1.thumb"),
                (("2001:db8::1", "six"), "six.thumb"),
            ]))
        }
    }

    impl KeyAuthorizations for Pending {
        fn find(&self, host: &str, token: &str) -> Option<String> {
            assert!(is_token(token), "looked up {token}");
            self.0
                .iter()
                .find(|((h, t), _)| (*h, *t) == (host, token))
                .map(|(_, answer)| (*answer).to_owned())
        }
    }
}

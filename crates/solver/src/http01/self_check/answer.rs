//! Evaluates an HTTP answer as a CA would.

use std::net::SocketAddr;

use http::StatusCode;
use tracing::debug;

use super::SelfCheckFailure;
use crate::http01::responder::UNKNOWN_TOKEN;
use certwright_egress::excerpt::excerpt;

/// An HTTP answer, with its body truncated to a few KB.
pub(super) struct HttpResponse {
    pub(super) at: SocketAddr,
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) server: Option<String>,
    pub(super) body: Vec<u8>,
}

impl HttpResponse {
    /// Whether it is a redirect with a status that is followed.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308)
    }

    /// Checks that it is what the CA expects: `expected` is the key authorization for `token`.
    ///
    /// The failure says what kind of answer it was, but does not quote it. Otherwise anyone who can create a Certificate could
    /// name a service that only we can reach, or redirect us there, and read its answer in the condition.
    pub(super) fn judge(&self, token: &str, expected: &str) -> Result<(), SelfCheckFailure> {
        let at = self.at;
        let body = String::from_utf8_lossy(&self.body);
        // RFC 8555 section 8.3 requires the CA to ignore trailing white space.
        let body = body.trim_end();
        if self.status == StatusCode::OK && body == expected {
            return Ok(());
        }
        if body == UNKNOWN_TOKEN.trim_end() {
            return Err(SelfCheckFailure::UnknownToken { at });
        }
        debug!(at = %at, status = self.status.as_u16(), excerpt = excerpt(&self.body), "not the key authorization");
        if self.status != StatusCode::OK {
            let status = self.status.as_u16();
            let by = default_page(body, self.server.as_deref());
            return Err(SelfCheckFailure::Status { at, status, by, hint: hint(status, by.is_some()) });
        }
        if is_key_authorization(body, token) {
            return Err(SelfCheckFailure::OtherAccount { at });
        }
        Err(SelfCheckFailure::WrongAnswer { at, got: kind(body) })
    }
}

/// Whose "not found" page a body looks like.
fn default_page(body: &str, server: Option<&str>) -> Option<&'static str> {
    let has = |text: &str| body.contains(text);
    let server_is = |name: &str| server.is_some_and(|server| server.to_ascii_lowercase().contains(name));
    if has("default backend") {
        return Some("an ingress controller's default backend");
    }
    if has("<center>nginx") || has("<center>openresty") {
        return Some("nginx's own page");
    }
    if body.trim() == "404 page not found" || has("no available server") {
        return Some("Traefik's or another Go server's own page");
    }
    if has("no Route matched with those values") {
        return Some("Kong's own page");
    }
    if has("response 404 (backend NotFound)") {
        return Some("Google's load balancer's own page");
    }
    if body.is_empty() && server_is("envoy") {
        return Some("Envoy's own empty page");
    }
    None
}

fn hint(status: u16, default_page: bool) -> &'static str {
    match status {
        404 if default_page => {
            "the ingress controller does not serve the temporary Ingress; if this persists, check the solver's ingress class and the Ingress's events"
        }
        404 => {
            "another server answers this path; check that the name points to the ingress controller and that no other Ingress handles the path"
        }
        401 | 403 | 407 => {
            "access is restricted; allow /.well-known/acme-challenge/ without login or address filter"
        }
        421 | 426 => "allow plain HTTP for /.well-known/acme-challenge/",
        429 => "the server limits requests; exempt /.well-known/acme-challenge/",
        502..=504 => {
            "the server in front has no working backend; check that NetworkPolicies allow the ingress controller to reach the operator's pods on the http-01 port"
        }
        500..=599 => "the server in front failed; see its log",
        _ => "a CA accepts only 200; check what answers /.well-known/acme-challenge/ for this name",
    }
}

fn is_key_authorization(body: &str, token: &str) -> bool {
    body.strip_prefix(token).and_then(|rest| rest.strip_prefix('.')).is_some_and(super::super::is_token)
}

/// The kind of content, without quoting it.
fn kind(body: &str) -> &'static str {
    let body = body.trim_start();
    match body.chars().next() {
        None => "an empty body",
        Some('<') => "an HTML page",
        Some('{' | '[') => "JSON",
        Some(_) if body.contains(char::REPLACEMENT_CHARACTER) => "something that is not text",
        Some(_) => "other text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_at_the_end_is_ignored() {
        assert_eq!(answer(200, "tok.thumb\r\n").judge("tok", "tok.thumb"), Ok(()));
        assert!(answer(200, " tok.thumb").judge("tok", "tok.thumb").is_err());
    }

    #[test]
    fn another_accounts_key_authorization_is_told_from_other_text() {
        let failure = answer(200, "tok.other").judge("tok", "tok.thumb").unwrap_err();
        assert!(matches!(failure, SelfCheckFailure::OtherAccount { .. }), "{failure}");
    }

    #[test]
    fn our_own_not_found_is_recognised() {
        let failure = answer(404, UNKNOWN_TOKEN).judge("tok", "tok.thumb").unwrap_err();
        assert!(matches!(failure, SelfCheckFailure::UnknownToken { .. }), "{failure}");
    }

    #[test]
    fn a_default_backend_is_told_from_another_server() {
        let failure = answer(404, "default backend - 404").judge("tok", "tok.thumb").unwrap_err();
        assert!(failure.to_string().starts_with(
            "192.0.2.1:80 answered with status 404 (an ingress controller's default backend): the ingress controller"
        ));
        let failure = answer(404, "File not found").judge("tok", "tok.thumb").unwrap_err();
        assert!(failure.to_string().starts_with("192.0.2.1:80 answered with status 404: another server"));
    }

    #[test]
    fn what_came_is_told_by_its_kind_alone() {
        for (body, kind) in [
            ("", "an empty body"),
            ("<html><title>secret</title>", "an HTML page"),
            (r#"{"secret": 1}"#, "JSON"),
            ("secret", "other text"),
            ("tok.thumb.secret", "other text"),
            ("\u{fffd}secret", "something that is not text"),
        ] {
            let text = answer(200, body).judge("tok", "tok.thumb").unwrap_err().to_string();
            assert!(
                text.starts_with(&format!("192.0.2.1:80 answered with {kind} instead of the key ")),
                "{text}"
            );
            assert!(!text.contains("secret"), "{text}");
        }
    }

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse {
            at: "192.0.2.1:80".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            location: None,
            server: None,
            body: body.into(),
        }
    }
}

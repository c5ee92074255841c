//! Judging an HTTP answer as a CA would.

use std::net::SocketAddr;

use http::StatusCode;

use super::SelfCheckFailure;
use crate::solver::http01::responder::UNKNOWN_TOKEN;

const EXCERPT_CHARACTERS: usize = 80;

/// An HTTP answer, its body cut off at some KB.
pub(super) struct Answer {
    pub(super) at: SocketAddr,
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) server: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Whether it is a redirect that is followed, to wherever.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308)
    }

    /// Whether it is what the CA wants to see, `expected` being the key authorization for `token`.
    ///
    /// `redirected` keeps what came out of the failure: whoever may write a Certificate could otherwise redirect us to
    /// any path of a service only we can reach, and read it in the condition.
    pub(super) fn judge(
        &self,
        token: &str,
        expected: &str,
        redirected: bool,
    ) -> Result<(), SelfCheckFailure> {
        let at = self.at;
        let body = String::from_utf8_lossy(&self.body);
        // RFC 8555 section 8.3 has the CA ignore white space at the end.
        let body = body.trim_end();
        if body == UNKNOWN_TOKEN.trim_end() {
            return Err(SelfCheckFailure::UnknownToken { at });
        }
        if self.status != StatusCode::OK {
            let status = self.status.as_u16();
            let by = default_page(body, self.server.as_deref());
            return Err(SelfCheckFailure::Status { at, status, by, hint: hint(status, by.is_some()) });
        }
        if body == expected {
            return Ok(());
        }
        if is_key_authorization(body, token) {
            return Err(SelfCheckFailure::OtherAccount { at });
        }
        let got = if redirected { "something else".to_owned() } else { excerpt(body, token) };
        Err(SelfCheckFailure::WrongAnswer { at, got })
    }
}

/// Whose "nothing here" page a body looks like.
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
            "the ingress controller does not serve the temporary Ingress; if this stays, check the solver's ingress class and the Ingress's events"
        }
        404 => {
            "another server answers this path; check that the name points to the ingress controller and that no other Ingress takes the path"
        }
        401 | 403 | 407 => {
            "access is restricted; let /.well-known/acme-challenge/ through without login or address filter"
        }
        421 | 426 => "let plain HTTP through for /.well-known/acme-challenge/",
        429 => "the server limits requests; exempt /.well-known/acme-challenge/",
        502..=504 => {
            "the server in front has no working backend; check that NetworkPolicies let the ingress controller reach the operator's pods on the http-01 port"
        }
        500..=599 => "the server in front failed; see its log",
        _ => "a CA accepts only 200; check what answers /.well-known/acme-challenge/ for this name",
    }
}

fn is_key_authorization(body: &str, token: &str) -> bool {
    body.strip_prefix(token).and_then(|rest| rest.strip_prefix('.')).is_some_and(super::super::is_token)
}

/// What came, in a few words that do not change from one request to the next.
fn excerpt(body: &str, token: &str) -> String {
    let body = body.trim();
    if body.is_empty() {
        return "an empty body".to_owned();
    }
    if body.starts_with('<') {
        return match title(body).map(|title| shorten(title, token)) {
            Some(title) => format!("an HTML page titled \"{title}\""),
            None => "an HTML page".to_owned(),
        };
    }
    format!("\"{}\"", shorten(body, token))
}

fn title(html: &str) -> Option<&str> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    Some(html[start..end].trim()).filter(|title| !title.is_empty())
}

fn shorten(text: &str, token: &str) -> String {
    let text = text.replace(token, "<token>");
    let printable = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER)
        .collect::<String>();
    let words = printable.split_whitespace().map(mask_ids).collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Replaces with `#` what has digits in it and more than three characters: request ids, times, addresses, pod names.
fn mask_ids(word: &str) -> String {
    let mut masked = String::new();
    let mut run = String::new();
    for c in word.chars().chain([' ']) {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':') {
            run.push(c);
            continue;
        }
        let is_id = run.chars().count() > 3 && run.contains(|c: char| c.is_numeric());
        masked.push_str(if is_id { "#" } else { &run });
        run.clear();
        masked.push(c);
    }
    masked.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_at_the_end_is_ignored() {
        assert_eq!(answer(200, "tok.thumb\r\n").judge("tok", "tok.thumb", false), Ok(()));
        assert!(answer(200, " tok.thumb").judge("tok", "tok.thumb", false).is_err());
    }

    #[test]
    fn another_accounts_key_authorization_is_told_from_other_text() {
        let failure = answer(200, "tok.other").judge("tok", "tok.thumb", false).unwrap_err();
        assert_eq!(failure.reason(), "OtherAccount");
    }

    #[test]
    fn our_own_not_found_is_recognised() {
        let failure = answer(404, UNKNOWN_TOKEN).judge("tok", "tok.thumb", false).unwrap_err();
        assert_eq!(failure.reason(), "UnknownToken");
    }

    #[test]
    fn a_default_backend_is_told_from_another_server() {
        let failure = answer(404, "default backend - 404").judge("tok", "tok.thumb", false).unwrap_err();
        assert!(failure.to_string().starts_with(
            "192.0.2.1:80 answered with status 404 (an ingress controller's default backend): the ingress controller"
        ));
        let failure = answer(404, "File not found").judge("tok", "tok.thumb", false).unwrap_err();
        assert!(failure.to_string().starts_with("192.0.2.1:80 answered with status 404: another server"));
    }

    #[test]
    fn an_excerpt_holds_nothing_that_changes_by_itself() {
        assert_eq!(excerpt("", "tok"), "an empty body");
        assert_eq!(excerpt("<html><body>hi", "tok"), "an HTML page");
        assert_eq!(excerpt("<HTML><Title> Log\nin </title>", "tok"), "an HTML page titled \"Log in\"");
        assert_eq!(
            excerpt(
                "Hostname: whoami-6d8f-x2\nIP: 10.0.0.17 path /tok at 12:30:01 v2 id=ab-12cd\u{7}",
                "tok"
            ),
            "\"Hostname: # IP: # path /<token> at # v2 id=#\""
        );
        assert_eq!(excerpt(&"word ".repeat(40), "tok").chars().count(), EXCERPT_CHARACTERS + 3);
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            at: "192.0.2.1:80".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            location: None,
            server: None,
            body: body.into(),
        }
    }
}

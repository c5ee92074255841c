//! An answer of a CA, and what is read from it.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, LINK, LOCATION};
use reqwest::Url;
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::bounded::{Bounded, check_chain, check_url};
use crate::limits::{MAX_LINKS, MAX_NONCE};
use crate::{AcmeError, AcmeResponse, DownloadedChain, Operation, Problem};
use certwright_egress::excerpt::{excerpt, media_type};

/// An answer with any status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) operation: Operation,
    pub(super) url: Url,
    pub(super) host: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) retry_after: Option<Duration>,
    /// Whether the server had sent a directory before.
    pub(super) from_acme: bool,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The answer if it is a success, otherwise the CA's error (RFC 8555 section 6.7).
    pub(super) fn accepted(self) -> Result<Self, AcmeError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let Self { operation, retry_after, .. } = self;
        let status = self.status.as_u16();
        Err(match Problem::from_body(&self.body).and_then(|said| self.quotable(said)).map(Box::new) {
            Some(mut problem) => {
                problem.terms_of_service = self.links("terms-of-service").into_iter().next();
                AcmeError::Problem { operation, status, problem, retry_after }
            }
            None => {
                self.log("the answer is not a problem document of an ACME server");
                AcmeError::Http { operation, kind: self.kind(), host: self.host, status, retry_after }
            }
        })
    }

    /// The part of a problem document that readers of the issuer may see. They may not have access to the server: an issuer, or
    /// a directory, can name any server, also one within the cluster. The document is quoted if a directory was read before and
    /// the answer looks like ACME. Otherwise, only an ACME type is kept.
    fn quotable(&self, said: Problem) -> Option<Problem> {
        match self.from_acme && (self.nonce().is_some() || said.is_of_acme()) {
            true => Some(said),
            false => said.only_type(),
        }
    }

    /// What kind of answer it is, without its content.
    fn kind(&self) -> String {
        let target = self.headers.get(LOCATION).filter(|_| self.status.is_redirection());
        let target = target.and_then(|target| self.url.join(target.to_str().ok()?).ok());
        match target {
            Some(target) if target.host() == self.url.host() => {
                format!("a redirect to {}", target.origin().ascii_serialization())
            }
            Some(_) => "a redirect to another host".to_owned(),
            None => media_type(&self.headers).unwrap_or_default(),
        }
    }

    /// Logs an unexpected answer, for the administrator only.
    fn log(&self, what: &str) {
        let (operation, host, status) = (self.operation.as_str(), &self.host, self.status.as_u16());
        let location = self.headers.get(LOCATION).map(|target| excerpt(target.as_bytes()));
        debug!(operation, host, status, location, excerpt = excerpt(&self.body), "{what}");
    }

    /// The nonce for the next request. RFC 8555 section 6.5.1 requires base64url, but a CA that sends other printable
    /// characters also accepts them. A nonce that is too long is ignored.
    pub(super) fn nonce(&self) -> Option<String> {
        let nonce = self.headers.get("replay-nonce")?.to_str().ok()?.trim();
        let usable =
            (1..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| nonce.to_owned())
    }

    /// The URL of the object, exactly as the CA wrote it: it is compared as a string.
    pub(super) fn location(&self) -> Option<String> {
        self.resolve(self.headers.get(LOCATION)?.to_str().ok()?.trim())
    }

    /// Like [`Self::location`], for answers that must have one.
    pub(super) fn required_location(&self) -> Result<String, AcmeError> {
        self.location().ok_or_else(|| self.malformed("it has no usable Location header"))
    }

    /// The targets of the links with the relation `rel` (RFC 8288).
    pub(super) fn links(&self, rel: &str) -> Vec<String> {
        let headers = self.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        headers.flat_map(|header| links(header, rel)).filter_map(|target| self.resolve(target)).collect()
    }

    /// The object in the body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, AcmeError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            self.log("the answer cannot be read");
            let text = error.to_string();
            let lacks = text.rsplit_once(" at line").map_or(text.as_str(), |(lacks, _)| lacks);
            let (status, kind) = (self.status.as_u16(), self.kind());
            let kind = if kind.is_empty() { "without a media type".to_owned() } else { kind };
            // Other error messages may quote the answer.
            let lacks = Some(lacks).filter(|lacks| lacks.starts_with("missing field "));
            match (error.classify(), self.operation) {
                (_, _) if self.body.trim_ascii().is_empty() => self.malformed("it is empty"),
                (serde_json::error::Category::Eof, _) => self.malformed("it is incomplete"),
                (_, Operation::Directory) => {
                    let lacks = lacks.map(|lacks| format!(" ({lacks})")).unwrap_or_default();
                    self.malformed(&format!("{status} {kind}, not an ACME directory{lacks}"))
                }
                (serde_json::error::Category::Data, _) => {
                    self.malformed(lacks.unwrap_or("a field has the wrong type"))
                }
                _ => self.malformed(&format!("{status} {kind}, not JSON")),
            }
        })
    }

    /// The object in the body, after checking its bounds.
    pub(super) fn bounded<T: DeserializeOwned + Bounded>(&self) -> Result<AcmeResponse<T>, AcmeError> {
        let answer = self.answer::<T>()?;
        answer.value.check().map_err(|what| self.out_of_bounds(&what))?;
        Ok(answer)
    }

    /// The object in the body, with the relevant headers.
    pub(super) fn answer<T: DeserializeOwned>(&self) -> Result<AcmeResponse<T>, AcmeError> {
        self.json().map(|value| self.answer_with(value))
    }

    pub(super) fn answer_with<T>(&self, value: T) -> AcmeResponse<T> {
        AcmeResponse { value, location: self.location(), retry_after: self.retry_after }
    }

    /// The chain in the body, and the links to alternate chains.
    pub(super) fn chain(&self) -> Result<AcmeResponse<DownloadedChain>, AcmeError> {
        let pem = self.text()?.to_owned();
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(self.malformed("it contains no certificate"));
        }
        check_chain(&pem).map_err(|what| self.out_of_bounds(&what))?;
        let alternates = self.links("alternate").into_iter().take(MAX_LINKS).collect();
        Ok(self.answer_with(DownloadedChain { pem, alternates }))
    }

    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, AcmeError> {
        std::str::from_utf8(&self.body).map_err(|_| self.malformed("it is not text"))
    }

    pub(super) fn malformed(&self, what: &str) -> AcmeError {
        AcmeError::Malformed { operation: self.operation, host: self.host.clone(), what: what.to_owned() }
    }

    pub(super) fn out_of_bounds(&self, what: &str) -> AcmeError {
        AcmeError::OutOfBounds { operation: self.operation, host: self.host.clone(), what: what.to_owned() }
    }

    /// The absolute form of `target`, if a request can be sent to it.
    fn resolve(&self, target: &str) -> Option<String> {
        let absolute = match Url::parse(target) {
            Ok(_) => target.to_owned(),
            Err(_) => self.url.join(target).ok()?.into(),
        };
        check_url("target", &absolute).is_ok().then_some(absolute)
    }
}

#[cfg(feature = "fuzzing")]
impl Reply {
    /// A reply as if `ca.example` had sent this response.
    pub(super) fn not_sent(operation: Operation, url: Url, response: http::Response<Vec<u8>>) -> Self {
        let (head, body) = response.into_parts();
        let retry_after = crate::retry_after::retry_after(&head.headers, jiff::Timestamp::default);
        Self {
            operation,
            url,
            host: "ca.example".to_owned(),
            status: head.status,
            headers: head.headers,
            retry_after,
            from_acme: true,
            body,
        }
    }
}

fn links<'a>(header: &'a str, rel: &str) -> Vec<&'a str> {
    let link = |part: &'a str| {
        let (target, parameters) = part.split_once('>')?;
        let relations = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.trim_matches([' ', ',', '\t']).split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
        })?;
        relations.split_whitespace().any(|relation| relation.eq_ignore_ascii_case(rel)).then_some(target)
    };
    header.split('<').skip(1).filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_by_relation_among_others_in_one_header() {
        let header = r#"<https://ca.example/dir>;rel="index", <https://ca.example/c/1,2>; title="x"; REL=alternate,</c/3>;rel="up alternate""#;
        assert_eq!(links(header, "alternate"), ["https://ca.example/c/1,2", "/c/3"]);
        assert_eq!(links("no link at all", "alternate"), [""; 0]);
    }
}

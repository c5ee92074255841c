//! Who may ask for what: only the page that this process has served, with the token in the URL that it has printed.
//!
//! Other pages in the same browser can send requests to this machine, and other users of the machine can connect to the port.
//! A page from elsewhere whose name suddenly means this machine (DNS rebinding) has its own name in `Host`. Any other page is of
//! another origin, and cannot know the token: it is behind the `#` of the URL, which browsers keep to themselves, and the page sends
//! it in a header that no other origin may set. There is no cookie, which other ports of this machine would get as well.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

use crate::command::Error;

/// The length of the token, in bytes.
const LENGTH: usize = 24;

/// What the URL of the page ends with.
#[derive(Clone)]
pub struct Token(String);

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is for another server.
    #[error("this server answers only as 127.0.0.1 or localhost")]
    Host,
    /// The request is from a page of another server.
    #[error("this request is from another page")]
    Origin,
    /// There is no token, or a wrong one.
    #[error(
        "open the URL that `certwright ui` has printed: it ends with a token, which is new each time it is started"
    )]
    Token,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::NoRandomness`]
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; LENGTH];
        rand::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
        Ok(Self(BASE64URL_NOPAD.encode(&bytes)))
    }

    /// For the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request has it.
    ///
    /// # Errors
    /// [`Refusal::Token`]
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let sent = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let expected = format!("Bearer {}", self.0);
        verify_slices_are_equal(sent, expected.as_bytes()).map_err(|_| Refusal::Token)
    }
}

/// Whether a request is for this machine, and not from a page of another server.
///
/// # Errors
/// [`Refusal::Host`] or [`Refusal::Origin`]
pub fn check_source(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or(Refusal::Host)?;
    // The port may be another one, as behind `ssh -L`.
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !["127.0.0.1", "localhost"].contains(&name) {
        return Err(Refusal::Host);
    }
    match headers.get(ORIGIN) {
        Some(origin) if origin.as_bytes() != format!("http://{host}").as_bytes() => Err(Refusal::Origin),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn only_requests_for_this_machine_are_answered() {
        for host in ["127.0.0.1:8000", "localhost:8000", "localhost"] {
            assert_eq!(check_source(&headers(&[(HOST, host)])), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8000", "127.0.0.1.evil.example:8000", "localhost.evil.example", ""]
        {
            assert_eq!(check_source(&headers(&[(HOST, host)])), Err(Refusal::Host), "{host}");
        }
        assert_eq!(check_source(&HeaderMap::new()), Err(Refusal::Host));
    }

    #[test]
    fn requests_of_other_pages_are_refused() {
        let of = |origin| check_source(&headers(&[(HOST, "127.0.0.1:8000"), (ORIGIN, origin)]));
        assert_eq!(of("http://127.0.0.1:8000"), Ok(()));
        for origin in ["http://127.0.0.1:8001", "https://127.0.0.1:8000", "http://localhost:8000", "null", ""]
        {
            assert_eq!(of(origin), Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn a_token_is_new_each_time_and_admits_only_whoever_has_it() {
        let (token, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert!(token.as_str().len() == 32 && token.as_str() != other.as_str());
        let with = |value: &str| token.check(&headers(&[(AUTHORIZATION, value)]));
        assert_eq!(with(&format!("Bearer {}", token.as_str())), Ok(()));
        for value in ["", "Bearer ", token.as_str(), &format!("Bearer {}", other.as_str())] {
            assert_eq!(with(value), Err(Refusal::Token), "{value}");
        }
        assert_eq!(token.check(&HeaderMap::new()), Err(Refusal::Token));
    }

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }
}

//! Letting an HTTP endpoint put a record into a zone, by the protocol of lego's httpreq provider: a POST to
//! `<url>/present` or `<url>/cleanup`. Any success counts; bodies of successes are not read.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::http::{ClientError, Clients, HttpFailure, post};
use super::{Record, base_domain};
use certwright_egress::HttpClient;

#[cfg(test)]
mod tests;

/// How long a request may take unless said otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Which endpoint to ask, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is, without `/present` and `/cleanup`.
    pub url: Url,
    /// What to tell it.
    pub mode: Mode,
    /// Who we are.
    pub credentials: Credentials,
    /// Certificates in PEM to which the endpoint's own has to lead; without them those that the system trusts.
    pub ca_bundle: Option<Vec<u8>>,
    /// How long a request may take altogether; see [`DEFAULT_TIMEOUT`].
    pub timeout: Duration,
}

/// What an endpoint is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The record: `{"fqdn", "value"}`.
    #[default]
    Default,
    /// The challenge, from which it makes the record by itself: `{"domain", "token", "keyAuth"}`.
    Raw,
}

/// Who we are to an endpoint. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// HTTP basic authentication (RFC 7617).
    Basic {
        /// The user's name.
        user: String,
        /// The user's password.
        password: SecretString,
    },
    /// A bearer token (RFC 6750).
    Bearer(SecretString),
}

/// An endpoint, with its connections.
#[derive(Clone, Debug)]
pub struct Provider {
    settings: Settings,
    client: HttpClient,
}

/// Why an endpoint did not do what it was asked to. `Display` is stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error("{url} is not an http or https URL; correct httpRequest.url")]
    Url {
        /// The URL, without its credentials.
        url: String,
    },
    /// No client could be made.
    #[error("httpRequest cannot be set up: {0}")]
    Client(#[from] ClientError),
    /// The request failed.
    #[error("{operation} failed: {url} {failure}")]
    Request {
        /// What was tried.
        operation: Operation,
        /// What was asked, without query and credentials.
        url: String,
        /// What it did instead.
        failure: HttpFailure,
    },
}

impl Error {
    /// The variant's name, as event reason and metric label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Url { .. } => "Url",
            Self::Client(_) => "Client",
            Self::Request { .. } => "Request",
        }
    }
}

/// What was tried. `Display` reads as the beginning of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `/present`
    Present,
    /// `/cleanup`
    CleanUp,
}

impl Operation {
    fn path(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::CleanUp => "cleanup",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "having the TXT record added",
            Self::CleanUp => "having the TXT record deleted",
        })
    }
}

/// The body of a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Default {
        fqdn: &'a str,
        value: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Raw {
        domain: &'a str,
        token: &'a str,
        key_auth: &'a str,
    },
}

impl<'a> Body<'a> {
    fn new(mode: Mode, record: &'a Record) -> Self {
        let Record { fqdn, value, domain, token, key_authorization, .. } = record;
        match mode {
            Mode::Default => Self::Default { fqdn, value },
            Mode::Raw => Self::Raw { domain: base_domain(domain), token, key_auth: key_authorization },
        }
    }
}

impl Provider {
    /// An endpoint to be asked by these settings.
    pub fn new(settings: Settings, clients: &Clients) -> Result<Self, Error> {
        let url = &settings.url;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Error::Url { url: shown(url) });
        }
        let client = clients.trusting(settings.ca_bundle.as_deref())?;
        Ok(Self { settings, client })
    }

    /// Has the record added. Doing so twice has to be as doing it once; the endpoint sees to that.
    pub async fn present(&self, record: &Record) -> Result<(), Error> {
        self.post(Operation::Present, record).await
    }

    /// Has the record deleted.
    pub async fn clean_up(&self, record: &Record) -> Result<(), Error> {
        self.post(Operation::CleanUp, record).await
    }

    async fn post(&self, operation: Operation, record: &Record) -> Result<(), Error> {
        let mut url = self.settings.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(operation.path());
        }
        let body = serde_json::json!(Body::new(self.settings.mode, record)).to_string();
        let sent = post(&self.client, &url, self.settings.timeout, |request| {
            let request = request.header(CONTENT_TYPE, "application/json");
            let request = request.header(ACCEPT, "application/json").body(body);
            match &self.settings.credentials {
                Credentials::None => request,
                Credentials::Basic { user, password } => {
                    request.basic_auth(user, Some(password.expose_secret()))
                }
                Credentials::Bearer(token) => request.bearer_auth(token.expose_secret()),
            }
        });
        let sent = sent.await;
        sent.map(drop).map_err(|failure| Error::Request { operation, url: shown(&url), failure })
    }
}

/// A URL without what may be secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Only URLs without a host refuse, and they have no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

//! TXT records through an HTTP endpoint with the protocol of lego's httpreq provider: a POST to `<url>/present` or
//! `<url>/cleanup`. Any 2xx status is a success; the bodies of successful answers are not read.

use std::fmt;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::http::{ClientError, Clients, HttpFailure, post};
use super::{Record, base_domain};
use certwright_api::HttpRequestMode;
use certwright_egress::HttpClient;

#[cfg(test)]
mod tests;

/// The default timeout of a request.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The endpoint, and how to call it.
///
/// Unlike [`Dns01HttpRequest`](certwright_api::Dns01HttpRequest), this has the parsed URL, and the credentials instead of their
/// Secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its URL, without `/present` and `/cleanup`.
    pub url: Url,
    /// The format of the request body: the record, or the challenge, from which the endpoint computes the record.
    pub mode: HttpRequestMode,
    /// Our credentials.
    pub credentials: Credentials,
    /// PEM CA certificates for the endpoint's certificate; `None` for the system's roots.
    pub ca_bundle: Option<Vec<u8>>,
    /// How long a request may take in total; see [`DEFAULT_TIMEOUT`].
    pub timeout: Duration,
}

/// Our credentials at an endpoint. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// None.
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

/// Why a call to an endpoint failed. `Display` is stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error("{url} is not an http or https URL; correct httpRequest.url")]
    Url {
        /// The URL, without its credentials.
        url: String,
    },
    /// The client could not be created.
    #[error("httpRequest cannot be set up: {0}")]
    Client(#[from] ClientError),
    /// The request failed.
    #[error("{operation} failed: {url} {failure}")]
    Request {
        /// The operation that failed.
        operation: Operation,
        /// The requested URL, without query and credentials.
        url: String,
        /// The failure.
        failure: HttpFailure,
    },
}

/// The operation that failed. `Display` reads as the beginning of a sentence.
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
            Self::Present => "adding the TXT record",
            Self::CleanUp => "deleting the TXT record",
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
    fn new(mode: HttpRequestMode, record: &'a Record) -> Self {
        let Record { fqdn, value, domain, token, key_authorization, .. } = record;
        match mode {
            HttpRequestMode::Default => Self::Default { fqdn, value },
            HttpRequestMode::Raw => {
                Self::Raw { domain: base_domain(domain), token, key_auth: key_authorization }
            }
        }
    }
}

impl Provider {
    /// A client for an endpoint with these settings.
    pub fn new(settings: Settings, clients: &Clients) -> Result<Self, Error> {
        let url = &settings.url;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Error::Url { url: shown(url) });
        }
        let client = clients.trusting(settings.ca_bundle.as_deref())?;
        Ok(Self { settings, client })
    }

    /// Has the record added. The endpoint must ensure that adding it twice is the same as adding it once.
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

/// A URL without parts that may be secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // This fails only for URLs without a host, which have no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

//! TXT records on an acme-dns server (github.com/joohoi/acme-dns), to which a CNAME delegates the name.
//!
//! The server keeps the last two values of each account and cannot delete one, so nothing is cleaned up.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::http::{ClientError, Clients, HttpFailure, post};
use super::{Record, base_domain};
use certwright_egress::HttpClient;

#[cfg(test)]
mod tests;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The server, and the accounts there.
///
/// Unlike [`Dns01AcmeDns`](certwright_api::Dns01AcmeDns), this has the parsed URL, and the accounts instead of their Secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's URL, without `/update`.
    pub host: Url,
    /// The accounts by domain.
    pub accounts: Accounts,
}

/// Accounts by domain, as stored by cert-manager and lego: a JSON object that maps each domain to what the server's `/register`
/// returned.
#[derive(Clone, Debug)]
pub struct Accounts(BTreeMap<String, Account>);

/// An account. `Debug` shows no secret.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    #[serde(deserialize_with = "secret")]
    username: SecretString,
    #[serde(deserialize_with = "secret")]
    password: SecretString,
    subdomain: String,
    /// The required target of the CNAME at `_acme-challenge.<domain>`.
    #[serde(default)]
    pub fulldomain: String,
}

/// The stored data is not a list of accounts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the acme-dns accounts are not a JSON object of the form \
     {{\"<domain>\": {{\"username\", \"password\", \"fulldomain\", \"subdomain\"}}}}: {0}"
)]
pub struct AccountsError(String);

impl Accounts {
    /// Parses the contents of the Secret.
    pub fn from_json(json: &[u8]) -> Result<Self, AccountsError> {
        let parsed = serde_json::from_slice::<BTreeMap<String, Account>>(json);
        // The error's own message may quote a value, which may be secret.
        let accounts = parsed.map_err(|error| {
            AccountsError(match error.classify() {
                serde_json::error::Category::Data => {
                    missing(json).unwrap_or("a value has the wrong type").into()
                }
                _ => format!("invalid JSON at line {}", error.line()),
            })
        })?;
        let key = |domain: String| domain.trim_end_matches('.').to_ascii_lowercase();
        Ok(Self(accounts.into_iter().map(|(domain, account)| (key(domain), account)).collect()))
    }

    /// The account for `domain`: the one stored under exactly that name, otherwise the one under the name without `*.`.
    #[must_use]
    pub fn of(&self, domain: &str) -> Option<&Account> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        self.0.get(&domain).or_else(|| self.0.get(base_domain(&domain)))
    }

    /// The domains that have accounts.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// Which field is missing in an account, if that is the problem.
fn missing(json: &[u8]) -> Option<&'static str> {
    let accounts = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(json).ok()?;
    let lacks = |field: &str| accounts.values().any(|account| account.get(field).is_none());
    match () {
        () if lacks("username") => Some("an account has no username"),
        () if lacks("password") => Some("an account has no password"),
        () if lacks("subdomain") => Some("an account has no subdomain"),
        () => None,
    }
}

/// An acme-dns server, with its connections.
#[derive(Clone, Debug)]
pub struct Provider {
    settings: Settings,
    client: HttpClient,
}

/// Why an update on an acme-dns server failed. `Display` is stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error("{url} is not an http or https URL; correct acmeDNS.host")]
    Url {
        /// The URL.
        url: String,
    },
    /// The client could not be created.
    #[error("acmeDNS cannot be set up: {0}")]
    Client(#[from] ClientError),
    /// There is no account for the domain.
    #[error(
        "there is no acme-dns account for {domain} in acmeDNS.accountSecretRef ({}); register one, \
         and store what the server answers under that name",
        if domains.is_empty() { "it contains none".to_owned() } else { domains.join(", ") }
    )]
    NoAccount {
        /// The domain without `*.`.
        domain: String,
        /// The domains that have accounts.
        domains: Vec<String>,
    },
    /// 401: wrong user or password, or this address may not use the account.
    #[error(
        "updating the TXT record failed: {host} rejects the account of {domain}: {failure}; check that the account exists, \
         its password, and that its allowfrom includes the operator's address"
    )]
    Unauthorized {
        /// The server's host.
        host: String,
        /// The domain.
        domain: String,
        /// The server's answer.
        failure: HttpFailure,
    },
    /// 400: the subdomain or the value is invalid.
    #[error(
        "updating the TXT record failed: {host} rejects the update for {domain}: {failure}; check the account's \
         subdomain"
    )]
    BadRequest {
        /// The server's host.
        host: String,
        /// The domain.
        domain: String,
        /// The server's answer.
        failure: HttpFailure,
    },
    /// The request failed in another way.
    #[error("updating the TXT record failed: {host} {failure}")]
    Request {
        /// The server's host.
        host: String,
        /// The failure.
        failure: HttpFailure,
    },
}

impl Provider {
    /// A client for a server with these settings.
    pub fn new(settings: Settings, clients: &Clients) -> Result<Self, Error> {
        let host = &settings.host;
        if !matches!(host.scheme(), "http" | "https") || host.host_str().is_none() {
            return Err(Error::Url { url: host.to_string() });
        }
        Ok(Self { client: clients.trusting(None)?, settings })
    }

    /// Adds the record's value. It replaces the older of the account's two values.
    pub async fn present(&self, record: &Record) -> Result<(), Error> {
        let domain = record.base_domain().to_owned();
        let accounts = &self.settings.accounts;
        let account = accounts.of(&record.domain).ok_or_else(|| Error::NoAccount {
            domain: domain.clone(),
            domains: accounts.domains().map(str::to_owned).collect(),
        })?;
        let mut url = self.settings.host.clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("update");
        }
        let body = serde_json::json!({ "subdomain": account.subdomain, "txt": record.value });
        let sent = post(&self.client, &url, TIMEOUT, |request| {
            request
                .header(CONTENT_TYPE, "application/json")
                .header("X-Api-User", account.username.expose_secret())
                .header("X-Api-Key", account.password.expose_secret())
                .body(body.to_string())
        });
        sent.await.map(drop).map_err(|failure| match failure {
            HttpFailure::Status { status: 401, .. } => Error::Unauthorized { host, domain, failure },
            HttpFailure::Status { status: 400, .. } => Error::BadRequest { host, domain, failure },
            failure => Error::Request { host, failure },
        })
    }

    /// Does nothing: values cannot be deleted on the server, and each new one replaces the oldest.
    #[expect(clippy::unused_async, reason = "as the other providers have it")]
    pub async fn clean_up(&self, _record: &Record) -> Result<(), Error> {
        Ok(())
    }
}

//! TXT values in Akamai Edge DNS: <https://techdocs.akamai.com/edge-dns/reference/edge-dns-api>
//!
//! The crate `dns-update` knows it, but includes the bodies of PUT requests in its signatures, and Akamai only those of POST.

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certwright_runtime::clock;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Caller, Purpose};
use crate::error::ServiceError;
use crate::google::text;
use crate::providers::Given;

/// Edge DNS, with the credentials of an API client.
pub struct EdgeDns {
    caller: Caller,
    host: String,
    account_switch_key: Option<String>,
    client_token: SecretString,
    client_secret: SecretString,
    access_token: SecretString,
}

/// A record set.
#[derive(Deserialize, Serialize)]
struct RecordSet {
    name: String,
    r#type: String,
    ttl: u32,
    /// In the form of zone files.
    rdata: Vec<String>,
}

impl EdgeDns {
    /// The service with the values of the provider's fields.
    #[must_use]
    pub fn new(caller: Caller, given: &Given) -> Self {
        Self {
            caller,
            host: given.need("host").to_owned(),
            account_switch_key: given.owned("accountSwitchKey"),
            client_token: given.need("clientToken").into(),
            client_secret: given.need("clientSecret").into(),
            access_token: given.need("accessToken").into(),
        }
    }

    /// Adds a value, and keeps others and their time to live.
    ///
    /// # Errors
    /// What Akamai said.
    pub async fn add(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), ServiceError> {
        let (method, mut set) = match self.read(name, zone).await? {
            Some(set) => (Method::PUT, set),
            None => {
                let (name, rdata) = (name.to_owned(), Vec::new());
                (Method::POST, RecordSet { name, r#type: "TXT".to_owned(), ttl, rdata })
            }
        };
        if set.rdata.iter().any(|data| text::parse(data) == value) {
            return Ok(());
        }
        set.rdata.push(text::quote(value));
        self.write(method, name, zone, Some(&set)).await
    }

    /// Removes a value, and keeps others.
    ///
    /// # Errors
    /// What Akamai said.
    pub async fn remove(&self, name: &str, zone: &str, value: &str) -> Result<(), ServiceError> {
        let Some(mut set) = self.read(name, zone).await? else { return Ok(()) };
        let before = set.rdata.len();
        set.rdata.retain(|data| text::parse(data) != value);
        match set.rdata.len() {
            after if after == before => Ok(()),
            0 => self.write(Method::DELETE, name, zone, None).await,
            _ => self.write(Method::PUT, name, zone, Some(&set)).await,
        }
    }

    /// All values.
    ///
    /// # Errors
    /// What Akamai said.
    pub async fn values(&self, name: &str, zone: &str) -> Result<Vec<String>, ServiceError> {
        let set = self.read(name, zone).await?;
        Ok(set.map(|set| set.rdata.iter().map(|data| text::parse(data)).collect()).unwrap_or_default())
    }

    /// The record set. A zone that does not exist is reported when the set is written.
    async fn read(&self, name: &str, zone: &str) -> Result<Option<RecordSet>, ServiceError> {
        let answer = self.call(Method::GET, name, zone, String::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => answer.json().map(Some),
            _ => Err(self.refusal(&answer)),
        }
    }

    async fn write(
        &self,
        method: Method,
        name: &str,
        zone: &str,
        set: Option<&RecordSet>,
    ) -> Result<(), ServiceError> {
        let body = set.map(serde_json::to_string).transpose();
        let body = body.map_err(|error| ServiceError::new(error.to_string()))?.unwrap_or_default();
        let is_deletion = method == Method::DELETE;
        let answer = self.call(method, name, zone, body).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND if is_deletion => Ok(()),
            // The record set exists already, or the zone is being changed.
            StatusCode::CONFLICT => Err(ServiceError { conflict: true, ..self.refusal(&answer) }),
            _ => Err(self.refusal(&answer)),
        }
    }

    async fn call(
        &self,
        method: Method,
        name: &str,
        zone: &str,
        body: String,
    ) -> Result<Answer, ServiceError> {
        // Both names consist of letters, digits, hyphens, underscores and dots.
        let url = format!("https://{}/config-dns/v2/zones/{zone}/names/{name}/types/TXT", self.host);
        let mut url: Url =
            url.parse().map_err(|_| ServiceError::new("config.settings.host is not a host name"))?;
        if let Some(key) = &self.account_switch_key {
            url.query_pairs_mut().append_pair("accountSwitchKey", key);
        }
        let authorization = self.authorization(&method, &url, &body)?;
        let fill = |request: RequestBuilder| {
            let request = request.header(AUTHORIZATION, authorization);
            if body.is_empty() {
                request
            } else {
                request.header(CONTENT_TYPE, "application/json").body(body)
            }
        };
        self.caller.send(Purpose::Service("Akamai Edge DNS"), method, url, fill).await
    }

    /// The header that signs a request: <https://techdocs.akamai.com/developer/docs/authenticate-with-edgegrid>
    fn authorization(&self, method: &Method, url: &Url, body: &str) -> Result<String, ServiceError> {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).map_err(|_| ServiceError::new("the system has no random numbers"))?;
        let time = clock::now().strftime("%Y%m%dT%H:%M:%S+0000").to_string();
        let header = format!(
            "EG1-HMAC-SHA256 client_token={};access_token={};timestamp={time};nonce={:032x};",
            self.client_token.expose_secret(),
            self.access_token.expose_secret(),
            u128::from_be_bytes(nonce)
        );
        let content = match *method == Method::POST && !body.is_empty() {
            true => STANDARD.encode(digest::digest(&digest::SHA256, body.as_bytes())),
            false => String::new(),
        };
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = url.host_str().unwrap_or_default();
        let data = format!("{method}\thttps\t{host}\t{target}\t\t{content}\t{header}");
        let key = signed(self.client_secret.expose_secret(), &time);
        Ok(format!("{header}signature={}", signed(&key, &data)))
    }

    fn refusal(&self, answer: &Answer) -> ServiceError {
        #[derive(Deserialize)]
        struct Problem {
            title: Option<String>,
            detail: Option<String>,
        }
        let words = |Problem { title, detail }| {
            let words: Vec<_> = [title, detail].into_iter().flatten().collect();
            (!words.is_empty()).then(|| words.join(": "))
        };
        let words = answer.json().ok().and_then(words);
        answer.refusal(words, &[&self.client_token, &self.client_secret, &self.access_token])
    }
}

/// The signature of `data` in base64.
fn signed(key: &str, data: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, data.as_bytes()))
}

//! TXT values in Azure DNS: <https://learn.microsoft.com/rest/api/dns/record-sets>, and
//! <https://learn.microsoft.com/rest/api/dns/privatedns/record-sets>
//!
//! A record set is replaced or deleted only if it is still what was read, by its ETag.

#[cfg(test)]
mod tests;

use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Answer, Caller, Purpose, url};
use crate::error::ServiceError;
use crate::identity::{AzureCloud, AzureSource, Identity};

/// Where records are.
#[derive(Clone, Debug)]
pub struct AzureDnsSettings {
    /// The cloud.
    pub cloud: AzureCloud,
    /// The subscription's id.
    pub subscription: String,
    /// The resource group of the zone.
    pub resource_group: String,
    /// Whether the zone is a private one.
    pub private: bool,
}

/// Azure DNS, with a token for a few minutes.
pub struct AzureDns {
    caller: Caller,
    token: SecretString,
    settings: AzureDnsSettings,
}

/// A TXT record set.
struct RecordSet {
    etag: String,
    ttl: u32,
    /// The strings of each record.
    values: Vec<Vec<String>>,
    /// Somebody else's notes.
    metadata: Option<Value>,
}

impl AzureDns {
    /// The service with credentials from `source`.
    ///
    /// # Errors
    /// Why there is no token.
    pub async fn connect(
        identity: &Identity,
        source: &AzureSource,
        settings: AzureDnsSettings,
    ) -> Result<Self, ServiceError> {
        let token = identity.azure(source, settings.cloud).await?;
        Ok(Self { caller: identity.caller(), token, settings })
    }

    /// Adds a value, and keeps others.
    ///
    /// # Errors
    /// What Azure said.
    pub async fn add(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), ServiceError> {
        let url = self.url(name, zone)?;
        let read = self.read(&url).await?;
        let mut set =
            read.unwrap_or(RecordSet { etag: String::new(), ttl, values: Vec::new(), metadata: None });
        if set.values.iter().any(|strings| strings.concat() == value) {
            return Ok(());
        }
        set.values.push(strings(value));
        self.put(&url, &set).await
    }

    /// Removes a value, and keeps others.
    ///
    /// # Errors
    /// What Azure said.
    pub async fn remove(&self, name: &str, zone: &str, value: &str) -> Result<(), ServiceError> {
        let url = self.url(name, zone)?;
        let Some(mut set) = self.read(&url).await? else { return Ok(()) };
        let before = set.values.len();
        set.values.retain(|strings| strings.concat() != value);
        match set.values.len() {
            after if after == before => Ok(()),
            0 => self.delete(&url, &set).await,
            _ => self.put(&url, &set).await,
        }
    }

    /// All values.
    ///
    /// # Errors
    /// What Azure said.
    pub async fn values(&self, name: &str, zone: &str) -> Result<Vec<String>, ServiceError> {
        let read = self.read(&self.url(name, zone)?).await?;
        Ok(read.map(|set| set.values.iter().map(|strings| strings.concat()).collect()).unwrap_or_default())
    }

    /// The record set, if it and its zone exist.
    async fn read(&self, url: &Url) -> Result<Option<RecordSet>, ServiceError> {
        #[derive(Deserialize)]
        struct Body {
            etag: String,
            properties: Properties,
        }
        // Public zones begin these names with capitals, private ones do not.
        #[derive(Deserialize)]
        struct Properties {
            #[serde(alias = "TTL")]
            ttl: u32,
            #[serde(default, alias = "TXTRecords", rename = "txtRecords")]
            records: Vec<Record>,
            metadata: Option<Value>,
        }
        #[derive(Deserialize)]
        struct Record {
            #[serde(default)]
            value: Vec<String>,
        }
        let answer = self.call(Method::GET, url, |request| request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let Body { etag, properties: Properties { ttl, records, metadata } } = answer.json()?;
                let values = records.into_iter().map(|record| record.value).collect();
                Ok(Some(RecordSet { etag, ttl, values, metadata }))
            }
            _ => Err(self.refusal(&answer)),
        }
    }

    /// Creates or replaces the record set.
    async fn put(&self, url: &Url, set: &RecordSet) -> Result<(), ServiceError> {
        let records: Vec<_> = set.values.iter().map(|strings| json!({"value": strings})).collect();
        let (ttl_field, records_field) = match self.settings.private {
            true => ("ttl", "txtRecords"),
            false => ("TTL", "TXTRecords"),
        };
        let mut properties = json!({ttl_field: set.ttl, records_field: records});
        if let Some(metadata) = &set.metadata {
            properties["metadata"] = metadata.clone();
        }
        let body = json!({"properties": properties}).to_string();
        let fill = |request: RequestBuilder| {
            let request = match set.etag.as_str() {
                "" => request.header(IF_NONE_MATCH, "*"),
                etag => request.header(IF_MATCH, etag),
            };
            request.header(CONTENT_TYPE, "application/json").body(body)
        };
        let answer = self.call(Method::PUT, url, fill).await?;
        self.done(&answer)
    }

    /// Deletes the record set.
    async fn delete(&self, url: &Url, set: &RecordSet) -> Result<(), ServiceError> {
        let fill = |request: RequestBuilder| request.header(IF_MATCH, &set.etag);
        let answer = self.call(Method::DELETE, url, fill).await?;
        self.done(&answer)
    }

    fn done(&self, answer: &Answer) -> Result<(), ServiceError> {
        if answer.status.is_success() {
            return Ok(());
        }
        let conflict = answer.status == StatusCode::PRECONDITION_FAILED;
        Err(ServiceError { conflict, ..self.refusal(answer) })
    }

    /// The URL of the record set `name` in `zone`.
    fn url(&self, name: &str, zone: &str) -> Result<Url, ServiceError> {
        let AzureDnsSettings { cloud, subscription, resource_group, private } = &self.settings;
        let relative = name.strip_suffix(zone).map(|rest| rest.strip_suffix('.').unwrap_or(rest));
        let outside = || {
            ServiceError::new(format!(
                "the record {name} is not in the zone {zone}; correct zone in the config"
            ))
        };
        let relative = match relative.ok_or_else(outside)? {
            "" => "@",
            relative => relative,
        };
        let (zones, version) = match private {
            true => ("privateDnsZones", "2018-09-01"),
            false => ("dnsZones", "2018-05-01"),
        };
        let network = ["providers", "Microsoft.Network", zones, zone, "TXT", relative];
        let group = ["subscriptions", subscription, "resourceGroups", resource_group];
        let mut url = url(cloud.resource_manager(), &[&group[..], &network].concat())?;
        url.query_pairs_mut().append_pair("api-version", version);
        Ok(url)
    }

    async fn call(
        &self,
        method: Method,
        url: &Url,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, ServiceError> {
        let fill = |request: RequestBuilder| fill(request.bearer_auth(self.token.expose_secret()));
        self.caller.send(Purpose::Service("Azure DNS"), method, url.clone(), fill).await
    }

    fn refusal(&self, answer: &Answer) -> ServiceError {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Refusal {
            Nested { error: Details },
            Flat(Details),
        }
        #[derive(Deserialize)]
        struct Details {
            code: String,
            message: String,
        }
        let words = answer.json().ok().map(|refusal| {
            let (Refusal::Nested { error } | Refusal::Flat(error)) = refusal;
            format!("{}: {}", error.code, error.message)
        });
        answer.refusal(words, &[&self.token])
    }
}

/// A value as strings of at most 255 bytes.
fn strings(value: &str) -> Vec<String> {
    let mut strings = vec![String::new()];
    for c in value.chars() {
        match strings.last_mut().filter(|last| last.len() + c.len_utf8() <= 255) {
            Some(last) => last.push(c),
            None => strings.push(c.into()),
        }
    }
    strings
}

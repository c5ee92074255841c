//! TXT values in Google Cloud DNS: <https://cloud.google.com/dns/docs/reference/rest/v1>
//!
//! A change deletes the record set as it was read and adds the new one. Cloud DNS makes both or none, and none if the record set has
//! changed in between.

#[cfg(test)]
mod tests;
pub(crate) mod text;

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::{Answer, Caller, Purpose, url};
use crate::error::ServiceError;
use crate::identity::{GoogleSource, Identity};

const HOST: &str = "https://dns.googleapis.com";

/// Where records are.
#[derive(Clone, Debug)]
pub struct CloudDnsSettings {
    /// The project's id.
    pub project: String,
    /// The name of the managed zone. Without it, the zone is looked up by its DNS name, or else by those of its parents.
    pub managed_zone: Option<String>,
    /// Whether private zones are looked up instead of public ones.
    pub private: bool,
}

/// Cloud DNS, with a token for a few minutes.
pub struct CloudDns {
    caller: Caller,
    token: SecretString,
    settings: CloudDnsSettings,
}

/// A TXT record set, with all its other fields.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct RecordSet {
    name: String,
    r#type: String,
    ttl: u32,
    /// In the form of zone files.
    #[serde(default)]
    rrdatas: Vec<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl CloudDns {
    /// The service with credentials from `source`, or those of a service account to `impersonate`.
    ///
    /// # Errors
    /// Why there is no token.
    pub async fn connect(
        identity: &Identity,
        source: &GoogleSource,
        impersonate: Option<&str>,
        settings: CloudDnsSettings,
    ) -> Result<Self, ServiceError> {
        let token = identity.google(source, impersonate).await?;
        Ok(Self { caller: identity.caller(), token, settings })
    }

    /// Adds a value, and keeps others.
    ///
    /// # Errors
    /// What Google said.
    pub async fn add(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), ServiceError> {
        let change = |read: Option<&RecordSet>| {
            let set = read.cloned().unwrap_or_else(|| RecordSet {
                name: format!("{name}."),
                r#type: "TXT".to_owned(),
                ttl,
                rrdatas: Vec::new(),
                others: Map::new(),
            });
            let is_there = set.rrdatas.iter().any(|text| text::parse(text) == value);
            let added = set.rrdatas.iter().cloned().chain([text::quote(value)]).collect();
            (!is_there).then_some(RecordSet { rrdatas: added, ..set })
        };
        self.change(name, zone, change).await
    }

    /// Removes a value, and keeps others.
    ///
    /// # Errors
    /// What Google said.
    pub async fn remove(&self, name: &str, zone: &str, value: &str) -> Result<(), ServiceError> {
        let change = |read: Option<&RecordSet>| {
            let (mut set, before) = (read?.clone(), read?.rrdatas.len());
            set.rrdatas.retain(|text| text::parse(text) != value);
            (set.rrdatas.len() < before).then_some(set)
        };
        self.change(name, zone, change).await
    }

    /// All values.
    ///
    /// # Errors
    /// What Google said.
    pub async fn values(&self, name: &str, zone: &str) -> Result<Vec<String>, ServiceError> {
        let zone = self.managed_zone(zone).await?;
        let read = self.read(&zone, name).await?;
        Ok(read.map(|set| set.rrdatas.iter().map(|text| text::parse(text)).collect()).unwrap_or_default())
    }

    /// Replaces the record set by what `change` makes of it, if that is something else.
    async fn change(
        &self,
        name: &str,
        zone: &str,
        change: impl Fn(Option<&RecordSet>) -> Option<RecordSet>,
    ) -> Result<(), ServiceError> {
        let zone = self.managed_zone(zone).await?;
        let read = self.read(&zone, name).await?;
        let Some(changed) = change(read.as_ref()) else { return Ok(()) };
        let was_there = read.is_some();
        let additions = if changed.rrdatas.is_empty() { Vec::new() } else { vec![changed] };
        let deletions: Vec<_> = read.into_iter().collect();
        let body = json!({"deletions": deletions, "additions": additions}).to_string();
        let fill = |request: RequestBuilder| request.header(CONTENT_TYPE, "application/json").body(body);
        let answer = self.call(Method::POST, self.url(&["managedZones", &zone, "changes"])?, fill).await?;
        let conflict = match answer.status {
            status if status.is_success() => return Ok(()),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => true,
            // What is to be deleted no longer exists. A managed zone that does not exist was already reported by reading it.
            StatusCode::NOT_FOUND => was_there,
            _ => false,
        };
        Err(ServiceError { conflict, ..self.refusal(&answer) })
    }

    async fn read(&self, zone: &str, name: &str) -> Result<Option<RecordSet>, ServiceError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            rrsets: Vec<RecordSet>,
        }
        let mut url = self.url(&["managedZones", zone, "rrsets"])?;
        let name = format!("{name}.");
        url.query_pairs_mut().append_pair("name", &name).append_pair("type", "TXT");
        let answer = self.call(Method::GET, url, |request| request).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        let List { rrsets } = answer.json()?;
        Ok(rrsets.into_iter().find(|set| set.r#type == "TXT" && set.name.eq_ignore_ascii_case(&name)))
    }

    /// The name of the managed zone: the configured one, or that of the zone with this DNS name, or of its closest parent.
    async fn managed_zone(&self, dns_name: &str) -> Result<String, ServiceError> {
        if let Some(name) = &self.settings.managed_zone {
            return Ok(name.clone());
        }
        let parents = std::iter::successors(Some(dns_name), |name| {
            name.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'))
        });
        for dns_name in parents {
            let mut found = self.managed_zones(dns_name).await?;
            if found.len() > 1 {
                found.sort();
                let (project, names) = (&self.settings.project, found.join(", "));
                return Err(ServiceError::new(format!(
                    "project {project} has several managed zones for {dns_name}: {names}; name one of them in hostedZoneName"
                )));
            }
            if let Some(name) = found.pop() {
                return Ok(name);
            }
        }
        let (project, kind) =
            (&self.settings.project, if self.settings.private { "private" } else { "public" });
        Err(ServiceError::new(format!(
            "project {project} has no {kind} managed zone for {dns_name} or a parent of it; name the zone in hostedZoneName"
        )))
    }

    async fn managed_zones(&self, dns_name: &str) -> Result<Vec<String>, ServiceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            #[serde(default)]
            managed_zones: Vec<Zone>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Zone {
            name: String,
            dns_name: String,
            visibility: Option<String>,
        }
        let mut url = self.url(&["managedZones"])?;
        let dns_name = format!("{dns_name}.");
        url.query_pairs_mut().append_pair("dnsName", &dns_name);
        let answer = self.call(Method::GET, url, |request| request).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        let List { managed_zones } = answer.json()?;
        let wanted = |zone: &Zone| {
            let is_private = zone.visibility.as_deref() == Some("private");
            zone.dns_name.eq_ignore_ascii_case(&dns_name) && is_private == self.settings.private
        };
        Ok(managed_zones.into_iter().filter(wanted).map(|zone| zone.name).collect())
    }

    fn url(&self, path: &[&str]) -> Result<Url, ServiceError> {
        url(HOST, &[&["dns", "v1", "projects", &self.settings.project], path].concat())
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, ServiceError> {
        let fill = |request: RequestBuilder| fill(request.bearer_auth(self.token.expose_secret()));
        self.caller.send(Purpose::Service("Google Cloud DNS"), method, url, fill).await
    }

    fn refusal(&self, answer: &Answer) -> ServiceError {
        #[derive(Deserialize)]
        struct Refusal {
            error: Details,
        }
        #[derive(Deserialize)]
        struct Details {
            message: String,
        }
        let words = answer.json().ok().map(|refusal: Refusal| refusal.error.message);
        answer.refusal(words, &[&self.token])
    }
}

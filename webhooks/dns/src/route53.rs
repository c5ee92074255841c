//! TXT values in Amazon Route 53: <https://docs.aws.amazon.com/Route53/latest/APIReference/Welcome.html>
//!
//! The crate `dns-update` knows it, but takes a private zone for a public one of the same name.

mod xml;

use http::Method;
use http::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Url};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use self::xml::{HostedZone, HostedZones, RecordSet, RecordSets};
use crate::call::{Answer, Caller, Purpose};
use crate::error::ServiceError;
use crate::google::text;
use crate::identity::AwsCredentials;
use crate::identity::aws::{refusal, sign, xml as document};

const TITLE: &str = "Amazon Route 53";
const API: &str = "https://route53.amazonaws.com";
const VERSION: &str = "2013-04-01";
const XML: &str = "application/xml";

/// Where records are.
#[derive(Clone, Debug)]
pub struct Route53Settings {
    /// The region that requests are signed for.
    pub region: String,
    /// The hosted zone. Without it, the zone is looked up by its name.
    pub hosted_zone_id: Option<String>,
    /// Whether private zones are looked up instead of public ones.
    pub private: bool,
}

/// Where the API is.
pub struct Server {
    url: Url,
    caller: Caller,
    /// Whether what it says may be shown: not if the issuer's author chose it.
    may_be_quoted: bool,
}

/// Route 53, with an access key.
pub struct Route53 {
    server: Server,
    pub(crate) credentials: AwsCredentials,
    settings: Route53Settings,
    /// What was looked up.
    hosted_zone: OnceCell<String>,
}

impl Server {
    /// That of AWS itself.
    ///
    /// # Errors
    /// None in practice.
    pub fn of_aws(caller: Caller) -> Result<Self, ServiceError> {
        Ok(Self { may_be_quoted: true, ..Self::of_the_issuers_author(API, caller)? })
    }

    /// One that an issuer names.
    ///
    /// # Errors
    /// If it is not a URL.
    pub fn of_the_issuers_author(url: &str, caller: Caller) -> Result<Self, ServiceError> {
        let url = url.parse().map_err(|_| ServiceError::new("config.settings.endpoint is not a URL"))?;
        Ok(Self { url, caller, may_be_quoted: false })
    }
}

impl Route53 {
    /// The service with these credentials.
    #[must_use]
    pub fn new(server: Server, credentials: AwsCredentials, settings: Route53Settings) -> Self {
        Self { server, credentials, settings, hosted_zone: OnceCell::new() }
    }

    /// Adds a value, and keeps others and their time to live.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn add(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), ServiceError> {
        let zone = self.hosted_zone(name, zone).await?;
        let mut set = self.read(zone, name).await?.unwrap_or_else(|| RecordSet::empty(name, ttl));
        if set.values().any(|shown| text::parse(shown) == value) {
            return Ok(());
        }
        set.add(text::quote(value));
        self.write(zone, "UPSERT", &set).await
    }

    /// Removes a value, and keeps others.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn remove(&self, name: &str, zone: &str, value: &str) -> Result<(), ServiceError> {
        let zone = self.hosted_zone(name, zone).await?;
        let Some(set) = self.read(zone, name).await? else { return Ok(()) };
        let others = set.without(|shown| text::parse(shown) == value);
        match (others.values().count(), set.values().count()) {
            (after, before) if after == before => Ok(()),
            (0, _) => self.write(zone, "DELETE", &set).await,
            _ => self.write(zone, "UPSERT", &others).await,
        }
    }

    /// All values.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn values(&self, name: &str, zone: &str) -> Result<Vec<String>, ServiceError> {
        let set = self.read(self.hosted_zone(name, zone).await?, name).await?;
        Ok(set.iter().flat_map(RecordSet::values).map(text::parse).collect())
    }

    async fn read(&self, zone: &str, name: &str) -> Result<Option<RecordSet>, ServiceError> {
        // The first one that has this name and type, or comes after it.
        let query = format!("maxitems=1&name={name}.&type=TXT");
        let answer = self.call(Method::GET, &["hostedzone", zone, "rrset"], &query, String::new()).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        let RecordSets { sets } = document(&answer).ok_or_else(|| answer.not_understood())?;
        Ok(sets.into_iter().find(|set| set.is_of(name)))
    }

    async fn write(&self, zone: &str, action: &str, set: &RecordSet) -> Result<(), ServiceError> {
        let body = xml::change(action, set).map_err(|error| ServiceError::new(error.to_string()))?;
        let answer = self.call(Method::POST, &["hostedzone", zone, "rrset"], "", body).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let code = refusal(&answer).map(|(code, _)| code);
        let conflict = match code.as_deref() {
            // Another change of the zone is in progress.
            Some("PriorRequestNotComplete" | "Throttling") => true,
            // What is to be deleted is not what was read.
            Some("InvalidChangeBatch") => action == "DELETE",
            _ => false,
        };
        Err(ServiceError { conflict, ..self.refusal(&answer) })
    }

    /// The id of the hosted zone: the configured one, or that of the zone with the name, or of its closest parent.
    async fn hosted_zone(&self, name: &str, zone: &str) -> Result<&str, ServiceError> {
        let id = self.hosted_zone.get_or_try_init(async || match &self.settings.hosted_zone_id {
            Some(id) => zone_id(id).ok_or_else(|| {
                ServiceError::new("config.settings.hostedZoneID is not the ID of a hosted zone, such as Z0123456789ABCDEFGHIJ")
            }),
            // The name servers that the request's zone is from may not know private zones.
            None => self.look_up(if self.settings.private { name } else { zone }).await,
        });
        id.await.map(String::as_str)
    }

    async fn look_up(&self, zone: &str) -> Result<String, ServiceError> {
        let kind = if self.settings.private { "private" } else { "public" };
        let parents = std::iter::successors(Some(zone), |name| {
            name.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'))
        });
        for name in parents {
            let found = self.hosted_zones(name).await?;
            let mut ids: Vec<_> = found.iter().filter_map(|zone| zone_id(&zone.id)).collect();
            if ids.len() > 1 {
                ids.sort();
                return Err(ServiceError::new(format!(
                    "there are several {kind} hosted zones for {name}: {}; name one of them in hostedZoneID",
                    ids.join(", ")
                )));
            }
            if let Some(id) = ids.pop() {
                return Ok(id);
            }
        }
        Err(ServiceError::new(format!(
            "there is no {kind} hosted zone for {zone} or a parent of it; check which account the credentials are for, or name the \
             zone in hostedZoneID"
        )))
    }

    /// The zones of this name and of the configured kind.
    async fn hosted_zones(&self, name: &str) -> Result<Vec<HostedZone>, ServiceError> {
        // All zones from this name on. A name cannot have 100 zones in practice.
        let query = format!("dnsname={name}.&maxitems=100");
        let answer = self.call(Method::GET, &["hostedzonesbyname"], &query, String::new()).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        let HostedZones { zones } = document(&answer).ok_or_else(|| answer.not_understood())?;
        Ok(zones.into_iter().filter(|zone| zone.is(name, self.settings.private)).collect())
    }

    /// Sends a request. `query` is in its canonical form: ordered, without characters to escape.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        body: String,
    ) -> Result<Answer, ServiceError> {
        let mut url = self.server.url.clone();
        let not_a_base = |()| ServiceError::new("config.settings.endpoint is not a URL");
        url.path_segments_mut().map_err(not_a_base)?.pop_if_empty().push(VERSION).extend(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let request = sign::Request {
            method: method.as_str(),
            host: &host,
            path: url.path(),
            query,
            content_type: XML,
            body: &body,
        };
        let scope = sign::Scope { region: &self.settings.region, service: "route53" };
        let signed = sign::headers(&request, &scope, &self.credentials, certwright_runtime::clock::now());
        let fill = |request: RequestBuilder| {
            let request = request.header(CONTENT_TYPE, XML);
            signed.into_iter().fold(request, |request, (name, value)| request.header(name, value)).body(body)
        };
        self.server.caller.send(Purpose::Service(TITLE), method, url.clone(), fill).await
    }

    fn refusal(&self, answer: &Answer) -> ServiceError {
        let words = refusal(answer).filter(|_| self.server.may_be_quoted);
        let words = words.map(|(code, message)| match message.is_empty() {
            true => code,
            false => format!("{code}: {message}"),
        });
        let AwsCredentials { secret_access_key, session_token, .. } = &self.credentials;
        let secrets: Vec<&SecretString> = session_token.iter().chain([secret_access_key]).collect();
        answer.refusal(words, &secrets)
    }
}

/// The id of a hosted zone, with or without what its name in the API begins with.
fn zone_id(text: &str) -> Option<String> {
    let id = text.strip_prefix('/').unwrap_or(text);
    let id = id.strip_prefix("hostedzone/").unwrap_or(id);
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        for id in ["Z1", "/hostedzone/Z1", "hostedzone/Z1"] {
            assert_eq!(zone_id(id).as_deref(), Some("Z1"), "{id}");
        }
        for id in ["", "/hostedzone/", "..", "Z1/rrset", "Z1?x", "Z".repeat(33).as_str()] {
            assert_eq!(zone_id(id), None, "{id}");
        }
    }
}

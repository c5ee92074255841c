//! From a configuration and the content of its Secrets to a service.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use certwright_egress::{Egress, Forbidden, Purpose, is_forbidden};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{Config, SecretKeyRef, clouds};
use crate::akamai::EdgeDns;
use crate::call::Caller;
use crate::error::ServiceError;
use crate::identity::{Ambient, Identity};
use crate::providers::field::host_and_port;
use crate::providers::{Connect, Field, Given, Kind, Presence};
use crate::redact::Redactor;
use crate::relay::Relay;
use crate::service::{Known, Service};

/// A service with certain credentials. Only a digest of them is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account([u8; SHA256_OUTPUT_LEN]);

impl Config {
    /// Which account at which service the configuration leads to.
    #[must_use]
    pub fn account(&self, secrets: &BTreeMap<SecretKeyRef, SecretString>) -> Account {
        let mut digest = Context::new(&SHA256);
        let mut add = |text: &str| {
            digest.update(&text.len().to_be_bytes());
            digest.update(text.as_bytes());
        };
        add(self.provider.name);
        for (name, setting) in &self.settings {
            add(name);
            add(setting);
        }
        for (name, reference) in &self.credentials {
            add(name);
            add(secrets.get(reference).map(ExposeSecret::expose_secret).unwrap_or_default());
        }
        let mut account = [0; SHA256_OUTPUT_LEN];
        account.copy_from_slice(digest.finish().as_ref());
        Account(account)
    }

    /// The service, with the content of the Secrets that [`Config::secrets`] lists. A server that the configuration names must be
    /// one that `egress` permits. If it names no credentials of a cloud, those of `identity` are used if that is allowed.
    ///
    /// # Errors
    /// What is wrong with a Secret, or that the server may not be used.
    pub async fn connect(
        &self,
        secrets: &BTreeMap<SecretKeyRef, SecretString>,
        egress: &Egress,
        identity: &Identity,
        may_use_ambient: bool,
    ) -> Result<Service, ServiceError> {
        let mut given = self.given(secrets)?;
        let (mut tenants_server, mut relay) = (false, None);
        for field in self.provider.fields {
            if let Some(address) = permitted(field, &given, egress).await? {
                given.set(field.name, address);
            }
            let Some(url) = given.get(field.name).and_then(|text| api(field.kind, text)) else { continue };
            tenants_server = true;
            if !matches!(self.provider.connect, Connect::Known(_)) {
                continue;
            }
            // A proxy for requests to this process itself would have to lead back to it.
            given.set(field.name, url.to_string());
            if !is_proxied_itself() {
                let started = Relay::start(self.provider.title, url, Caller::restricted(egress)?).await?;
                given.set(field.name, started.url().to_owned());
                relay = Some(started);
            }
        }
        let client = match self.provider.connect {
            Connect::Known(client) => client,
            Connect::Aws => {
                return clouds::aws(&given, egress, identity, self.ambient(&given, may_use_ambient)?).await;
            }
            Connect::Akamai => {
                return Ok(Service::Akamai(Box::new(EdgeDns::new(identity.caller(), &given))));
            }
            Connect::Google => {
                return clouds::google(&given, identity, self.ambient(&given, may_use_ambient)?).await;
            }
            Connect::Azure => {
                return clouds::azure(
                    self.provider,
                    &given,
                    identity,
                    self.ambient(&given, may_use_ambient)?,
                )
                .await;
            }
        };
        let redactor = Redactor::new(given.secrets());
        let updater = client(&given).map_err(|error| {
            let words = redactor.redact(&error.to_string());
            ServiceError::new(format!("{} cannot be used with this config: {words}", self.provider.title))
        })?;
        let provider = self.provider;
        let may_be_quoted = !tenants_server;
        Ok(Service::Known(Box::new(Known { provider, updater, redactor, relay, may_be_quoted })))
    }

    /// The values of all fields.
    fn given(&self, secrets: &BTreeMap<SecretKeyRef, SecretString>) -> Result<Given, ServiceError> {
        let mut given = Given::new(self.zone.clone());
        for field in self.provider.fields {
            if let Some(reference) = self.credentials.get(field.name) {
                let content = secrets.get(reference).map(ExposeSecret::expose_secret).unwrap_or_default();
                // Files and tools like to end with a line break.
                let content = content.trim();
                if !field.admits(content) {
                    let SecretKeyRef { name, key } = reference;
                    let form = field.form();
                    return Err(ServiceError::new(format!(
                        "config.credentials.{}: the key {key} of Secret {name} must be {form}",
                        field.name
                    )));
                }
                given.set_secret(field.name, content.into());
            } else if let Some(setting) = self.settings.get(field.name) {
                given.set(field.name, setting.clone());
            } else if let Presence::Default(default) = field.presence {
                given.set(field.name, default.to_owned());
            }
        }
        Ok(given)
    }

    /// The permission to use the credentials of this process, which is needed if the configuration names none.
    fn ambient(&self, given: &Given, may_use_ambient: bool) -> Result<Option<Ambient>, ServiceError> {
        let is_missing =
            |field: &&Field| field.presence == Presence::UnlessAmbient && given.get(field.name).is_none();
        match self.provider.fields.iter().find(is_missing) {
            None => Ok(None),
            Some(field) if !self.credentials.is_empty() => {
                Err(ServiceError::new(super::missing(self.provider, field).to_string()))
            }
            Some(_) => Ambient::permitted(may_use_ambient).map(Some),
        }
    }
}

/// Checks the server that a field names. A name server is replaced by its address, which is the one that is connected to. That of an
/// HTTP API is checked again for each connection.
async fn permitted(field: &Field, given: &Given, egress: &Egress) -> Result<Option<String>, ServiceError> {
    let Some((host, port)) = given.get(field.name).and_then(|text| server(field.kind, text)) else {
        return Ok(None);
    };
    let failed = |why: &str| Err(ServiceError::new(format!("config.settings.{}: {host} {why}", field.name)));
    match egress.addresses(Purpose::Provider, &host, port).await {
        Ok(found) if field.kind == Kind::NameServer => Ok(found.first().map(SocketAddr::to_string)),
        Ok(_) => Ok(None),
        Err(error) if is_forbidden(&error) => failed(&Forbidden.to_string()),
        // A proxy resolves names itself, by its own rules.
        Err(_) if api(field.kind, given.need(field.name)).is_some_and(|url| has_proxy(&url)) => Ok(None),
        Err(_) => failed("cannot be resolved; check the name, and the cluster's DNS"),
    }
}

/// The host and the port that a field names.
fn server(kind: Kind, text: &str) -> Option<(String, u16)> {
    if kind == Kind::NameServer {
        return host_and_port(text, 53);
    }
    let url = api(kind, text)?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port_or_known_default()?))
}

/// The URL of the HTTP API that a field names.
fn api(kind: Kind, text: &str) -> Option<Url> {
    match kind {
        Kind::Url => Url::parse(text).ok(),
        Kind::Host => Url::parse(&format!("https://{text}")).ok(),
        _ => None,
    }
}

/// Whether requests to this server go through a proxy of the environment.
fn has_proxy(url: &Url) -> bool {
    let uri = url.as_str().parse::<http::Uri>();
    uri.is_ok_and(|uri| Matcher::from_system().intercept(&uri).is_some())
}

/// Whether even requests to this host do.
fn is_proxied_itself() -> bool {
    let uri = http::Uri::from_static("http://127.0.0.1/");
    Matcher::from_system().intercept(&uri).is_some()
}

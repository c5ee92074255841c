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
use crate::error::ServiceError;
use crate::identity::{Ambient, Identity};
use crate::providers::field::host_and_port;
use crate::providers::{Connect, Field, Given, Kind, Presence};
use crate::redact::Redactor;
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
        let mut tenants_server = false;
        for field in self.provider.fields {
            if let Some(address) = permitted(field, &given, egress).await? {
                given.set(field.name, address);
            }
            tenants_server |= matches!(field.kind, Kind::Url | Kind::Host) && given.get(field.name).is_some();
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
        Ok(Service::Known(Box::new(Known { provider, updater, redactor, may_be_quoted: !tenants_server })))
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

/// Checks the server that a field names. A name server is replaced by its address, which is the one that is connected to. The crate
/// resolves the host of a URL again.
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
        Err(_) if field.kind != Kind::NameServer && has_proxy(&host) => Ok(None),
        Err(_) => failed("cannot be resolved; check the name, and the cluster's DNS"),
    }
}

/// The host and the port that a field names.
fn server(kind: Kind, text: &str) -> Option<(String, u16)> {
    match kind {
        Kind::NameServer => host_and_port(text, 53),
        Kind::Host => host_and_port(text, 443),
        Kind::Url => {
            let url = Url::parse(text).ok()?;
            let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some((host, url.port_or_known_default()?))
        }
        _ => None,
    }
}

/// Whether requests to this host go through a proxy of the environment.
fn has_proxy(host: &str) -> bool {
    let uri = format!("https://{host}/").parse::<http::Uri>();
    uri.is_ok_and(|uri| Matcher::from_system().intercept(&uri).is_some())
}

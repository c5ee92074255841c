//! `webhook.config` of an issuer: which DNS service, with which settings and Secrets.

mod clouds;
mod connect;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use self::connect::Account;
use crate::providers::{Field, Place, Provider};

/// How a reference to a Secret is written.
const REFERENCE: &str = "{secretRef: {name: …, key: …}}";

/// The longest time to live.
pub const MAX_TTL: u32 = 86_400;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The DNS service.
    pub provider: &'static Provider,
    /// The time to live of new values, in seconds.
    pub ttl: u32,
    /// The zone, if it is not the one that the request names.
    pub zone: Option<String>,
    /// The values of fields that are no secrets.
    settings: BTreeMap<&'static str, String>,
    /// Where the values of the other fields are.
    credentials: BTreeMap<&'static str, SecretKeyRef>,
}

/// A key of a Secret in the challenge's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKeyRef {
    /// The name of the Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// Why `config` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It, or a part of it, is not an object.
    #[error("{path} must be an object")]
    NotAnObject {
        /// Where.
        path: String,
    },
    /// There is a field that does not belong there.
    #[error("{path} is not a field that is known; known are {known}")]
    Unknown {
        /// The field.
        path: String,
        /// The fields that may be there.
        known: String,
    },
    /// It names no provider.
    #[error("config.provider is missing: name the DNS service, as in {{provider: cloudflare}}")]
    NoProvider,
    /// It names a provider that does not exist.
    #[error("config.provider: there is no provider {name:?}{hint}")]
    UnknownProvider {
        /// What it names.
        name: String,
        /// Names that may be meant.
        hint: String,
    },
    /// A required field is missing.
    #[error("config.{path} is missing, which provider {provider} needs ({about}): write it as {form}")]
    Missing {
        /// The field.
        path: String,
        /// The provider.
        provider: &'static str,
        /// What the field is for.
        about: &'static str,
        /// What it must look like.
        form: String,
    },
    /// A field has a value that it cannot have.
    #[error("config.{path} must be {form}")]
    Invalid {
        /// The field.
        path: String,
        /// What it must be.
        form: String,
    },
    /// A secret is written into the configuration.
    #[error(
        "config.settings.{name} is a secret: put it into a Secret, and write config.credentials.{name} as \
         {{secretRef: {{name: …, key: …}}}}"
    )]
    SecretInSettings {
        /// The field.
        name: &'static str,
    },
    /// The provider's name server needs to know the zone.
    #[error("config.zone is missing, which provider {provider} needs: the zone that the credentials are for")]
    NoZone {
        /// The provider.
        provider: &'static str,
    },
}

/// Reads an issuer's `webhook.config`.
///
/// # Errors
/// What is missing or wrong, and what to write instead.
pub fn parse(config: &Value) -> Result<Config, ConfigError> {
    read::read(config)
}

impl Config {
    /// The Secrets that it needs, in the challenge's namespace.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretKeyRef> {
        let distinct: BTreeSet<_> = self.credentials.values().cloned().collect();
        distinct.into_iter().collect()
    }
}

/// What to say if a field of a provider is missing.
fn missing(provider: &Provider, field: &Field) -> ConfigError {
    let (place, form) = match field.place {
        Place::Credentials => ("credentials", REFERENCE.to_owned()),
        Place::Settings => ("settings", field.form()),
    };
    let path = format!("{place}.{}", field.name);
    ConfigError::Missing { path, provider: provider.name, about: field.about, form }
}

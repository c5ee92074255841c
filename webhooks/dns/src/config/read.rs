//! Reads and checks `config`.

use std::collections::BTreeMap;

use certwright_text::escaped;
use serde_json::{Map, Value};

use super::{Config, ConfigError, MAX_TTL, REFERENCE, SecretKeyRef, missing};
use crate::providers::{self, Field, Place, Presence, Provider};

const FIELDS: [&str; 5] = ["provider", "ttl", "zone", "credentials", "settings"];

pub(super) fn read(config: &Value) -> Result<Config, ConfigError> {
    let object = object(Some(config), "config")?;
    known(&object, "config", &FIELDS)?;
    let provider = provider(object.get("provider"))?;
    let zone = object.get("zone").map(zone).transpose()?;
    if provider.needs_zone && zone.is_none() {
        return Err(ConfigError::NoZone { provider: provider.name });
    }
    let settings = settings(provider, &self::object(object.get("settings"), "config.settings")?)?;
    let credentials = credentials(provider, &self::object(object.get("credentials"), "config.credentials")?)?;
    let ttl = object.get("ttl").map(ttl).transpose()?.unwrap_or(provider.ttl);
    let config = Config { provider, ttl, zone, settings, credentials };
    complete(&config)?;
    Ok(config)
}

/// The object; an empty one if there is none.
fn object(value: Option<&Value>, path: &str) -> Result<Map<String, Value>, ConfigError> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(_) => Err(ConfigError::NotAnObject { path: path.to_owned() }),
    }
}

/// Fails if the object has other fields than these.
fn known(object: &Map<String, Value>, path: &str, known: &[&str]) -> Result<(), ConfigError> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(ConfigError::Unknown {
            path: format!("{path}.{}", escaped(name, 60)),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        }),
    }
}

fn provider(value: Option<&Value>) -> Result<&'static Provider, ConfigError> {
    let name = match value {
        Some(Value::String(name)) => name,
        None | Some(Value::Null) => return Err(ConfigError::NoProvider),
        Some(_) => {
            return Err(ConfigError::Invalid {
                path: "provider".to_owned(),
                form: "a provider's name".to_owned(),
            });
        }
    };
    providers::find(name).ok_or_else(|| {
        // A longer text resembles no name.
        let similar = if name.len() <= 60 { providers::similar(name) } else { Vec::new() };
        let hint = match similar.as_slice() {
            [] => "; the documentation of certwright-dns lists them".to_owned(),
            names => format!("; did you mean {}?", names.join(" or ")),
        };
        ConfigError::UnknownProvider { name: escaped(name, 60), hint }
    })
}

fn ttl(value: &Value) -> Result<u32, ConfigError> {
    let ttl = value.as_u64().and_then(|ttl| u32::try_from(ttl).ok());
    ttl.filter(|ttl| (1..=MAX_TTL).contains(ttl)).ok_or_else(|| ConfigError::Invalid {
        path: "ttl".to_owned(),
        form: format!("a number of seconds from 1 to {MAX_TTL}"),
    })
}

/// The zone in lower case and without a trailing dot.
fn zone(value: &Value) -> Result<String, ConfigError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let zone = value.as_str().map(|text| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase());
    zone.filter(|zone| zone.len() <= 253 && zone.split('.').all(is_label)).ok_or_else(|| {
        ConfigError::Invalid { path: "zone".to_owned(), form: "a DNS name, as in example.com".to_owned() }
    })
}

fn settings(
    provider: &Provider,
    object: &Map<String, Value>,
) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let names =
        |place| provider.fields.iter().filter(move |field| field.place == place).map(|field| field.name);
    if let Some(name) = names(Place::Credentials).find(|name| object.contains_key(*name)) {
        return Err(ConfigError::SecretInSettings { name });
    }
    known(object, "config.settings", &names(Place::Settings).collect::<Vec<_>>())?;
    let mut settings = BTreeMap::new();
    for field in provider.fields {
        let Some(value) = object.get(field.name) else { continue };
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(yes) => Some(yes.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let text = text.filter(|text| field.admits(text)).ok_or_else(|| ConfigError::Invalid {
            path: format!("settings.{}", field.name),
            form: field.form(),
        })?;
        settings.insert(field.name, text);
    }
    Ok(settings)
}

/// Some settings may be in a Secret, too.
fn credentials(
    provider: &Provider,
    object: &Map<String, Value>,
) -> Result<BTreeMap<&'static str, SecretKeyRef>, ConfigError> {
    let names = provider.fields.iter().filter(|field| field.may_be_in_secret()).map(|field| field.name);
    known(object, "config.credentials", &names.collect::<Vec<_>>())?;
    let mut credentials = BTreeMap::new();
    for field in provider.fields {
        let Some(value) = object.get(field.name) else { continue };
        let reference = reference(value).ok_or_else(|| ConfigError::Invalid {
            path: format!("credentials.{}", field.name),
            form: format!("the name of a Secret in the challenge's namespace and a key in it: {REFERENCE}"),
        })?;
        credentials.insert(field.name, reference);
    }
    Ok(credentials)
}

fn reference(value: &Value) -> Option<SecretKeyRef> {
    let outer = value.as_object().filter(|outer| outer.len() == 1)?;
    let inner = outer.get("secretRef")?.as_object().filter(|inner| inner.len() == 2)?;
    // The API server knows no other names (`IsDNS1123Subdomain`, `IsConfigMapKey`).
    let text = |field: &str, others: &[u8]| {
        let text = inner.get(field)?.as_str()?;
        let admitted = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        let is_name =
            (1..=253).contains(&text.len()) && text.bytes().all(admitted) && !matches!(text, "." | "..");
        is_name.then(|| text.to_owned())
    };
    Some(SecretKeyRef { name: text("name", b"-.")?, key: text("key", b"-._")? })
}

/// Fails if a required field is missing. If any of the fields is given that credentials of this process replace, all must be.
fn complete(config: &Config) -> Result<(), ConfigError> {
    let given = |field: &Field| {
        config.settings.contains_key(field.name) || config.credentials.contains_key(field.name)
    };
    let fields = config.provider.fields;
    let of = |presence| move |field: &&Field| field.presence == presence;
    let static_keys = fields.iter().filter(of(Presence::UnlessAmbient)).any(given);
    let is_missing = |field: &&Field| match field.presence {
        Presence::Required => !given(field),
        Presence::UnlessAmbient => static_keys && !given(field),
        Presence::Optional | Presence::Default(_) => false,
    };
    match fields.iter().find(is_missing) {
        None => Ok(()),
        Some(field) => Err(missing(config.provider, field)),
    }
}

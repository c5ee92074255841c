//! The Secrets that a configuration names.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::core::v1::Secret;
use kube::core::{Expression, Selector, SelectorExt};
use kube::{Api, Client};
use secrecy::SecretString;

use crate::config::SecretKeyRef;

/// Reads Secrets by name: those that its roles allow, and of these, those that have the labels.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    labels: Labels,
}

/// Labels that a Secret must have, as `key=value` or `key`, separated by commas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    selector: Selector,
    text: String,
}

/// Why a Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none.
    #[error("the Secret {0} does not exist; create it")]
    Missing(String),
    /// No role allows it.
    #[error("certwright-dns may not read the Secret {0}; allow it with the chart's value secrets")]
    Forbidden(String),
    /// It lacks the labels.
    #[error(
        "certwright-dns uses only Secrets with the label {labels}, which the Secret {name} does not have"
    )]
    Unlabelled {
        /// Namespace and name.
        name: String,
        /// The labels.
        labels: String,
    },
    /// It has no such key.
    #[error("the Secret {name} has no key {key}; add it, or change the key in the issuer's config")]
    NoKey {
        /// Namespace and name.
        name: String,
        /// The key.
        key: String,
    },
    /// The value is not text.
    #[error("the key {key} of the Secret {name} is not UTF-8 text")]
    NotText {
        /// Namespace and name.
        name: String,
        /// The key.
        key: String,
    },
    /// The API server did not answer as it should.
    #[error("reading the Secret {0} failed; see the log of certwright-dns")]
    Read(String, #[source] kube::Error),
}

impl Secrets {
    /// Reads with this client. A Secret must have these labels.
    #[must_use]
    pub fn new(client: Client, labels: Labels) -> Self {
        Self { client, labels }
    }

    /// The values of these keys in Secrets of a namespace. Space around a value, such as the line break at the end of a file, is
    /// not part of it.
    ///
    /// # Errors
    /// [`SecretError`]
    pub async fn read(
        &self,
        namespace: &str,
        keys: Vec<SecretKeyRef>,
    ) -> Result<BTreeMap<SecretKeyRef, SecretString>, SecretError> {
        let mut read = BTreeMap::<String, Secret>::new();
        let mut values = BTreeMap::new();
        for key in keys {
            if !read.contains_key(&key.name) {
                read.insert(key.name.clone(), self.secret(namespace, &key.name).await?);
            }
            let data = read.get(&key.name).and_then(|secret| secret.data.as_ref());
            let name = || format!("{namespace}/{}", key.name);
            let value = data.and_then(|data| data.get(&key.key));
            let value = value.ok_or_else(|| SecretError::NoKey { name: name(), key: key.key.clone() })?;
            let text = std::str::from_utf8(&value.0);
            let text = text.map_err(|_| SecretError::NotText { name: name(), key: key.key.clone() })?;
            let text = SecretString::from(text.trim());
            values.insert(key, text);
        }
        Ok(values)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, SecretError> {
        let full = format!("{namespace}/{name}");
        let found = match Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await {
            Ok(found) => found,
            Err(kube::Error::Api(status)) if status.code == 403 => return Err(SecretError::Forbidden(full)),
            Err(error) => return Err(SecretError::Read(full, error)),
        };
        let secret = found.ok_or_else(|| SecretError::Missing(full.clone()))?;
        let none = BTreeMap::new();
        if !self.labels.selector.matches(secret.metadata.labels.as_ref().unwrap_or(&none)) {
            return Err(SecretError::Unlabelled { name: full, labels: self.labels.text.clone() });
        }
        Ok(secret)
    }
}

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expression = |part: &str| match part.split_once('=') {
            Some((key, value)) if is_key(key) => Ok(Expression::Equal(key.to_owned(), value.to_owned())),
            None if is_key(part) => Ok(Expression::Exists(part.to_owned())),
            _ => Err(format!("'{part}' is not a label: write key=value, or key for any value")),
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let expressions: Vec<Expression> = parts.map(expression).collect::<Result<_, _>>()?;
        Ok(Self { selector: expressions.into_iter().collect(), text: text.to_owned() })
    }
}

/// Whether a text can be the key of a label.
fn is_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=317).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_keys_with_or_without_values() {
        let labels: Labels = "certwright.dev/dns=yes, team".parse().unwrap();
        let has = |labels: &Labels, of: &[(&str, &str)]| {
            let of = of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            labels.selector.matches(&of)
        };
        assert!(has(&labels, &[("certwright.dev/dns", "yes"), ("team", "a")]));
        assert!(!has(&labels, &[("certwright.dev/dns", "no"), ("team", "a")]));
        assert!(!has(&labels, &[("certwright.dev/dns", "yes")]));
        assert!(has(&Labels::default(), &[]), "none are required");
        assert!("a in (b)".parse::<Labels>().is_err());
        assert!("=a".parse::<Labels>().is_err());
    }
}

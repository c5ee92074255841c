//! The values of a provider's fields, as far as they are given.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};

/// The values of a provider's fields, those of Secrets included.
#[derive(Default)]
pub struct Given {
    values: BTreeMap<&'static str, SecretString>,
    /// The fields that must not be shown.
    secret: BTreeSet<&'static str>,
    /// The zone that `config` names.
    zone: Option<String>,
}

impl Given {
    /// No values yet.
    #[must_use]
    pub fn new(zone: Option<String>) -> Self {
        Self { zone, ..Self::default() }
    }

    /// Sets a field.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.values.insert(name, value.into());
    }

    /// Sets a field that must not be shown.
    pub fn set_secret(&mut self, name: &'static str, value: SecretString) {
        self.values.insert(name, value);
        self.secret.insert(name);
    }

    /// The values that must not be shown.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.secret.iter().filter_map(|name| self.values.get(name))
    }

    /// A field, if it is given or has a default.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(ExposeSecret::expose_secret)
    }

    /// A required field.
    #[must_use]
    pub fn need(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A field of type text that the crate wants to own.
    #[must_use]
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Whether a boolean field is true.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A field that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        self.get(name).and_then(|text| text.parse().ok())
    }

    /// The zone that `config` names.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or_default()
    }
}

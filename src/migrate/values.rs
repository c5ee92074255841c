//! Converts fields whose conversion depends on their value.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use certwright_api::LABEL_MANAGED_BY;
use certwright_core::http01_overrides::is_override;
use certwright_core::spec::{ignored, is_name};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What happens to a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Adapted {
    /// It is taken over.
    Same,
    /// It is taken over, and has no effect, and why.
    NoEffect(&'static str),
    /// It is replaced by another value, and why.
    To(Value, String),
    /// It is replaced by another value with the same meaning.
    Quietly(Value),
    /// It is left out, and why.
    Gone(String),
}

pub fn labels(value: &Value) -> Adapted {
    without(value, |key, value| {
        (key == LABEL_MANAGED_BY && value == "Helm").then_some("Helm does not manage the new object")
    })
}

pub fn annotations(value: &Value) -> Adapted {
    let mut value = value.clone();
    // kubectl's own copy of the applied object.
    let copied = value.as_object_mut().is_some_and(|map| map.remove(LAST_APPLIED).is_some());
    let of_others = without(&value, |key, _| match key.split('/').next().unwrap_or_default() {
        // Certificates here read them under this name, too.
        _ if is_override(key) => None,
        "meta.helm.sh" => Some("Helm does not manage the new object"),
        prefix if prefix == "cert-manager.io" || prefix.ends_with(".cert-manager.io") => {
            Some("cert-manager's annotations have no meaning here")
        }
        _ => None,
    });
    match of_others {
        Adapted::Same if copied => Adapted::Quietly(value),
        other => other,
    }
}

pub fn template(value: &Value) -> Adapted {
    without(value, |key, _| {
        (key == LABEL_MANAGED_BY || key.starts_with("certwright.dev/")).then_some("the operator sets it")
    })
}

/// Leaves out the entries for which `why` returns a reason.
fn without(value: &Value, why: impl Fn(&str, &Value) -> Option<&'static str>) -> Adapted {
    let Some(map) = value.as_object() else { return Adapted::Same };
    let mut kept = Map::new();
    let mut said = Vec::new();
    for (key, value) in map {
        match why(key, value) {
            Some(why) => said.push(format!("{key} is left out: {why}.")),
            None => drop(kept.insert(key.clone(), value.clone())),
        }
    }
    match said.is_empty() {
        true => Adapted::Same,
        false => Adapted::To(Value::Object(kept), said.join(" ")),
    }
}

pub fn unique(value: &Value) -> Adapted {
    let mut seen = BTreeSet::new();
    let items = value.as_array().cloned().unwrap_or_default();
    let kept: Vec<_> = items.iter().filter(|item| seen.insert(item.to_string())).cloned().collect();
    match kept.len() == items.len() {
        true => Adapted::Same,
        false => Adapted::To(Value::Array(kept), "Duplicates are removed.".to_owned()),
    }
}

pub fn common_name(value: &Value) -> Adapted {
    let name = value.as_str().unwrap_or_default();
    match name.is_empty() || is_name(name) {
        true => Adapted::Same,
        false => Adapted::NoEffect(ignored::COMMON_NAME),
    }
}

pub fn kind(value: &Value) -> Adapted {
    match value.as_str() {
        Some("") => Adapted::Quietly("Issuer".into()),
        _ => Adapted::Same,
    }
}

pub fn group(value: &Value) -> Adapted {
    match value.as_str() {
        Some("" | "cert-manager.io") => Adapted::Quietly(certwright_api::GROUP.into()),
        _ => Adapted::Gone("It is the group of other issuers, which only cert-manager supports.".to_owned()),
    }
}

pub fn encode_usages(value: &Value) -> Adapted {
    match value {
        Value::Bool(false) => Adapted::Same,
        _ => Adapted::NoEffect(ignored::ENCODE_USAGES),
    }
}

pub fn only_false(value: &Value) -> Adapted {
    match value {
        Value::Bool(false) => Adapted::Same,
        _ => Adapted::Gone("An ACME CA decides this itself.".to_owned()),
    }
}

pub fn usages(value: &Value) -> Adapted {
    let is_usual = |usage: &Value| usage.as_str().is_some_and(|usage| ignored::USUAL_USAGES.contains(&usage));
    match value.as_array().into_iter().flatten().all(is_usual) {
        true => Adapted::Same,
        false => Adapted::NoEffect(ignored::USAGES),
    }
}

pub fn azure_environment(value: &Value) -> Adapted {
    match value.as_str() {
        Some("AzureGermanCloud") => Adapted::Gone("AzureGermanCloud was shut down in 2021.".to_owned()),
        _ => Adapted::Same,
    }
}

pub fn named_secret(value: &Value) -> Adapted {
    match value["name"].as_str().unwrap_or_default() {
        "" => Adapted::Gone("It names no Secret.".to_owned()),
        _ => Adapted::Same,
    }
}

pub fn only_empty(value: &Value) -> Adapted {
    match value.as_array().is_some_and(Vec::is_empty) {
        true => Adapted::Same,
        false => Adapted::Gone("An ACME CA validates DNS names and IP addresses only.".to_owned()),
    }
}

//! cert-manager's objects.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// The API group of cert-manager's Issuers, ClusterIssuers and Certificates.
pub const GROUP: &str = "cert-manager.io";
/// The supported version of this group.
pub const VERSION: &str = "cert-manager.io/v1";

/// Identifies an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, if it is set.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Source {
    /// Identifies this object.
    pub fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
            name: text(&object["metadata"]["name"]),
        }
    }

    /// The API group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The objects in YAML or JSON text, including the items of lists. Ignores empty documents.
///
/// # Errors
/// The parser's error about the first document that it cannot read.
pub fn documents(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        flatten(Value::deserialize(document)?, &mut objects);
    }
    Ok(objects)
}

fn flatten(document: Value, objects: &mut Vec<Value>) {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document {
        Value::Null => {}
        Value::Object(mut list) if is_list => {
            for item in list.remove("items").and_then(|items| items.as_array().cloned()).unwrap_or_default() {
                flatten(item, objects);
            }
        }
        other => objects.push(other),
    }
}

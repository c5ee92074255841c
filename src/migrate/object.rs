//! The objects that are read.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// The API group of cert-manager's Issuers, ClusterIssuers and Certificates.
pub const GROUP: &str = "cert-manager.io";
/// The version of it that is understood.
pub const VERSION: &str = "cert-manager.io/v1";

/// Which object it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, if it says one.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Source {
    /// Which object this is.
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

/// The objects in a text of YAML or JSON: of each document, and of each list. A document without anything in it is none.
///
/// # Errors
/// What the parser says of the first document that it cannot read.
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

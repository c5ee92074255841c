//! JSON of any shape that is passed through.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::bounds::MAX_CONFIG;

/// JSON of any shape, of at most [`MAX_CONFIG`] characters. It is stored as text: parsed, it can take a hundred times as much
/// memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpaqueJson(Box<str>);

impl OpaqueJson {
    /// The parsed value.
    ///
    /// # Errors
    /// None is known: the text was serialized from a value.
    pub fn value(&self) -> serde_json::Result<Value> {
        serde_json::from_str(&self.0)
    }
}

impl From<&Value> for OpaqueJson {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl<'de> Deserialize<'de> for OpaqueJson {
    /// Fails if the text is longer.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Value::deserialize(deserializer)?.to_string();
        match text.len() > MAX_CONFIG {
            false => Ok(Self(text.into())),
            true => Err(D::Error::custom(format!("larger than {MAX_CONFIG} characters of JSON"))),
        }
    }
}

impl Serialize for OpaqueJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().map_err(S::Error::custom)?.serialize(serializer)
    }
}

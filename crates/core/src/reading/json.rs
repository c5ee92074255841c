//! Reads JSON of any depth and size: parts that are too deep or too large are skipped, and the rest is read. Parsed JSON can
//! take up to a hundred times the memory of its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Fault;

/// The maximum nesting of an object. The limit of `serde_json`, 128, is for the whole text, which may be a list of objects.
const MAX_DEPTH: usize = 64;

/// The maximum size of the labels of an object, in characters of JSON.
const MAX_LABELS: usize = 16 << 10;
/// The same for the rest of its metadata; the API server accepts annotations of up to 256 KiB.
const MAX_METADATA: usize = 512 << 10;
/// The same for its status; the certificates that may have to be revoked are the largest part of it.
const MAX_STATUS: usize = 512 << 10;

/// An object, and the first of its fields that is too deep or too large.
type Read = (Map<String, Value>, Option<Fault>);

/// Which parts are read of objects of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Whether only the metadata is read.
    pub metadata_only: bool,
    /// The maximum size of the spec, in characters of JSON.
    pub spec: usize,
    /// The only field of the spec to read; all fields if `None`.
    pub only: Option<&'static str>,
    /// Strings that are longer, in bytes, become empty.
    pub text: usize,
}

/// Reads an object. Fields that are nested too deeply become null; parts that are too large are truncated.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D, bounds: Bounds) -> Result<Read, D::Error> {
    let mut reader = Reader { bounds, path: Vec::new(), left: usize::MAX, fault: None };
    match (Node { reader: &mut reader }).deserialize(deserializer)? {
        Value::Object(object) => Ok((object, reader.fault)),
        _ => Err(D::Error::custom("not an object")),
    }
}

/// The minimum size of a value with its punctuation.
const LEAST: usize = 2;
/// The maximum number of path steps in a message.
const SHOWN_DEPTH: usize = 8;

struct Reader {
    bounds: Bounds,
    path: Vec<String>,
    /// How much more of the current part of the object may be read, in characters.
    left: usize,
    fault: Option<Fault>,
}

impl Reader {
    /// Whether this part is not needed. Users may set `managedFields`, with any time and any depth.
    fn is_passed_over(&self) -> bool {
        match self.path.as_slice() {
            [field] if field == "status" => self.bounds.metadata_only || self.bounds.only.is_some(),
            [field] => {
                self.bounds.metadata_only && !matches!(field.as_str(), "apiVersion" | "kind" | "metadata")
            }
            [first, second] if first == "spec" => self.bounds.only.is_some_and(|only| only != second),
            [first, second] => first == "metadata" && second == "managedFields",
            _ => false,
        }
    }

    /// The maximum size of the part of an object that starts here, if any.
    fn largest_part(&self) -> Option<usize> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["metadata"] => Some(MAX_METADATA),
            ["metadata", "labels"] => Some(MAX_LABELS),
            ["spec"] => Some(self.bounds.spec),
            ["status"] => Some(MAX_STATUS),
            _ => None,
        }
    }

    /// Whether this many more characters may be read.
    fn spend(&mut self, characters: usize) -> bool {
        let enough = self.left >= characters;
        self.left = self.left.saturating_sub(characters);
        enough
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().take(SHOWN_DEPTH) {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }
}

struct Node<'a> {
    reader: &'a mut Reader,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.reader.is_passed_over() {
            // This has no depth limit.
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Array(Vec::new()));
        }
        if self.reader.path.len() >= MAX_DEPTH {
            let path = self.reader.path();
            let fault = || Fault::new(&path, &format!("nested more than {MAX_DEPTH} levels deep"));
            self.reader.fault.get_or_insert_with(fault);
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null);
        }
        let Some(largest) = self.reader.largest_part() else {
            return match self.reader.left {
                0 => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null),
                _ => deserializer.deserialize_any(self),
            };
        };
        let (path, outside) = (self.reader.path(), std::mem::replace(&mut self.reader.left, largest));
        let reader = &mut *self.reader;
        let part = deserializer.deserialize_any(Node { reader });
        if self.reader.left == 0 {
            let fault = || Fault::new(&path, &format!("larger than {largest} characters of JSON"));
            self.reader.fault.get_or_insert_with(fault);
        }
        self.reader.left = outside;
        part
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.reader.spend(LEAST);
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.reader.spend(LEAST);
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.reader.spend(LEAST);
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.reader.spend(LEAST);
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.reader.spend(LEAST);
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        let enough = self.reader.spend(LEAST + value.len()) && value.len() <= self.reader.bounds.text;
        Ok(Value::String(if enough { value.to_owned() } else { String::new() }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.reader.spend(LEAST);
        let mut read = Vec::new();
        loop {
            self.reader.path.push(format!("[{}]", read.len()));
            let item = items.next_element_seed(Node { reader: &mut *self.reader })?;
            self.reader.path.pop();
            match item {
                Some(_) if self.reader.left == 0 => {}
                Some(item) => read.push(item),
                None => return Ok(Value::Array(read)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.reader.spend(LEAST);
        let mut read = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.reader.spend(LEAST + name.len());
            self.reader.path.push(name.clone());
            let value = fields.next_value_seed(Node { reader: &mut *self.reader })?;
            self.reader.path.pop();
            if self.reader.left > 0 {
                read.insert(name, value);
            }
        }
        Ok(Value::Object(read))
    }
}

//! JSON that may be nested as deeply as it likes, and as large: what is too deep or too large is passed over, and the rest is
//! read. Parsed, it takes up to a hundred times the memory of its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Fault;

/// So deep an object may be nested. `serde_json` ends at 128 for all of what it reads, which may be a list of objects.
const MAX_DEPTH: usize = 64;

/// The labels of an object may have so many characters of JSON.
const MAX_LABELS: usize = 16 << 10;
/// So many the rest of its metadata; the API server takes annotations of 256 KiB.
const MAX_METADATA: usize = 512 << 10;
/// So many its status; the certificates that may have to be revoked are the largest part of it.
const MAX_STATUS: usize = 512 << 10;

/// An object, and the first of its fields that is too deep or too large.
type Read = (Map<String, Value>, Option<Fault>);

/// What is read of objects of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Whether nothing but the metadata is.
    pub metadata_only: bool,
    /// The spec may have so many characters of JSON.
    pub spec: usize,
    /// The one field of the spec that is; all of them without.
    pub only: Option<&'static str>,
    /// A longer text, in bytes, is empty.
    pub text: usize,
}

/// Reads an object. Fields that are nested too deeply are null in it; what is too large ends early.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D, bounds: Bounds) -> Result<Read, D::Error> {
    let mut reader = Reader { bounds, path: Vec::new(), left: usize::MAX, fault: None };
    match (Node { reader: &mut reader }).deserialize(deserializer)? {
        Value::Object(object) => Ok((object, reader.fault)),
        _ => Err(D::Error::custom("not an object")),
    }
}

/// What any value takes, with what is around it.
const LEAST: usize = 2;
/// So many steps of the way to what is nested too deeply are shown.
const SHOWN_DEPTH: usize = 8;

struct Reader {
    bounds: Bounds,
    path: Vec<String>,
    /// How much more of the present part of the object is read, in characters.
    left: usize,
    fault: Option<Fault>,
}

impl Reader {
    /// Whether nobody looks at what is here. Users may set `managedFields`, with any time and to any depth.
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

    /// How large the part of an object may be that begins here.
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

    /// Whether so many characters more may be read.
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
            // This knows no depth.
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

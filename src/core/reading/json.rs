//! JSON that may be nested as deeply as it likes: what is too deep is passed over, and the rest is read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Fault;

/// So deep an object may be nested. `serde_json` ends at 128 for all of what it reads, which may be a list of objects.
const MAX_DEPTH: usize = 64;

/// An object, and the first of its fields that is nested too deeply.
type Read = (Map<String, Value>, Option<Fault>);

/// Reads an object. Fields that are nested too deeply are null in it.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D, metadata_only: bool) -> Result<Read, D::Error> {
    let mut reader = Reader { metadata_only, path: Vec::new(), too_deep: None };
    match (Node { reader: &mut reader }).deserialize(deserializer)? {
        Value::Object(object) => Ok((object, reader.too_deep)),
        _ => Err(D::Error::custom("not an object")),
    }
}

/// So many steps of the way to what is nested too deeply are shown.
const SHOWN_DEPTH: usize = 8;

struct Reader {
    metadata_only: bool,
    path: Vec<String>,
    too_deep: Option<Fault>,
}

impl Reader {
    /// Whether nobody looks at what is here. Users may set `managedFields`, with any time and to any depth.
    fn is_passed_over(&self) -> bool {
        match self.path.as_slice() {
            [field] => self.metadata_only && !matches!(field.as_str(), "apiVersion" | "kind" | "metadata"),
            [first, second] => first == "metadata" && second == "managedFields",
            _ => false,
        }
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
            self.reader.too_deep.get_or_insert_with(fault);
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        loop {
            self.reader.path.push(format!("[{}]", read.len()));
            let item = items.next_element_seed(Node { reader: &mut *self.reader })?;
            self.reader.path.pop();
            match item {
                Some(item) => read.push(item),
                None => return Ok(Value::Array(read)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.reader.path.push(name.clone());
            let value = fields.next_value_seed(Node { reader: &mut *self.reader })?;
            self.reader.path.pop();
            read.insert(name, value);
        }
        Ok(Value::Object(read))
    }
}

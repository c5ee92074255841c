//! Bounds of texts, lists and maps: the schema and the parser have the same.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// At most so many names in one certificate, and in a selector; it also bounds the cost of rules about them.
pub const MAX_NAMES: usize = 250;
/// The longest DNS name, in characters.
pub const MAX_DNS_NAME: usize = 253;
/// The longest name of an object, in characters.
pub const MAX_OBJECT_NAME: usize = 253;
/// At most so many labels or annotations in a template or a selector.
pub const MAX_LABELS: usize = 100;
/// The longest value of an annotation in a template, in characters.
pub const MAX_ANNOTATION: usize = 65_536;
/// The longest value of a label, in characters.
pub const MAX_LABEL: usize = 63;
/// At most so many solvers in an issuer.
pub const MAX_SOLVERS: usize = 100;
/// The longest URL, in characters.
pub const MAX_URL: usize = 2048;
/// The longest configuration of a webhook, in characters of JSON.
pub const MAX_CONFIG: usize = 65_536;

/// What a DNS name is to the API server: for groups and solvers of webhooks.
pub const DNS_NAME: &str =
    "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$";
/// What a name of an object is.
pub const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

/// Reads a text that [`DNS_NAME`] describes.
///
/// # Errors
/// If it is something else.
pub fn dns_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let label = |label: &str| {
        let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        is_end(bytes.first())
            && is_end(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let name = text::<D, MAX_DNS_NAME>(deserializer)?;
    match name.split('.').all(label) {
        true => Ok(name),
        false => Err(D::Error::custom("not a DNS name: labels of letters, digits and '-', joined by dots")),
    }
}

/// Reads the name of an object, as [`OBJECT_NAME`] describes it: it becomes part of the path of a request. An empty one, which
/// the schema refuses, names nothing.
///
/// # Errors
/// If it is something else.
pub fn object_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(String::deserialize(deserializer)?)
}

/// The same, where there may be none.
///
/// # Errors
/// If it is something else.
pub fn optional_object_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(checked).transpose()
}

fn checked<E: Error>(name: String) -> Result<String, E> {
    match name.is_empty() || is_object_name(&name) {
        true => Ok(name),
        false => Err(E::custom(
            "not a name of an object: at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both \
             ends",
        )),
    }
}

/// Whether an object may have this name, so that it can be part of a path.
pub fn is_object_name(name: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= MAX_OBJECT_NAME
        && bytes.first().is_some_and(|first| is_end(*first))
        && bytes.last().is_some_and(|last| is_end(*last))
        && bytes.iter().all(|byte| is_end(*byte) || matches!(byte, b'-' | b'.'))
}

/// Reads a text of at most `MAX` characters.
///
/// # Errors
/// If it is longer, or no text.
pub fn text<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // Almost always the first is enough.
    match text.len() <= MAX || text.chars().count() <= MAX {
        true => Ok(text),
        false => Err(D::Error::custom(format!("longer than {MAX} characters"))),
    }
}

/// Reads a list of at most `MAX` items.
///
/// # Errors
/// If it is longer, or an item cannot be read.
pub fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    struct Items<T, const MAX: usize>(std::marker::PhantomData<T>);
    impl<'de, T: DeserializeOwned, const MAX: usize> Visitor<'de> for Items<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut read = Vec::new();
            while let Some(item) = items.next_element()? {
                if read.len() == MAX {
                    return Err(A::Error::custom(format!("more than {MAX} items")));
                }
                read.push(item);
            }
            Ok(read)
        }
    }
    deserializer.deserialize_seq(Items::<T, MAX>(std::marker::PhantomData))
}

/// Reads labels or annotations: at most [`MAX_LABELS`], each value of at most `MAX` characters.
///
/// # Errors
/// If there are more, or they are longer.
pub fn labels<'de, D, const MAX: usize>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Entries<const MAX: usize>;
    impl<'de, const MAX: usize> Visitor<'de> for Entries<MAX> {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("texts by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut read = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry::<String, String>()? {
                if read.len() == MAX_LABELS {
                    return Err(A::Error::custom(format!("more than {MAX_LABELS} entries")));
                }
                if value.chars().count() > MAX {
                    return Err(A::Error::custom(format!("a value longer than {MAX} characters")));
                }
                read.insert(name, value);
            }
            Ok(read)
        }
    }
    deserializer.deserialize_map(Entries::<MAX>)
}

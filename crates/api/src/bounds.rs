//! Bounds of texts, lists and maps. The schema and the parser enforce the same ones.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The maximum number of names in a certificate or a selector. It also bounds the cost of rules about them.
pub const MAX_NAMES: usize = 250;
/// The longest DNS name, in characters.
pub const MAX_DNS_NAME: usize = 253;
/// The longest name of an object, in characters.
pub const MAX_OBJECT_NAME: usize = 253;
/// The maximum number of labels or annotations in a template or a selector.
pub const MAX_LABELS: usize = 100;
/// The longest value of an annotation in a template, in characters.
pub const MAX_ANNOTATION: usize = 65_536;
/// The longest value of a label, in characters.
pub const MAX_LABEL: usize = 63;
/// The maximum number of solvers in an issuer.
pub const MAX_SOLVERS: usize = 100;
/// The maximum number of authorizations that an issuer keeps.
pub const MAX_AUTHORIZATIONS: usize = 50;
/// The maximum number of addresses at which a Certificate has servers looked at.
pub const MAX_SERVED_ADDRESSES: usize = 8;
/// The longest URL, in characters.
pub const MAX_URL: usize = 2048;
/// The longest configuration of a webhook, in characters of JSON.
pub const MAX_CONFIG: usize = 65_536;
/// The longest certificate signing request, in characters of PEM.
pub const MAX_CSR: usize = 65_536;

/// The pattern of a DNS name without a wildcard.
pub const DNS_NAME: &str =
    "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$";
/// The pattern of an object's name.
pub const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

/// Parses a text that matches [`DNS_NAME`].
///
/// # Errors
/// If the text does not match.
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

/// Parses the name of an object, which must match [`OBJECT_NAME`] because it becomes part of a request path. An empty name is
/// accepted: the schema rejects it, and it refers to nothing.
///
/// # Errors
/// If the text does not match.
pub fn object_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(String::deserialize(deserializer)?)
}

/// Like [`object_name`], for an optional field.
///
/// # Errors
/// If the text does not match.
pub fn optional_object_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(checked).transpose()
}

fn checked<E: Error>(name: String) -> Result<String, E> {
    match name.is_empty() || is_object_name(&name) {
        true => Ok(name),
        false => Err(E::custom(
            "not a valid object name: at most 253 lower-case letters, digits, '-' and '.', starting and ending with a \
             letter or digit",
        )),
    }
}

/// Whether this is a valid object name, which can be part of a path.
pub fn is_object_name(name: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= MAX_OBJECT_NAME
        && bytes.first().is_some_and(|first| is_end(*first))
        && bytes.last().is_some_and(|last| is_end(*last))
        && bytes.iter().all(|byte| is_end(*byte) || matches!(byte, b'-' | b'.'))
}

/// Like [`text`], for an optional field.
///
/// # Errors
/// If it is longer, or is not a text.
pub fn optional_text<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    struct Text<const MAX: usize>(String);
    impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            text::<D, MAX>(deserializer).map(Self)
        }
    }
    Ok(Option::<Text<MAX>>::deserialize(deserializer)?.map(|text| text.0))
}

/// Parses a text of at most `MAX` characters.
///
/// # Errors
/// If it is longer, or is not a text.
pub fn text<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The first comparison is almost always enough.
    match text.len() <= MAX || text.chars().count() <= MAX {
        true => Ok(text),
        false => Err(D::Error::custom(format!("longer than {MAX} characters"))),
    }
}

/// Parses a list of at most `MAX` items.
///
/// # Errors
/// If it is longer, or an item cannot be parsed.
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

/// Parses labels or annotations: at most [`MAX_LABELS`], each with a value of at most `MAX` characters.
///
/// # Errors
/// If there are too many, or a value is too long.
pub fn labels<'de, D, const MAX: usize>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Entries<const MAX: usize>;
    impl<'de, const MAX: usize> Visitor<'de> for Entries<MAX> {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of strings")
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

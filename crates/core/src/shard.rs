//! Which objects an installation serves, if several share a cluster: those whose labels match its selector.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use kube::core::{Expression, Selector, SelectorExt};

use crate::naming::digest;

/// The longest name or value of a label.
const MAX_PART: usize = 63;
/// The longest prefix of a label's key.
const MAX_PREFIX: usize = 253;

/// A label selector, as in `kubectl get --selector`. The empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSelector(Selector);

/// A part of a selector that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a requirement for labels; write it like certwright.dev/shard=a, certwright.dev/shard in (a,b) or \
     !certwright.dev/shard"
)]
pub struct InvalidSelector(String);

impl ShardSelector {
    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }

    /// Whether it selects everything.
    pub fn selects_all(&self) -> bool {
        self.0.selects_all()
    }

    /// Distinguishes the shard from others in names and labels; `None` if everything is selected.
    pub fn id(&self) -> Option<String> {
        (!self.selects_all()).then(|| digest(&self.to_string()))
    }
}

impl fmt::Display for ShardSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for ShardSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut inside = false;
        let parts = text.split(|c| {
            inside = (inside || c == '(') && c != ')';
            c == ',' && !inside
        });
        parts.map(|part| requirement(part.trim())).collect::<Result<Selector, _>>().map(Self)
    }
}

fn requirement(part: &str) -> Result<Expression, InvalidSelector> {
    let invalid = || InvalidSelector(part.to_owned());
    let checked = |text: &str, is_valid: fn(&str) -> bool| {
        Some(text.trim()).filter(|text| is_valid(text)).map(str::to_owned).ok_or_else(invalid)
    };
    let key = |text: &str| checked(text, is_key);
    let value = |text: &str| checked(text, is_value);
    if let Some(absent) = part.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(key(absent)?));
    }
    if let Some((head, values)) = part.strip_suffix(')').and_then(|set| set.split_once('(')) {
        let values: BTreeSet<String> = values.split(',').map(value).collect::<Result<_, _>>()?;
        return match *head.split_whitespace().collect::<Vec<_>>() {
            [name, "in"] => Ok(Expression::In(key(name)?, values)),
            [name, "notin"] => Ok(Expression::NotIn(key(name)?, values)),
            _ => Err(invalid()),
        };
    }
    if let Some((name, other)) = part.split_once("!=") {
        return Ok(Expression::NotEqual(key(name)?, value(other)?));
    }
    match part.split_once("==").or_else(|| part.split_once('=')) {
        Some((name, equal)) => Ok(Expression::Equal(key(name)?, value(equal)?)),
        None => Ok(Expression::Exists(key(part)?)),
    }
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        prefix.len() <= MAX_PREFIX
            && prefix.split('.').all(|part| {
                is_part(part) && !part.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'_')
            })
    };
    prefix.is_none_or(is_prefix) && is_part(name)
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_part(text)
}

fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let (first, last) = (text.bytes().next(), text.bytes().last());
    text.len() <= MAX_PART
        && text.bytes().all(inner)
        && [first, last].iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_written_as_for_kubectl() {
        let of = |shard: Option<&str>| -> BTreeMap<String, String> {
            shard.map(|shard| ("certwright.dev/shard".to_owned(), shard.to_owned())).into_iter().collect()
        };
        for (text, unlabelled, a, b) in [
            ("", true, true, true),
            (" ", true, true, true),
            ("certwright.dev/shard=a", false, true, false),
            ("certwright.dev/shard == a", false, true, false),
            ("certwright.dev/shard!=a", true, false, true),
            ("!certwright.dev/shard", true, false, false),
            ("certwright.dev/shard", false, true, true),
            ("certwright.dev/shard in (a, b)", false, true, true),
            ("certwright.dev/shard notin (b,c), certwright.dev/shard", false, true, false),
        ] {
            let selector: ShardSelector = text.parse().unwrap();
            let matches = [None, Some("a"), Some("b")].map(|shard| selector.matches(&of(shard)));
            assert_eq!(matches, [unlabelled, a, b], "{text}");
            assert_eq!(selector.to_string().parse(), Ok(selector), "{text}");
        }
    }

    #[test]
    fn what_the_api_server_would_not_accept_is_refused() {
        let long = "a".repeat(64);
        for text in [
            "a=b,",
            ",",
            "=a",
            "!",
            "a b",
            "a in",
            "a in b",
            "a in (b",
            "a is (b)",
            "(a)",
            "a=b=c",
            "a>1",
            "-a=b",
            "A.b/c",
            "a/b/c",
            "/a",
            "a/",
            "ä=b",
            &long,
            &format!("a={long}"),
        ] {
            let refused = text.parse::<ShardSelector>().unwrap_err().to_string();
            assert!(refused.contains("is not a requirement for labels; write it like"), "{text}: {refused}");
        }
    }

    #[test]
    fn one_spelling_has_one_id_and_everything_has_none() {
        let id = |text: &str| text.parse::<ShardSelector>().unwrap().id();
        assert_eq!(id("a = b , c in (e,d)"), id("a==b,c in (d, e)"));
        assert_ne!(id("a=b"), id("a=c"));
        assert_eq!((id("a=b").map(|id| id.len()), id("")), (Some(8), None));
    }
}

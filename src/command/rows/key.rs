//! Which object a row is about. The page of `certwright ui` uses it in paths.

use std::fmt;
use std::str::FromStr;

use crate::command::kind::Kind;
use crate::command::names::is_name;
use crate::command::outlook::named;
use crate::command::targets::Target;
use crate::controller::issuer_record::IssuerId;
use certwright_api::IssuerKind;

/// A Certificate or an issuer. `Display` and `FromStr` are `certificate/NAMESPACE/NAME`, `issuer/NAMESPACE/NAME` or
/// `clusterissuer/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A Certificate: its namespace and its name.
    Certificate(String, String),
    /// An issuer.
    Issuer(IssuerId),
}

impl Key {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Certificate(..) => Kind::Certificate,
            Self::Issuer(id) => id.kind.into(),
        }
    }

    /// Its namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Certificate(namespace, _) => Some(namespace),
            Self::Issuer(id) => id.namespace.as_deref(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Certificate(_, name) => name,
            Self::Issuer(id) => &id.name,
        }
    }

    /// The object in messages.
    pub fn called(&self) -> String {
        named(self.kind().as_str(), self.namespace(), self.name())
    }

    /// The object, for a command about it.
    pub fn target(&self) -> Target {
        Target { kind: self.kind(), name: self.name().to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind().singular())?;
        self.namespace().map_or(Ok(()), |namespace| write!(f, "{namespace}/"))?;
        f.write_str(self.name())
    }
}

/// The text is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such object")]
pub struct NoKey;

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(|part| is_name(part)) {
            return Err(NoKey);
        }
        let issuer = |kind, namespace: Option<&str>, name: &str| {
            Self::Issuer(IssuerId { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() })
        };
        match *parts {
            ["certificate", namespace, name] => Ok(Self::Certificate(namespace.to_owned(), name.to_owned())),
            ["issuer", namespace, name] => Ok(issuer(IssuerKind::Issuer, Some(namespace), name)),
            ["clusterissuer", name] => Ok(issuer(IssuerKind::ClusterIssuer, None, name)),
            _ => Err(NoKey),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for text in ["certificate/shop/www", "issuer/shop/acme", "clusterissuer/acme.2"] {
            assert_eq!(text.parse::<Key>().map(|key| key.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_an_object_is_no_key() {
        let long = format!("clusterissuer/{}", "a".repeat(254));
        for text in [
            "",
            "certificate",
            "certificate/shop",
            "certificate/shop/www/log",
            "secret/shop/www",
            "issuer/shop/",
            "certificate/../www",
            "certificate/shop/a?b",
            "certificate/shop/a%2fb",
            "clusterissuer/A",
            &long,
        ] {
            assert_eq!(text.parse::<Key>(), Err(NoKey), "{text}");
        }
    }
}

//! What a request asks for: a TXT record to add or to delete, and with which configuration.

use certwright_solver::dns01::webhook::{Action, ChallengeRequest};
use serde_json::Value;

/// A TXT record to add or to delete.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    /// Whether to add or to delete it.
    pub action: Action,
    /// Its name, in lower case and without a trailing dot.
    pub name: String,
    /// The zone that the name is in, written alike. `config` may name another.
    pub zone: String,
    /// Its value.
    pub value: String,
    /// The namespace of the Secrets that `config` names.
    pub namespace: String,
    /// Whether credentials of this process may be used, which have no Secret.
    pub may_use_ambient: bool,
    /// The issuer's `webhook.config`.
    pub config: Value,
}

/// Why a request cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// A name is not one of the DNS.
    #[error("{field} '{value}' is not a DNS name")]
    Name {
        /// The field of the request.
        field: &'static str,
        /// What it contains.
        value: String,
    },
    /// The name is not in the zone.
    #[error("resolvedFQDN '{name}' is not in resolvedZone '{zone}'")]
    OutsideZone {
        /// The name.
        name: String,
        /// The zone.
        zone: String,
    },
    /// The value is not that of a challenge.
    #[error("key must be 1 to 255 printable ASCII characters")]
    Value,
    /// There is no configuration.
    #[error("the issuer's webhook has no config: name a provider, as in {{provider: cloudflare}}")]
    NoConfig,
}

impl TryFrom<ChallengeRequest> for Challenge {
    type Error = ChallengeError;

    fn try_from(request: ChallengeRequest) -> Result<Self, ChallengeError> {
        let name = dns_name("resolvedFQDN", &request.resolved_fqdn)?;
        let zone = dns_name("resolvedZone", &request.resolved_zone)?;
        if name != zone && !name.strip_suffix(&zone).is_some_and(|rest| rest.ends_with('.')) {
            return Err(ChallengeError::OutsideZone { name, zone });
        }
        let value = request.key;
        if !(1..=255).contains(&value.len()) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ChallengeError::Value);
        }
        Ok(Self {
            action: request.action,
            name,
            zone,
            value,
            namespace: request.resource_namespace,
            may_use_ambient: request.allow_ambient_credentials,
            config: request.config.ok_or(ChallengeError::NoConfig)?,
        })
    }
}

/// The name in lower case and without a trailing dot, if it is a host name with underscores.
fn dns_name(field: &'static str, text: &str) -> Result<String, ChallengeError> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        let value = certwright_egress::excerpt::excerpt(text.as_bytes());
        return Err(ChallengeError::Name { field, value });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_of_the_dns_and_within_the_zone() {
        let challenge = read("_acme-challenge.A.example.com.", "Example.com.", "value").unwrap();
        assert_eq!(
            (challenge.name.as_str(), challenge.zone.as_str()),
            ("_acme-challenge.a.example.com", "example.com")
        );
        assert!(read("_acme-challenge.example.com.", "ample.com.", "value").is_err());
        assert!(read("a..example.com.", "example.com.", "value").is_err());
        assert!(read("a/b.example.com.", "example.com.", "value").is_err());
        assert!(read(&"a".repeat(300), "example.com.", "value").is_err());
        assert!(read("a.example.com.", ".", "value").is_err());
    }

    #[test]
    fn a_value_is_one_printable_string() {
        for value in ["", "a b", "a\"\n", &"a".repeat(256)] {
            assert_eq!(read("a.example.com.", "example.com.", value), Err(ChallengeError::Value), "{value}");
        }
    }

    fn read(name: &str, zone: &str, value: &str) -> Result<Challenge, ChallengeError> {
        let request = json!({
            "uid": "1", "action": "Present", "type": "dns-01", "dnsName": "example.com", "key": value,
            "resourceNamespace": "default", "resolvedFQDN": name, "resolvedZone": zone,
            "allowAmbientCredentials": false, "config": {"provider": "powerdns"},
        });
        serde_json::from_value::<ChallengeRequest>(request).unwrap().try_into()
    }
}

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::wire::{lenient, or_default, time, words};
use crate::{Identifier, Problem};

/// A request for a certificate, as the CA sees it (RFC 8555 section 7.1.3).
///
/// Its URL is not part of the object. It is the `Location` of the answer to newOrder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its current state.
    pub status: OrderStatus,
    /// When the order expires at the CA. `None` also if the CA's text is not an RFC 3339 time.
    #[serde(default, deserialize_with = "time")]
    pub expires: Option<Timestamp>,
    /// The requested names.
    #[serde(default, deserialize_with = "or_default")]
    pub identifiers: Vec<Identifier>,
    /// The URLs of the required authorizations.
    #[serde(default, deserialize_with = "or_default")]
    pub authorizations: Vec<String>,
    /// Why it became invalid.
    #[serde(default, deserialize_with = "lenient")]
    pub error: Option<Problem>,
    /// Where to send the certificate signing request once the order is ready.
    pub finalize: String,
    /// Where to download the certificate once the order is valid.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The profile that was requested (draft-ietf-acme-profiles).
    #[serde(default)]
    pub profile: Option<String>,
}

/// The request for a new order (RFC 8555 section 7.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// The names; a wildcard is a DNS name that begins with `*.`.
    pub identifiers: Vec<Identifier>,
    /// The requested end of the certificate's validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// One of the profiles in the directory (draft-ietf-acme-profiles).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The id of the certificate that this one replaces (RFC 9773 section 5), for a CA that supports renewal information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// A CA's permission to issue for one name, or the challenges to obtain it (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Authorization {
    /// The name, without the `*.` of a wildcard.
    pub identifier: Identifier,
    /// Its current state.
    pub status: AuthorizationStatus,
    /// When the authorization expires. `None` also if the CA's text is not an RFC 3339 time.
    #[serde(default, deserialize_with = "time")]
    pub expires: Option<Timestamp>,
    /// The ways to prove control of the name. One of them is sufficient.
    #[serde(default, deserialize_with = "or_default")]
    pub challenges: Vec<Challenge>,
    /// Whether it is for the wildcard below the name.
    #[serde(default, deserialize_with = "or_default")]
    pub wildcard: bool,
    /// Whether the CA says that it covers the subdomains of the name (RFC 9444 section 4.1).
    #[serde(default, rename = "subdomainAuthAllowed", deserialize_with = "lenient")]
    pub covers_subdomains: bool,
}

impl Authorization {
    /// Whether it will never become valid (again).
    #[must_use]
    pub fn is_dead(&self) -> bool {
        !matches!(self.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid)
    }

    /// The name as in the certificate: with `*.` for a wildcard.
    #[must_use]
    pub fn name(&self) -> String {
        let value = &self.identifier.value;
        if self.wildcard && !value.starts_with("*.") { format!("*.{value}") } else { value.clone() }
    }

    /// The CA's error, if there is one: that of the first challenge that has one.
    #[must_use]
    pub fn error(&self) -> Option<&Problem> {
        self.challenges.iter().find_map(|challenge| challenge.error.as_ref())
    }
}

/// One way to prove control of a name (RFC 8555 section 8).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Challenge {
    /// The type of the challenge.
    #[serde(rename = "type")]
    pub typ: ChallengeType,
    /// Where to tell the CA that the proof is in place. Empty for an unknown type that has none.
    #[serde(default, deserialize_with = "or_default")]
    pub url: String,
    /// Its current state.
    #[serde(default)]
    pub status: ChallengeStatus,
    /// The token, which is part of the key authorization (section 8.1). Empty for a type that has none.
    #[serde(default, deserialize_with = "or_default")]
    pub token: String,
    /// Why the validation failed.
    #[serde(default, deserialize_with = "lenient")]
    pub error: Option<Problem>,
    /// The names of the CA for dns-persist-01, whose record has a hash of the account (draft-ietf-acme-dns-persist-02).
    #[serde(default, rename = "issuerDomainNames", deserialize_with = "lenient")]
    pub issuer_domain_names: Vec<String>,
    /// The same for a record that has the URL of the account (draft-ietf-acme-dns-persist-01).
    #[serde(default, rename = "issuer-domain-names", deserialize_with = "lenient")]
    pub issuer_domain_names_01: Vec<String>,
}

/// A PEM chain as the CA sends it (RFC 8555 section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadedChain {
    /// The leaf first, then the certificates that lead to a root.
    pub pem: String,
    /// The URLs of other chains for the same leaf (section 7.4.2).
    pub alternates: Vec<String>,
}

words! {
    /// The states of an order (RFC 8555 section 7.1.6).
    OrderStatus {
        /// An authorization is not yet valid.
        Pending = "pending",
        /// The certificate signing request may be sent.
        Ready = "ready",
        /// The certificate is being issued.
        Processing = "processing",
        /// The certificate can be downloaded.
        Valid = "valid",
        /// The order has failed.
        Invalid = "invalid",
    }
}

words! {
    /// The states of an authorization (RFC 8555 section 7.1.6).
    AuthorizationStatus {
        /// A challenge has to be completed.
        Pending = "pending",
        /// Control of the name is proved.
        Valid = "valid",
        /// A challenge failed.
        Invalid = "invalid",
        /// The account deactivated it.
        Deactivated = "deactivated",
        /// Its validity has ended.
        Expired = "expired",
        /// The CA revoked it.
        Revoked = "revoked",
    }
}

words! {
    /// The states of a challenge (RFC 8555 section 7.1.6).
    ChallengeStatus {
        /// The CA has not been told to validate.
        Pending = "pending",
        /// The CA is validating, possibly with retries.
        Processing = "processing",
        /// The validation succeeded.
        Valid = "valid",
        /// The validation failed.
        Invalid = "invalid",
    }
}

impl Default for ChallengeStatus {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

words! {
    /// The ways to prove control of a name.
    ChallengeType {
        /// A file served over plain HTTP (RFC 8555 section 8.3).
        Http01 = "http-01",
        /// A TXT record (RFC 8555 section 8.4).
        Dns01 = "dns-01",
        /// A TXT record at a name that belongs to the account (draft-ietf-acme-dns-account-label).
        DnsAccount01 = "dns-account-01",
        /// A TXT record that stays (draft-ietf-acme-dns-persist).
        DnsPersist01 = "dns-persist-01",
        /// A TLS handshake (RFC 8737).
        TlsAlpn01 = "tls-alpn-01",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_with_unknown_status_and_fields_is_read() {
        let order: Order = serde_json::from_str(
            r#"{"status":"waiting-for-approval","finalize":"https://ca.example/f/1","expires":"soon",
                "identifiers":[{"type":"onion","value":"abc.onion"}],"x-vendor":{"a":[1]}}"#,
        )
        .unwrap();
        assert_eq!(order.status, OrderStatus::Other("waiting-for-approval".to_owned()));
        assert_eq!(order.expires, None);
        assert_eq!(order.identifiers[0].to_string(), "abc.onion");
    }

    #[test]
    fn a_challenge_of_an_unknown_type_does_not_hide_the_known_one() {
        let authorization: Authorization = serde_json::from_str(
            r#"{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[
                {"type":"vendor-email-01","from":"ca@example"},
                {"type":"http-01","url":"https://ca.example/c/1","status":"pending","token":"t"}]}"#,
        )
        .unwrap();
        let types: Vec<&str> =
            authorization.challenges.iter().map(|challenge| challenge.typ.as_str()).collect();
        assert_eq!(types, ["vendor-email-01", "http-01"]);
        assert_eq!(authorization.challenges[1].token, "t");
    }

    #[test]
    fn a_failed_challenge_shows_the_problem_of_the_ca() {
        let authorization: Authorization = serde_json::from_str(
            r#"{"status":"invalid","identifier":{"type":"dns","value":"a.example"},"challenges":[
                {"type":"dns-01","url":"u","status":"pending","token":"t"},
                {"type":"http-01","url":"u","status":"invalid","token":"t","validated":"2026-11-22T03:00:00Z",
                 "error":{"type":"urn:ietf:params:acme:error:connection","detail":"no route","status":400}}]}"#,
        )
        .unwrap();
        let problem = authorization.error().unwrap();
        assert_eq!(
            (problem.code(), problem.detail.as_str(), problem.status),
            ("connection", "no route", Some(400))
        );
    }

    #[test]
    fn a_wildcard_is_named_with_its_star() {
        let name = |wildcard, value: &str| {
            let authorization = serde_json::json!({"status": "valid", "wildcard": wildcard,
                "identifier": {"type": "dns", "value": value}});
            serde_json::from_value::<Authorization>(authorization).unwrap().name()
        };
        assert_eq!(name(true, "a.example"), "*.a.example");
        assert_eq!(name(true, "*.a.example"), "*.a.example");
        assert_eq!(name(false, "a.example"), "a.example");
    }

    #[test]
    fn a_new_order_carries_only_what_is_asked_for() {
        let identifiers = vec![Identifier::dns("*.a.example")];
        let mut order = NewOrder { identifiers, not_after: None, profile: None, replaces: None };
        let json = |order: &NewOrder| serde_json::to_value(order).unwrap();
        let identifiers = serde_json::json!([{"type": "dns", "value": "*.a.example"}]);
        assert_eq!(json(&order), serde_json::json!({"identifiers": identifiers}));
        order.profile = Some("shortlived".to_owned());
        order.not_after = Some(Timestamp::UNIX_EPOCH);
        let wanted = serde_json::json!({"identifiers": identifiers, "notAfter": "1970-01-01T00:00:00Z", "profile": "shortlived"});
        assert_eq!(json(&order), wanted);
    }
}

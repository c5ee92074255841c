use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::limits::MAX_CAA_IDENTITIES;
use crate::wire::{lenient, or_default};

/// A CA's directory (RFC 8555 section 7.1.1). Unknown entries are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// Where to get nonces (section 7.2).
    pub new_nonce: String,
    /// Where to register and look up accounts (section 7.3).
    pub new_account: String,
    /// Where to place orders (section 7.4).
    pub new_order: String,
    /// Pre-authorization (section 7.4.1), which is optional.
    #[serde(default)]
    pub new_authz: Option<String>,
    /// Account key rollover (section 7.3.5). Required by the RFC, but some CAs do not have it.
    #[serde(default)]
    pub key_change: Option<String>,
    /// Revocation (section 7.6). Required by the RFC, but some CAs do not have it.
    #[serde(default)]
    pub revoke_cert: Option<String>,
    /// Renewal information (RFC 9773 section 4.1).
    #[serde(default)]
    pub renewal_info: Option<String>,
    /// What the CA says about itself.
    #[serde(default, deserialize_with = "or_default")]
    pub meta: Meta,
}

/// The directory's metadata (RFC 8555 section 9.7.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The URL of the terms of service.
    pub terms_of_service: Option<String>,
    /// The CA's web site.
    pub website: Option<String>,
    /// The names that allow this CA in a CAA record (RFC 8659). None if there are more than anyone needs: part of them could
    /// make a record seem to forbid what it allows.
    #[serde(deserialize_with = "identities")]
    pub caa_identities: Vec<String>,
    /// The names of the CA in the records of dns-persist-01 (draft-ietf-acme-dns-persist-02).
    #[serde(deserialize_with = "lenient")]
    pub issuer_domain_names: Vec<String>,
    /// What comes before the hash of an account in these records.
    #[serde(deserialize_with = "lenient")]
    pub account_hash_prefix: Option<String>,
    /// Whether a new account requires external account binding. Not every CA that requires it says so.
    #[serde(deserialize_with = "or_default")]
    pub external_account_required: bool,
    /// The certificate profiles: names with descriptions (draft-ietf-acme-profiles).
    #[serde(deserialize_with = "or_default")]
    pub profiles: BTreeMap<String, String>,
    /// Whether the CA knows authorizations that cover subdomains (RFC 9444 section 4.4).
    #[serde(deserialize_with = "lenient")]
    pub subdomain_auth_allowed: bool,
}

fn identities<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let identities: Vec<String> = lenient(deserializer)?;
    Ok(if identities.len() > MAX_CAA_IDENTITIES { Vec::new() } else { identities })
}

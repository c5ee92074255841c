//! What a CA knows about an account.

use serde::Deserialize;

use crate::limits::MAX_CONTACTS;
use crate::wire::{or_default, words};

/// What a CA knows about an account (RFC 8555 section 7.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountState {
    /// Whether it can be used.
    pub status: AccountStatus,
    /// The contact URLs, as stored by the CA. Some CAs store none, or do not show them.
    #[serde(default, deserialize_with = "or_default")]
    pub contact: Vec<String>,
    /// Whether the terms of service were agreed to, if the CA says so.
    #[serde(default)]
    pub terms_of_service_agreed: Option<bool>,
    /// Where its orders are listed, if the CA lists them.
    #[serde(default)]
    pub orders: Option<String>,
}

impl AccountState {
    /// Whether it can never be used again.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.status, AccountStatus::Deactivated | AccountStatus::Revoked)
    }

    /// The email addresses among the contacts.
    #[must_use]
    pub fn email_addresses(&self) -> Vec<String> {
        let (most, longest) = MAX_CONTACTS;
        let addresses = self.contact.iter().filter_map(|contact| contact.strip_prefix("mailto:"));
        addresses.filter(|address| address.len() <= longest).take(most).map(str::to_owned).collect()
    }
}

words! {
    /// The states of an account (RFC 8555 section 7.1.6).
    AccountStatus {
        /// It can be used.
        Valid = "valid",
        /// Its owner deactivated it permanently.
        Deactivated = "deactivated",
        /// The CA revoked it permanently.
        Revoked = "revoked",
    }
}

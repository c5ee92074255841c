//! The status of a Certificate is not trusted: anybody who can write it could have written anything.
//!
//! When the operator writes entries that it acts on later (an order, challenges, TXT records, certificates to revoke), it seals
//! them with a key that only it has. It checks the seals when it reads them. A seal covers the content of the entry and its
//! owner, so an entry cannot be moved to another Certificate. Entries without a valid seal are removed before any decision;
//! [`mod@derive`] determines what can be recovered without a seal, and [`Unverified`] what becomes of the rest.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use certwright_api::{
    CertificateStatus, ChallengeStatus, DnsRecordStatus, IssuerStatus, OrderStatus, PendingAuthorization,
    RevocableCertificate,
};

pub mod derive;
mod unverified;

pub use unverified::{ORDER_NOT_OURS, Unverified};

/// Length of a key, in bytes.
pub const KEY_LENGTH: usize = 32;
/// The length of a seal, a truncated HMAC, in bytes (RFC 2104 section 5: at least half).
const SEAL_LENGTH: usize = 16;

/// The keys that seal entries.
pub struct LedgerKeys {
    current: hmac::Key,
    former: Vec<hmac::Key>,
}

/// Whose status it is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Namespace of the Certificate or Issuer; empty for a ClusterIssuer.
    pub namespace: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

impl LedgerKeys {
    /// Seals with `current`; accepts what was sealed with it, or with one of `former`.
    pub fn new<'a>(current: &[u8], former: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self { current: key(current), former: former.into_iter().map(key).collect() }
    }

    /// Seals every entry. Call this only with entries that are known to be the operator's.
    pub fn seal(&self, owner: Owner<'_>, status: &mut CertificateStatus) {
        if let Some(order) = &mut status.order {
            order.seal = Some(self.seal_of(owner, order));
        }
        for challenge in &mut status.challenges {
            challenge.seal = Some(self.seal_of(owner, challenge));
        }
        for record in &mut status.dns_records {
            record.seal = Some(self.seal_of(owner, record));
        }
        for held in status.revocation.iter_mut().flat_map(|ledger| &mut ledger.certificates) {
            held.seal = Some(self.seal_of(owner, held));
        }
    }

    /// Removes entries without a valid seal from a status.
    pub fn take_unverified(&self, owner: Owner<'_>, status: &mut CertificateStatus) -> Unverified {
        let order = status.order.take_if(|order| !self.is_sealed(owner, order));
        let challenges = self.take(owner, &mut status.challenges);
        let dns_records = self.take(owner, &mut status.dns_records);
        let certificates = match &mut status.revocation {
            Some(ledger) => self.take(owner, &mut ledger.certificates),
            None => Vec::new(),
        };
        Unverified { order, challenges, dns_records, certificates }
    }

    /// Seals every entry of an issuer's status.
    pub fn seal_issuer(&self, owner: Owner<'_>, status: &mut IssuerStatus) {
        for entry in &mut status.authorizations {
            let name = entry.dns_name.clone();
            if let Some(pending) = &mut entry.pending {
                pending.seal = Some(self.seal_of(owner, &Pending(&name, pending)));
            }
        }
        for record in &mut status.dns_records {
            record.seal = Some(self.seal_of(owner, record));
        }
    }

    /// Removes TXT records without a valid seal from an issuer's status, and returns them. An authorization without a valid seal is
    /// forgotten, and another one is requested.
    pub fn take_unverified_of_issuer(
        &self,
        owner: Owner<'_>,
        status: &mut IssuerStatus,
    ) -> Vec<DnsRecordStatus> {
        for entry in &mut status.authorizations {
            let name = &entry.dns_name;
            entry.pending.take_if(|pending| !self.is_sealed(owner, &Pending(name, pending)));
        }
        self.take(owner, &mut status.dns_records)
    }

    /// Whether the operator has written this challenge.
    pub fn knows(&self, owner: Owner<'_>, challenge: &ChallengeStatus) -> bool {
        self.is_sealed(owner, challenge)
    }

    fn take<T: Entry>(&self, owner: Owner<'_>, entries: &mut Vec<T>) -> Vec<T> {
        let (sealed, unverified) =
            std::mem::take(entries).into_iter().partition(|entry| self.is_sealed(owner, entry));
        *entries = sealed;
        unverified
    }

    fn is_sealed<T: Entry>(&self, owner: Owner<'_>, entry: &T) -> bool {
        let Some(seal) = entry.sealed().and_then(|seal| URL_SAFE_NO_PAD.decode(seal).ok()) else {
            return false;
        };
        let text = sealed_text(owner, entry);
        let mut keys = std::iter::once(&self.current).chain(&self.former);
        keys.any(|key| verify_slices_are_equal(&mac(key, &text), &seal).is_ok())
    }

    fn seal_of<T: Entry>(&self, owner: Owner<'_>, entry: &T) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.current, &sealed_text(owner, entry)))
    }
}

/// An entry of the ledger.
trait Entry {
    /// Which kind of entry it is.
    const KIND: &'static str;
    /// The seal that it has.
    fn sealed(&self) -> Option<&str>;
    /// What the seal covers: everything that the operator acts on, except times.
    fn content(&self) -> Value;
}

impl Entry for OrderStatus {
    const KIND: &'static str = "order";

    fn sealed(&self) -> Option<&str> {
        self.seal.as_deref()
    }

    fn content(&self) -> Value {
        json!([self.url, self.account])
    }
}

impl Entry for ChallengeStatus {
    const KIND: &'static str = "challenge";

    fn sealed(&self) -> Option<&str> {
        self.seal.as_deref()
    }

    fn content(&self) -> Value {
        json!([self.name, self.type_, self.token, self.url, self.authorization, self.way, self.ingress])
    }
}

impl Entry for DnsRecordStatus {
    const KIND: &'static str = "dnsRecord";

    fn sealed(&self) -> Option<&str> {
        self.seal.as_deref()
    }

    fn content(&self) -> Value {
        json!([
            self.name,
            self.fqdn,
            self.zone,
            self.value,
            self.key_authorization,
            self.solver,
            self.secrets_namespace,
            self.allow_ambient_credentials
        ])
    }
}

/// The pending authorization of a name.
struct Pending<'a>(&'a str, &'a PendingAuthorization);

impl Entry for Pending<'_> {
    const KIND: &'static str = "authorization";

    fn sealed(&self) -> Option<&str> {
        self.1.seal.as_deref()
    }

    fn content(&self) -> Value {
        json!([self.0, self.1.url, self.1.account])
    }
}

impl Entry for RevocableCertificate {
    const KIND: &'static str = "revocation";

    fn sealed(&self) -> Option<&str> {
        self.seal.as_deref()
    }

    fn content(&self) -> Value {
        let decided = self.revocation.as_ref().map(|decided| (decided.reason, decided.cause));
        json!([
            self.serial_number,
            self.certificate,
            self.issuer_kind,
            self.issuer_name,
            self.account,
            decided
        ])
    }
}

fn mac(key: &hmac::Key, text: &[u8]) -> Vec<u8> {
    hmac::sign(key, text).as_ref().iter().take(SEAL_LENGTH).copied().collect()
}

fn sealed_text<T: Entry>(owner: Owner<'_>, entry: &T) -> Vec<u8> {
    let text = (T::KIND, owner.namespace, owner.uid, canonical(entry.content()));
    as_json(&text)
}

/// Cannot fail for a [`Value`]; an empty text matches no seal.
fn as_json(text: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default()
}

/// A value as the API server returns it: without nulls, with sorted keys, and with `1.0` as `1`.
fn canonical(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            fields.into_iter().map(|(key, value)| (key, canonical(value))).collect::<Map<_, _>>().into()
        }
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests;

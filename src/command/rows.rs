//! How Certificates and issuers are, one row each, for `certwright top` and `certwright ui`, which draw them differently.
//!
//! Texts of objects are bounded, in one line, and without invisible characters.

mod key;
mod pulse;
#[cfg(test)]
mod tests;
pub mod watches;

use std::fmt::Debug;

use http::Uri;
use jiff::Timestamp;
use kube::ResourceExt;

pub use self::key::Key;
use super::kind::Kind;
use super::outlook::{self, NextAction, Outlook, Trouble};
use crate::controller::issuer_record::IssuerId;
use certwright_api::{AnyIssuer, Certificate, ClusterIssuer, Issuer, certificate_reason as reason};
use certwright_core::kstatus::needs_a_person;
use certwright_core::reading::{Fault, Readable, Reading};
use certwright_core::spec::names;
use certwright_text::clean;

/// The longest text, in characters.
const LONGEST: usize = 2000;
/// The most names of a Certificate in its row. There are more in `certwright status`.
const NAMES: usize = 20;
/// Reasons of issuances that cannot continue until something else happens first, besides those that wait for a person.
const WAITS: &[&str] = &[
    reason::ISSUER_NOT_FOUND,
    reason::ISSUER_NOT_READY,
    reason::PASSWORD_NOT_FOUND,
    reason::PERSISTENT_RECORD,
    reason::DNS_WEBHOOK_UNAVAILABLE,
    reason::CA_UNAVAILABLE,
    reason::RATE_LIMITED,
    reason::ISSUED_RECENTLY,
];

/// How an object is, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The last attempt failed.
    Failing,
    /// It cannot be read.
    Unreadable,
    /// It is ready, and servers do not show its certificate.
    Unserved,
    /// An issuance cannot continue until something else happens.
    Waiting,
    /// An issuance is in progress.
    Working,
    /// The operator has not processed it yet.
    Unseen,
    /// Nothing is wrong.
    Ready,
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which one.
    pub key: Key,
    /// How it is.
    pub standing: Standing,
    /// Why, since when, and what is next.
    pub outlook: Outlook,
    /// What only its kind has.
    pub facts: Facts,
}

/// What only one kind has.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// Of a Certificate.
    Certificate(CertificateFacts),
    /// Of an Issuer or ClusterIssuer.
    Issuer(IssuerFacts),
}

/// What only Certificates have.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateFacts {
    /// The issuer in use.
    pub issuer: IssuerId,
    /// Whether there are issuers to fall back to.
    pub has_fallback: bool,
    /// The first of its names.
    pub names: Vec<String>,
    /// How many more names there are.
    pub more_names: usize,
    /// The name of its Secret.
    pub secret: String,
    /// When the certificate expires.
    pub expires: Option<Timestamp>,
    /// When it is to be renewed.
    pub renewal: Option<Timestamp>,
    /// Whether it has an order at the CA.
    pub has_order: bool,
}

/// What only issuers have.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerFacts {
    /// The URL of the CA's directory.
    pub server: String,
    /// Its host.
    pub ca: String,
    /// The URL of the account.
    pub account: Option<String>,
    /// How many orders the account may have at a time.
    pub most_orders: Option<i32>,
}

/// A kind of objects that have rows.
pub trait Shown: Readable + Clone + Debug + Send + 'static {
    /// Which kind.
    const KIND: Kind;

    /// Which object.
    fn key(&self) -> Key;

    /// How it is.
    fn outlook(&self, now: Timestamp) -> Outlook;

    /// What only this kind has.
    fn facts(&self) -> Facts;
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Failing,
        Self::Unreadable,
        Self::Unserved,
        Self::Waiting,
        Self::Working,
        Self::Unseen,
        Self::Ready,
    ];

    fn of(outlook: &Outlook) -> Self {
        match &outlook.trouble {
            Some(trouble) if trouble.failed => Self::Failing,
            Some(trouble) if waits(&trouble.reason) => Self::Waiting,
            Some(_) => Self::Working,
            None if outlook.unserved.is_some() => Self::Unserved,
            None if outlook.ready == Some(true) => Self::Ready,
            None => Self::Unseen,
        }
    }
}

fn waits(reason: &str) -> bool {
    WAITS.contains(&reason) || needs_a_person(reason)
}

impl Row {
    /// The row of an object.
    pub fn of<K: Shown>(reading: &Reading<K>, now: Timestamp) -> Self {
        let object = &reading.object;
        let (standing, outlook) = match &reading.fault {
            Some(fault) => (Standing::Unreadable, unreadable(fault)),
            None => {
                let mut outlook = object.outlook(now);
                let standing = Standing::of(&outlook);
                for Trouble { reason, message, .. } in outlook.trouble.iter_mut().chain(&mut outlook.unserved)
                {
                    (*reason, *message) = (shown(reason), shown(message));
                }
                (standing, outlook)
            }
        };
        Self { key: object.key(), standing, outlook, facts: object.facts() }
    }

    /// What only Certificates have, if it is one.
    pub fn certificate(&self) -> Option<&CertificateFacts> {
        match &self.facts {
            Facts::Certificate(facts) => Some(facts),
            Facts::Issuer(_) => None,
        }
    }

    /// What only issuers have, if it is one.
    pub fn issuer(&self) -> Option<&IssuerFacts> {
        match &self.facts {
            Facts::Issuer(facts) => Some(facts),
            Facts::Certificate(_) => None,
        }
    }

    /// When the certificate is renewed, if that is what happens next.
    pub fn renews(&self) -> Option<Timestamp> {
        match &self.outlook.next {
            NextAction::At("renews", time) => Some(*time),
            _ => None,
        }
    }
}

/// Like [`outlook::of_certificate`] after the operator has reported the same.
fn unreadable(fault: &Fault) -> Outlook {
    let message = shown(&format!("It cannot be read: {fault}"));
    Outlook {
        ready: Some(false),
        since: None,
        trouble: Some(Trouble {
            reason: reason::INVALID_SPEC.to_owned(),
            message,
            since: None,
            failed: true,
        }),
        unserved: None,
        next: NextAction::When("nothing until it is changed".to_owned()),
    }
}

impl Shown for Certificate {
    const KIND: Kind = Kind::Certificate;

    fn key(&self) -> Key {
        Key::Certificate(self.namespace().unwrap_or_default(), self.name_any())
    }

    fn outlook(&self, now: Timestamp) -> Outlook {
        outlook::of_certificate(self, now)
    }

    fn facts(&self) -> Facts {
        let mut names = names::requested(&self.spec);
        let more_names = names.len().saturating_sub(NAMES);
        names.truncate(NAMES);
        let issuer = IssuerId::of(self);
        let status = self.status.as_ref();
        Facts::Certificate(CertificateFacts {
            issuer: IssuerId { name: shown(&issuer.name), ..issuer },
            has_fallback: !self.spec.fallback_issuer_refs.is_empty(),
            names: names.iter().map(|name| shown(name)).collect(),
            more_names,
            secret: shown(&self.spec.secret_name),
            expires: status.and_then(|status| outlook::time(status.not_after.as_ref())),
            renewal: status.and_then(|status| outlook::time(status.renewal_time.as_ref())),
            has_order: status.is_some_and(|status| status.order.is_some()),
        })
    }
}

impl Shown for Issuer {
    const KIND: Kind = Kind::Issuer;

    fn key(&self) -> Key {
        key_of_issuer(self)
    }

    fn outlook(&self, _now: Timestamp) -> Outlook {
        outlook::of_issuer(self, self.status.as_ref())
    }

    fn facts(&self) -> Facts {
        facts_of_issuer(self)
    }
}

impl Shown for ClusterIssuer {
    const KIND: Kind = Kind::ClusterIssuer;

    fn key(&self) -> Key {
        key_of_issuer(self)
    }

    fn outlook(&self, _now: Timestamp) -> Outlook {
        outlook::of_issuer(self, self.status.as_ref())
    }

    fn facts(&self) -> Facts {
        facts_of_issuer(self)
    }
}

fn key_of_issuer<K: AnyIssuer>(issuer: &K) -> Key {
    Key::Issuer(IssuerId { kind: K::KIND, namespace: issuer.namespace(), name: issuer.name_any() })
}

fn facts_of_issuer<K: AnyIssuer>(issuer: &K) -> Facts {
    let server = &issuer.acme().server;
    let host = server.parse::<Uri>().ok().and_then(|uri| Some(uri.authority()?.host().to_owned()));
    let account = issuer.status().and_then(|status| status.acme.as_ref());
    Facts::Issuer(IssuerFacts {
        ca: shown(host.as_deref().unwrap_or(server)),
        server: shown(server),
        account: account.map(|account| shown(&account.uri)).filter(|uri| !uri.is_empty()),
        most_orders: account.and_then(|account| account.max_concurrent_orders),
    })
}

fn shown(text: &str) -> String {
    clean(text, LONGEST)
}

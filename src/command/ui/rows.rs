//! What the page shows of each object, from what `certwright list` and `certwright status` show of it.
//!
//! Times are seconds since 1970, from which the page computes how far away they are.

use http::Uri;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::Serialize;

use super::key::Key;
use crate::command::outlook::{self, NextAction, Outlook};
use crate::controller::issuer_record::IssuerId;
use certwright_api::{
    AnyIssuer, Certificate, CertificateStatus, ClusterIssuer, Issuer, certificate_reason as reason,
};
use certwright_core::kstatus::needs_a_person;
use certwright_core::reading::{Fault, Readable, Reading};
use certwright_core::spec::names;
use certwright_text::clean;

/// The longest message, in characters.
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
    reason::RATE_LIMITED,
    reason::ISSUED_RECENTLY,
];

/// How an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The last attempt failed.
    Failing,
    /// An issuance cannot continue until something else happens.
    Waiting,
    /// An issuance is in progress.
    Working,
    /// Nothing is to be done.
    Ready,
    /// The operator has not processed it yet.
    Unseen,
    /// It cannot be read.
    Unreadable,
}

/// A row of the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    key: String,
    namespace: Option<String>,
    name: String,
    state: State,
    /// Whether it is ready, also while it is renewed or a renewal fails.
    ready: bool,
    /// Since when the trouble, or else the state, has lasted.
    since: Option<i64>,
    reason: Option<String>,
    message: Option<String>,
    next: String,
    next_at: Option<i64>,
    #[serde(flatten)]
    of: Of,
}

/// What only one kind has.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Of {
    Certificate {
        /// The key of the issuer in use.
        issuer: String,
        /// Whether there are issuers to fall back to.
        fallback: bool,
        names: Vec<String>,
        /// How many more names there are.
        more_names: usize,
        secret: String,
        not_after: Option<i64>,
        renewal: Option<i64>,
    },
    Issuer {
        /// `Issuer` or `ClusterIssuer`.
        called: &'static str,
        server: String,
        /// The host of the CA's server.
        ca: String,
        account: Option<String>,
    },
}

/// A kind of objects that the page shows.
pub trait Shown: Readable {
    /// What the keys of its objects begin with.
    const PREFIX: &'static str;

    /// The key of an object.
    fn key(&self) -> Key;

    /// The row of an object that can be read.
    fn row(&self, now: Timestamp) -> Row;

    /// The row of an object that cannot be read.
    fn unreadable(&self, fault: &Fault) -> Row;
}

/// The key and the row of an object.
pub fn of<K: Shown>(reading: Reading<K>, now: Timestamp) -> (Key, Row) {
    let key = reading.object.key();
    let row = match &reading.fault {
        Some(fault) => reading.object.unreadable(fault),
        None => reading.object.row(now),
    };
    (key, row)
}

impl Shown for Certificate {
    const PREFIX: &'static str = "certificate/";

    fn key(&self) -> Key {
        Key::Certificate(self.namespace().unwrap_or_default(), self.name_any())
    }

    fn row(&self, now: Timestamp) -> Row {
        let outlook = outlook::of_certificate(self, now);
        let state = match &outlook.trouble {
            Some(trouble) if trouble.failed => State::Failing,
            Some(trouble) if waits(&trouble.reason) => State::Waiting,
            Some(_) => State::Working,
            None => without_trouble(&outlook),
        };
        let of = of_certificate(self, names::requested(&self.spec));
        row(self, &self.key(), state, &outlook, of)
    }

    fn unreadable(&self, fault: &Fault) -> Row {
        unreadable(self, &self.key(), fault, of_certificate(self, Vec::new()))
    }
}

impl Shown for Issuer {
    const PREFIX: &'static str = "issuer/";

    fn key(&self) -> Key {
        issuer_key(self)
    }

    fn row(&self, _now: Timestamp) -> Row {
        issuer_row(self)
    }

    fn unreadable(&self, fault: &Fault) -> Row {
        unreadable(self, &self.key(), fault, of_issuer(self))
    }
}

impl Shown for ClusterIssuer {
    const PREFIX: &'static str = "clusterissuer/";

    fn key(&self) -> Key {
        issuer_key(self)
    }

    fn row(&self, _now: Timestamp) -> Row {
        issuer_row(self)
    }

    fn unreadable(&self, fault: &Fault) -> Row {
        unreadable(self, &self.key(), fault, of_issuer(self))
    }
}

fn issuer_key<K: AnyIssuer>(issuer: &K) -> Key {
    Key::Issuer(IssuerId { kind: K::KIND, namespace: issuer.namespace(), name: issuer.name_any() })
}

fn issuer_row<K: AnyIssuer>(issuer: &K) -> Row {
    let outlook = outlook::of_issuer(issuer, issuer.status());
    let state = if outlook.trouble.is_some() { State::Failing } else { without_trouble(&outlook) };
    row(issuer, &issuer_key(issuer), state, &outlook, of_issuer(issuer))
}

fn without_trouble(outlook: &Outlook) -> State {
    if outlook.ready == Some(true) { State::Ready } else { State::Unseen }
}

fn waits(reason: &str) -> bool {
    WAITS.contains(&reason) || needs_a_person(reason)
}

fn row(object: &impl ResourceExt, key: &Key, state: State, outlook: &Outlook, of: Of) -> Row {
    let trouble = outlook.trouble.as_ref();
    let (next, next_at) = match &outlook.next {
        NextAction::At(what, time) => ((*what).to_owned(), Some(time.as_second())),
        NextAction::When(words) => (words.clone(), None),
    };
    Row {
        key: key.to_string(),
        namespace: object.namespace(),
        name: object.name_any(),
        state,
        ready: outlook.ready == Some(true),
        since: since(outlook).map(Timestamp::as_second),
        reason: trouble.map(|trouble| shown(&trouble.reason)),
        message: trouble.map(|trouble| shown(&trouble.message)),
        next: shown(&next),
        next_at,
        of,
    }
}

/// Since when it has been like this. What is not ready has failed before its last attempt.
fn since(outlook: &Outlook) -> Option<Timestamp> {
    let trouble = outlook.trouble.as_ref().filter(|trouble| !trouble.failed || outlook.ready == Some(true));
    trouble.and_then(|trouble| trouble.since).or(outlook.since)
}

fn unreadable(object: &impl ResourceExt, key: &Key, fault: &Fault, of: Of) -> Row {
    Row {
        key: key.to_string(),
        namespace: object.namespace(),
        name: object.name_any(),
        state: State::Unreadable,
        ready: false,
        since: None,
        reason: None,
        message: Some(shown(&format!("It cannot be read: {fault}"))),
        next: "nothing until it is changed".to_owned(),
        next_at: None,
        of,
    }
}

fn of_certificate(certificate: &Certificate, mut names: Vec<String>) -> Of {
    let more_names = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let time = |of: fn(&CertificateStatus) -> &Option<Time>| {
        let status = certificate.status.as_ref()?;
        outlook::time(of(status).as_ref()).map(Timestamp::as_second)
    };
    Of::Certificate {
        issuer: shown(&Key::Issuer(IssuerId::of(certificate)).to_string()),
        fallback: !certificate.spec.fallback_issuer_refs.is_empty(),
        names: names.iter().map(|name| shown(name)).collect(),
        more_names,
        secret: shown(&certificate.spec.secret_name),
        not_after: time(|status| &status.not_after),
        renewal: time(|status| &status.renewal_time),
    }
}

fn of_issuer<K: AnyIssuer>(issuer: &K) -> Of {
    let server = &issuer.acme().server;
    let host = server.parse::<Uri>().ok().and_then(|uri| Some(uri.authority()?.host().to_owned()));
    let account = issuer.status().and_then(|status| status.acme.as_ref()).map(|acme| shown(&acme.uri));
    Of::Issuer {
        called: K::KIND.as_str(),
        ca: shown(host.as_deref().unwrap_or(server)),
        server: shown(server),
        account: account.filter(|account| !account.is_empty()),
    }
}

/// Text of an object, bounded and in one line. The page shows it as text, whatever it contains.
fn shown(text: &str) -> String {
    clean(text, LONGEST)
}

#[cfg(test)]
mod tests;

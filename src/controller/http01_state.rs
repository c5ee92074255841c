//! The state of http-01 and tls-alpn-01: the challenges that this process answers, and the objects that the Certificates of a
//! namespace share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube::ResourceExt;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::controller::handshakes::{Handshake, Handshakes};
use crate::controller::issuer_record::IssuerId;
use certwright_api::Certificate;
use certwright_core::issuance::{is_over_http, is_over_tls};
use certwright_core::ledger::{LedgerKeys, Owner};
use certwright_solver::http01::{Backend, Http01Shard};

/// The state of http-01 and tls-alpn-01.
#[derive(Default)]
pub struct Http01State {
    /// The shard that this process presents for.
    pub shard: Http01Shard,
    namespaces: Mutex<HashMap<String, Arc<AsyncMutex<Namespace>>>>,
    tokens: RwLock<Tokens>,
    /// The names that are answered in TLS handshakes.
    pub handshakes: Handshakes,
    /// Notified when the operator's replicas have changed.
    pub(super) replicas_changed: Notify,
}

/// What this process has created in a namespace.
#[derive(Default)]
pub(super) struct Namespace {
    /// Uids of the Certificates that have answers presented.
    pub(super) presenting: HashSet<String>,
    /// Uids of those that had; the cache may be behind.
    pub(super) left: HashSet<String>,
    /// The Services that exist.
    pub(super) services: BTreeMap<Backend, SharedService>,
}

/// A Service that exists.
pub(super) struct SharedService {
    pub(super) uid: Option<String>,
    /// Where this process has led it.
    pub(super) addresses: BTreeSet<IpAddr>,
}

#[derive(Default)]
struct Tokens {
    issuers: HashMap<String, IssuerId>,
    by_certificate: HashMap<String, Vec<String>>,
}

impl Http01State {
    /// Nothing is answered or presented yet.
    pub fn new(shard: Http01Shard) -> Self {
        Self { shard, ..Self::default() }
    }

    /// The issuer whose account answers `token`.
    pub fn issuer_of(&self, token: &str) -> Option<IssuerId> {
        self.tokens.read().issuers.get(token).cloned()
    }

    /// Answers exactly the challenges in the status of a Certificate. Every replica does so. Those that the operator did not write
    /// are not answered: they could belong to somebody else.
    pub fn answer(&self, certificate: &Certificate, keys: &LedgerKeys) {
        let status = certificate.status.as_ref();
        let (namespace, uid) =
            (certificate.namespace().unwrap_or_default(), certificate.uid().unwrap_or_default());
        let owner = Owner { namespace: &namespace, uid: &uid };
        let issuer = IssuerId::of(certificate);
        let challenges = status.iter().flat_map(|status| &status.challenges);
        let challenges: Vec<_> = challenges.filter(|challenge| keys.knows(owner, challenge)).collect();
        let over_http = challenges.iter().filter(|challenge| is_over_http(challenge));
        self.set_tokens(&uid, over_http.map(|challenge| challenge.token.clone()).collect(), &issuer);
        let over_tls = challenges.iter().filter(|challenge| is_over_tls(challenge));
        let handshakes = over_tls.map(|challenge| Handshake {
            identifier: challenge.name.clone(),
            token: challenge.token.clone(),
            issuer: issuer.clone(),
            namespace: namespace.clone(),
        });
        let since = status.and_then(|status| status.order.as_ref()).map(|order| order.created.0);
        self.handshakes.set(&uid, since.unwrap_or_default(), handshakes.collect());
    }

    /// No longer answers any challenge of the Certificate with this uid.
    pub fn forget(&self, uid: &str) {
        self.handshakes.forget(uid);
        self.tokens.write().replace(uid, Vec::new(), None);
    }

    /// Forgets what this process has created: another replica may have changed it since.
    pub fn clear(&self) {
        self.namespaces.lock().clear();
    }

    fn set_tokens(&self, uid: &str, tokens: Vec<String>, issuer: &IssuerId) {
        let unchanged = {
            let known = self.tokens.read();
            known.by_certificate.get(uid).map_or(tokens.is_empty(), |known| *known == tokens)
        };
        if !unchanged {
            self.tokens.write().replace(uid, tokens, Some(issuer));
        }
    }

    /// The namespaces in which this process has presented something.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.namespaces.lock().keys().cloned().collect()
    }

    pub(super) fn namespace(&self, namespace: &str) -> Arc<AsyncMutex<Namespace>> {
        let mut namespaces = self.namespaces.lock();
        namespaces.entry(namespace.to_owned()).or_default().clone()
    }
}

impl Tokens {
    fn replace(&mut self, uid: &str, tokens: Vec<String>, issuer: Option<&IssuerId>) {
        for token in self.by_certificate.remove(uid).unwrap_or_default() {
            self.issuers.remove(&token);
        }
        if let Some(issuer) = issuer.filter(|_| !tokens.is_empty()) {
            self.issuers.extend(tokens.iter().map(|token| (token.clone(), issuer.clone())));
            self.by_certificate.insert(uid.to_owned(), tokens);
        }
    }
}

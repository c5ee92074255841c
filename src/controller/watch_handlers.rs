//! Which reconciles a change in the cluster requests.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;

use super::cache::{Change, Index, WatchHandler};
use super::context::Context;
use super::handshakes::Handshake;
use super::issuer_record::{IssuerId, IssuerRecord, account_secret};
use super::presenter;
use super::retry::until_done;
use crate::runtime::metrics::CertificateFacts;
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, Certificate, ClusterIssuer, Issuer, LABEL_SECRET, SECRET_ACCOUNT_KEY,
};
use certwright_core::conditions::{condition, is_true};
use certwright_runtime::clock;
use certwright_solver::http01::KeyAuthorizations;
use certwright_solver::tls_alpn01::{PendingChallenge, PendingChallenges};

/// Turns changes into reconciles, and keeps the http-01 answers of this replica up to date.
pub struct WatchHandlers {
    context: Arc<Context>,
    /// Hashes of what was last seen of each object, by a hash of its uid and of the aspect: a change that does not matter, such
    /// as our own write of a status, requests nothing.
    seen: Mutex<HashMap<u64, u64>>,
    hasher: RandomState,
}

/// What is seen of an object.
#[derive(Clone, Copy, Hash)]
enum Aspect {
    /// What its own reconcile depends on.
    Object,
    /// What the Certificates of an issuer depend on.
    ForCertificates,
    /// Whether the challenges of a Certificate are presented.
    Presents,
    /// Whether a Certificate is being issued: names from HTTPRoutes wait for that.
    Issuing,
}

impl WatchHandlers {
    /// Reactions that have seen nothing yet.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, seen: Mutex::default(), hasher: RandomState::new() }
    }

    /// Whether this aspect of an object has changed since it was last seen.
    fn matters(&self, uid: &str, aspect: Aspect, what: impl Hash) -> bool {
        let hash = self.hasher.hash_one(what);
        self.seen.lock().insert(self.hasher.hash_one((uid, aspect)), hash) != Some(hash)
    }

    fn forget(&self, uid: &str) {
        let mut seen = self.seen.lock();
        for aspect in [Aspect::Object, Aspect::ForCertificates, Aspect::Presents, Aspect::Issuing] {
            seen.remove(&self.hasher.hash_one((uid, aspect)));
        }
    }

    fn issuer_seen(&self, issuer: &IssuerRecord, annotations: u64) {
        let ready = is_true(&issuer.status.conditions, CONDITION_READY);
        self.report_issuer(issuer, ready);
        let account = issuer.status.acme.as_ref().map(|acme| (&acme.uri, &acme.server, &acme.key_thumbprint));
        if issuer.deleted.is_some() {
            self.context.departures.notify_waiters();
        }
        let labels = self.is_shard().then_some(&issuer.labels);
        let object = (issuer.generation, annotations, issuer.deleted.is_some(), labels);
        if self.matters(&issuer.uid, Aspect::Object, object) {
            self.context.wake_issuer(&issuer.id);
            self.wake_issuers_beside(issuer);
        }
        // Waiting Certificates quote its message.
        let words = condition(&issuer.status.conditions, CONDITION_READY)
            .map(|ready| (&ready.reason, &ready.message));
        let retried = &issuer.status.observed_retry_request;
        // An order that lacks a solver is placed again once its names are authorized.
        let authorizations = issuer.status.authorizations.iter();
        let authorized: Vec<_> =
            authorizations.map(|entry| (&entry.dns_name, seconds(&entry.valid_since))).collect();
        let for_certificates = (issuer.generation, ready, words, account, retried, authorized);
        if self.matters(&issuer.uid, Aspect::ForCertificates, for_certificates) {
            if !self.context.serves_issuer(issuer) {
                self.context.account_refusals.lift(&issuer.id);
            }
            self.context.wake_certificates_of(&issuer.id);
        }
    }

    fn is_shard(&self) -> bool {
        !self.context.config.shard.selects_all()
    }

    /// Only the shard that serves an issuer shows its metric.
    fn report_issuer(&self, issuer: &IssuerRecord, ready: bool) {
        let (kind, namespace, name) = named(issuer);
        match self.context.serves_issuer(issuer) {
            true => self.context.metrics.issuer(kind, namespace, name, ready),
            false => self.context.metrics.forget_issuer(kind, namespace, name),
        }
    }

    /// With the labels of one issuer, those that share its account may change their shard.
    fn wake_issuers_beside(&self, issuer: &IssuerRecord) {
        if !self.is_shard() {
            return;
        }
        self.context.departures.notify_waiters();
        for other in self.context.issuers_beside(issuer) {
            self.report_issuer(&other, is_true(&other.status.conditions, CONDITION_READY));
            self.context.wake_issuer(&other.id);
        }
    }

    /// Wakes objects that are being deleted in a namespace: now that the namespace is also being deleted, they wait less.
    fn wake_deleted(&self, namespace: &str) {
        for certificate in self.context.cache.certificates(&Index::Deleted(namespace)) {
            self.context.certificate_queue.add(ObjectRef::from_obj(&*certificate));
        }
        for issuer in self.context.cache.issuers() {
            if issuer.deleted.is_some() && issuer.id.namespace.as_deref() == Some(namespace) {
                self.context.wake_issuer(&issuer.id);
            }
        }
    }

    /// Wakes the Certificates that name a Secret.
    fn wake_by_secret(&self, namespace: &str, secret: &str, but: Option<&str>) {
        for certificate in self.context.cache.certificates(&Index::Secret(namespace, secret)) {
            if certificate.metadata.uid.as_deref() != but {
                self.context.certificate_queue.add(ObjectRef::from_obj(&*certificate));
            }
        }
    }

    /// Wakes the Ingresses and Gateways that request a Certificate with this name.
    fn wake_entrances_of(&self, certificate: &Certificate) {
        let namespace = certificate.namespace().unwrap_or_default();
        self.context.annotated.wake_by_secret(&namespace, &certificate.name_any());
    }

    /// It is deleted, or another shard serves it: what this process knows, and what it has presented, is of no use any more.
    fn certificate_gone(&self, certificate: &Certificate) {
        self.context.departures.notify_waiters();
        let uid = certificate.uid().unwrap_or_default();
        let namespace = certificate.namespace().unwrap_or_default();
        self.context.metrics.forget_certificate(&namespace, &certificate.name_any());
        self.context.http01.forget(&uid);
        self.context.in_flight.forget(&uid);
        self.context.renewal_info_polls.forget(&uid);
        self.context.revocation_lists.forget(&uid);
        self.context.served_checks.forget(&uid);
        for next in self.context.order_slots.free(&uid) {
            self.context.certificate_queue.add(next);
        }
        self.wake_by_secret(&namespace, &certificate.spec.secret_name, Some(&uid));
        let challenges: Vec<_> =
            certificate.status.iter().flat_map(|status| &status.challenges).cloned().collect();
        if !challenges.is_empty() && self.context.certificate_queue.is_connected() {
            // Its routes are also garbage-collected, but possibly after the shared objects that they lead to.
            let context = self.context.clone();
            tokio::spawn(async move {
                let withdrawn = (context.clone(), namespace, uid.clone(), challenges);
                let withdraw = move || {
                    let (context, namespace, uid, challenges) = withdrawn.clone();
                    async move { presenter::withdraw_own(&context, &namespace, &uid, &challenges).await }
                        .boxed()
                };
                until_done(&context, &uid, "removing the routes to answers", withdraw).await;
            });
        }
    }
}

impl WatchHandler for WatchHandlers {
    fn certificate(&self, change: Change<Certificate>) {
        match change {
            Change::Seen(certificate) => {
                self.context.http01.answer(&certificate, &self.context.ledger_keys);
                self.context.in_flight.seen(&certificate);
                self.context.revocation_lists.see(&certificate);
                self.context.served_checks.see(&certificate);
                self.context.signing_requests.wake_by_certificate(&certificate);
                if certificate.metadata.deletion_timestamp.is_some() {
                    self.context.departures.notify_waiters();
                }
                let spec = (certificate.metadata.generation, certificate.annotations(), certificate.labels());
                let uid = certificate.metadata.uid.as_deref().unwrap_or_default();
                if self.matters(uid, Aspect::Object, spec) {
                    self.context.certificate_queue.add(ObjectRef::from_obj(&*certificate));
                    self.wake_entrances_of(&certificate);
                }
                if self.context.config.annotations.settings.routes {
                    let conditions = certificate.status.as_ref().map(|status| status.conditions.as_slice());
                    let is = |type_: &str| conditions.is_some_and(|conditions| is_true(conditions, type_));
                    let issuing = (is(CONDITION_ISSUING), is(CONDITION_READY));
                    if self.matters(uid, Aspect::Issuing, issuing) {
                        self.wake_entrances_of(&certificate);
                    }
                }
                let challenges = certificate.status.as_ref().map_or(0, |status| status.challenges.len());
                if self.matters(uid, Aspect::Presents, challenges > 0) && challenges == 0 {
                    self.nothing_is_presented(&certificate);
                }
            }
            Change::Gone(certificate) => {
                self.forget(certificate.metadata.uid.as_deref().unwrap_or_default());
                self.certificate_gone(&certificate);
                self.wake_entrances_of(&certificate);
                self.context.signing_requests.wake_by_certificate(&certificate);
            }
            Change::Unreadable(certificate) => self.certificate_unreadable(&certificate),
        }
    }

    fn issuer(&self, change: Change<Issuer>) {
        match change {
            Change::Seen(issuer) => {
                self.issuer_seen(&IssuerRecord::from(&*issuer), annotation_hash(&*issuer))
            }
            Change::Gone(issuer) => self.issuer_gone(&IssuerRecord::from(&issuer)),
            Change::Unreadable(issuer) => self.issuer_unreadable(&IssuerRecord::from(&issuer)),
        }
    }

    fn cluster_issuer(&self, change: Change<ClusterIssuer>) {
        match change {
            Change::Seen(issuer) => {
                self.issuer_seen(&IssuerRecord::from(&*issuer), annotation_hash(&*issuer))
            }
            Change::Gone(issuer) => self.issuer_gone(&IssuerRecord::from(&issuer)),
            Change::Unreadable(issuer) => self.issuer_unreadable(&IssuerRecord::from(&issuer)),
        }
    }

    fn secret(&self, change: Change<PartialObjectMeta<Secret>>) {
        let (secret, gone) = match &change {
            Change::Seen(secret) => (&**secret, false),
            Change::Gone(secret) => (secret, true),
            Change::Unreadable(_) => return,
        };
        let namespace = secret.namespace().unwrap_or_default();
        self.wake_by_secret(&namespace, &secret.name_any(), None);
        if gone && secret.labels().get(LABEL_SECRET).map(String::as_str) == Some(SECRET_ACCOUNT_KEY) {
            self.wake_issuers_of_secret(&namespace, &secret.name_any());
        }
    }

    fn namespace(&self, change: Change<PartialObjectMeta<Namespace>>) {
        match change {
            Change::Seen(namespace) => {
                let ending = namespace.metadata.deletion_timestamp.is_some();
                let uid = namespace.metadata.uid.as_deref().unwrap_or_default();
                if self.matters(uid, Aspect::Object, (namespace.labels(), ending)) {
                    self.context.wake_not_allowed(&namespace.name_any());
                    if ending {
                        self.wake_deleted(&namespace.name_any());
                    }
                }
            }
            Change::Gone(namespace) => self.forget(namespace.metadata.uid.as_deref().unwrap_or_default()),
            Change::Unreadable(_) => {}
        }
    }

    fn replicas(&self, _: Change<EndpointSlice>) {
        self.context.http01.replicas_changed.notify_one();
    }
}

impl WatchHandlers {
    /// It is ignored; its Secret stays as it is.
    fn certificate_unreadable(&self, certificate: &Certificate) {
        let status = certificate.status.as_ref();
        let facts = CertificateFacts {
            ready: false,
            not_after: status.and_then(|status| Some(status.not_after.as_ref()?.0)),
            renewal: None,
            issuing: false,
            queued: false,
            waiting: None,
            revoked: false,
            served: None,
        };
        self.context.served_checks.forget(certificate.metadata.uid.as_deref().unwrap_or_default());
        let namespace = certificate.namespace().unwrap_or_default();
        self.context.metrics.certificate(&namespace, &certificate.name_any(), facts);
    }

    /// Its Certificates report why they wait.
    fn issuer_unreadable(&self, issuer: &IssuerRecord) {
        self.report_issuer(issuer, false);
        let fault = self.context.cache.issuer_fault(&issuer.id);
        if self.matters(&issuer.uid, Aspect::ForCertificates, fault) {
            self.context.wake_certificates_of(&issuer.id);
        }
    }

    fn issuer_gone(&self, issuer: &IssuerRecord) {
        let (kind, namespace, name) = named(issuer);
        self.context.metrics.forget_issuer(kind, namespace, name);
        self.forget(&issuer.uid);
        self.context.account_refusals.lift(&issuer.id);
        self.context.authorizations.forget(&issuer.uid);
        let own = &self.context.config.cluster_resource_namespace;
        let secret = account_secret(issuer, own);
        let others = self.context.cache.issuers();
        let others = || others.iter().filter(|other| other.id != issuer.id);
        if !others().any(|other| other.spec.server == issuer.spec.server) {
            self.context.accounts.forget_server(&issuer.spec);
        }
        if !others().any(|other| account_secret(other, own) == secret) {
            self.context.accounts.wait_for_validations(&secret, false);
        }
        self.context.wake_certificates_of(&issuer.id);
        self.wake_issuers_beside(issuer);
    }

    fn wake_issuers_of_secret(&self, namespace: &str, name: &str) {
        let own = &self.context.config.cluster_resource_namespace;
        let holds = |record: &IssuerRecord| {
            let secret = account_secret(record, own);
            secret.0 == namespace && secret.1 == name
        };
        for issuer in self.context.cache.issuers().iter().filter(|issuer| holds(issuer)) {
            self.context.wake_issuer(&issuer.id);
        }
    }

    /// A key rollover may have waited for this Certificate.
    fn nothing_is_presented(&self, certificate: &Certificate) {
        let Some(issuer) = self.context.cache.issuer(&IssuerId::of(certificate)) else { return };
        if self
            .context
            .accounts
            .waits_for_validations(&account_secret(&issuer, &self.context.config.cluster_resource_namespace))
        {
            self.context.wake_issuer(&issuer.id);
        }
    }
}

impl KeyAuthorizations for Context {
    /// The token is enough to find the answer: it cannot be guessed, and a proxy may change the host.
    fn find(&self, _host: &str, token: &str) -> Option<String> {
        let issuer = self.cache.issuer(&self.http01.issuer_of(token)?)?;
        Some(format!("{token}.{}", issuer.status.acme?.key_thumbprint))
    }
}

impl PendingChallenges for Context {
    fn pending(&self, server_name: &str) -> Option<PendingChallenge> {
        let found = self.http01.handshakes.find(server_name, clock::now())?;
        let Handshake { identifier, token, issuer, .. } = found;
        let issuer = self.cache.issuer(&issuer)?;
        let key_authorization = format!("{token}.{}", issuer.status.acme?.key_thumbprint);
        Some(PendingChallenge { identifier, key_authorization })
    }
}

/// The labels of an issuer's metric.
fn named(issuer: &IssuerRecord) -> (&'static str, &str, &str) {
    (issuer.id.kind.as_str(), issuer.id.namespace.as_deref().unwrap_or_default(), &issuer.id.name)
}

fn seconds(time: &Option<Time>) -> Option<i64> {
    time.as_ref().map(|time| time.0.as_second())
}

fn annotation_hash<K: Resource>(object: &K) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.annotations().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;

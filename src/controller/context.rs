//! The shared state of all reconciles.

use std::pin::pin;
use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::account_refusals::AccountRefusals;
use super::accounts::Accounts;
use super::annotated_objects::AnnotatedObjects;
use super::api_server::ApiServer;
use super::authorizations::AuthorizationsInProgress;
use super::cache::{Cache, Index};
use super::config::Config;
use super::events::EventPublisher;
use super::http01_state::Http01State;
use super::in_flight::InFlight;
use super::issuer_record::{AccountSecret, IssuerId, IssuerRecord, account_secret};
use super::key_makers::KeyMakers;
use super::order_slots::OrderSlots;
use super::reconcile_queue::ReconcileQueue;
use super::renewal_info_polls::RenewalInfoPolls;
use super::resolvers::Resolvers;
use super::revocation_lists::RevocationLists;
use super::self_checks::SelfChecks;
use super::served_checks::ServedChecks;
use super::signing_requests::SigningRequests;
use crate::runtime::metrics::Metrics;
use certwright_api::{Certificate, ClusterIssuer, FIELD_MANAGER, Issuer, IssuerKind};
use certwright_core::ledger::LedgerKeys;
use certwright_egress::{Egress, Purpose};
use certwright_runtime::clock;
use certwright_runtime::leader::Term;
use certwright_runtime::liveness::Liveness;
use certwright_solver::dns01::Clients;
use certwright_solver::http01::{Http01Shard, SelfCheckSetupError};

/// The shared state of all reconciles.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Whether it is away.
    pub api_server: ApiServer,
    /// Settings.
    pub config: Config,
    /// Metrics.
    pub metrics: Metrics,
    /// The state behind `/healthz`.
    pub liveness: Liveness,
    /// Publishes events.
    pub events: EventPublisher,
    /// What is watched.
    pub cache: Cache,
    /// The keys that verify which entries of a status the operator wrote.
    pub ledger_keys: LedgerKeys,
    /// Accounts at CAs.
    pub accounts: Accounts,
    /// Their order slots.
    pub order_slots: OrderSlots,
    /// Generates private keys.
    pub key_makers: KeyMakers,
    /// The state of http-01 and tls-alpn-01.
    pub http01: Http01State,
    /// The self-check of http-01 and tls-alpn-01 answers.
    pub self_checks: SelfChecks,
    /// The self-check of TXT records.
    pub resolvers: Resolvers,
    /// The egress rules.
    pub egress: Egress,
    /// HTTP clients for providers of TXT records.
    pub http_clients: Clients,
    /// Issuances under way.
    pub in_flight: InFlight,
    /// When CAs were asked for renewal information.
    pub renewal_info_polls: RenewalInfoPolls,
    /// The revocation lists that Certificates name.
    pub revocation_lists: RevocationLists,
    /// The Certificates for which it is checked what servers show.
    pub served_checks: ServedChecks,
    /// Notified when the deletion of a Certificate or an issuer starts, or this shard no longer serves it.
    pub departures: Notify,
    /// Errors about accounts that CAs returned to Certificates.
    pub account_refusals: AccountRefusals,
    /// The authorizations that issuers are having validated.
    pub authorizations: AuthorizationsInProgress,
    /// Requests reconciles of Certificates.
    pub certificate_queue: ReconcileQueue<Certificate>,
    /// Requests reconciles of Issuers.
    pub issuer_queue: ReconcileQueue<Issuer>,
    /// Requests reconciles of ClusterIssuers.
    pub cluster_issuer_queue: ReconcileQueue<ClusterIssuer>,
    /// Ingresses and Gateways.
    pub annotated: AnnotatedObjects,
    /// CertificateSigningRequests.
    pub signing_requests: SigningRequests,
    /// The term in which this replica last led.
    led: Mutex<Option<Term>>,
}

impl Context {
    /// Puts the parts together.
    ///
    /// # Errors
    /// If the name servers of the self-check cannot be used.
    pub fn new(
        client: Client,
        api_server: ApiServer,
        config: Config,
        metrics: Metrics,
        liveness: Liveness,
        cache: Cache,
        ledger_keys: LedgerKeys,
    ) -> Result<Arc<Self>, SelfCheckSetupError> {
        let reporter =
            Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(config.identity.clone()) };
        let refused = metrics.clone();
        let egress =
            Egress::new(config.egress.clone(), move |purpose| refused.egress_refused(purpose.as_str()));
        let context = Arc::new(Self {
            events: EventPublisher::new(client.clone(), reporter, metrics.clone()),
            accounts: Accounts::new(
                config.cluster_resource_namespace.clone(),
                metrics.clone(),
                liveness.clone(),
                egress.clone(),
            ),
            order_slots: OrderSlots::new(config.orders_per_account),
            key_makers: KeyMakers::default(),
            http01: Http01State::new(Http01Shard::new(config.shard.id())),
            self_checks: SelfChecks::new(config.nameservers.clone(), egress.clone())?,
            resolvers: Resolvers::new(egress.clone()),
            http_clients: Clients::new(egress.clone(), Purpose::Provider, clock::now),
            egress,
            in_flight: InFlight::default(),
            renewal_info_polls: RenewalInfoPolls::new(clock::now()),
            revocation_lists: RevocationLists::default(),
            served_checks: ServedChecks::new(config.served.clone()),
            departures: Notify::new(),
            account_refusals: AccountRefusals::default(),
            authorizations: AuthorizationsInProgress::default(),
            certificate_queue: ReconcileQueue::default(),
            issuer_queue: ReconcileQueue::default(),
            cluster_issuer_queue: ReconcileQueue::default(),
            annotated: AnnotatedObjects::default(),
            signing_requests: SigningRequests::default(),
            led: Mutex::default(),
            client,
            api_server,
            config,
            metrics,
            liveness,
            cache,
            ledger_keys,
        });
        let asked = Arc::downgrade(&context);
        let facts = move || asked.upgrade().map(|context| context.accounts.facts()).unwrap_or_default();
        context.metrics.ask_about_accounts(facts);
        Ok(context)
    }

    /// Whether this replica has already led in this term.
    pub fn led_before_in(&self, term: Option<Term>) -> bool {
        let mut led = self.led.lock();
        term.is_some() && std::mem::replace(&mut *led, term.clone()) == term
    }

    /// Ends all requests for reconciles: this replica no longer leads.
    pub fn disconnect(&self) {
        self.certificate_queue.disconnect();
        self.issuer_queue.disconnect();
        self.cluster_issuer_queue.disconnect();
        self.annotated.disconnect();
        self.signing_requests.disconnect();
    }

    /// Waits until a Certificate is being deleted, or is gone from the cache.
    pub async fn certificate_departs(&self, namespace: &str, name: &str, uid: &str) {
        loop {
            let mut next = pin!(self.departures.notified());
            next.as_mut().enable();
            if !self.cache.has_certificate(namespace, name, uid) {
                return;
            }
            next.await;
        }
    }

    /// Waits until an issuer is being deleted, or belongs to another shard.
    pub async fn issuer_departs(&self, id: &IssuerId, uid: &str) {
        let departs = |issuer: &IssuerRecord| issuer.deleted.is_some() || !self.serves_issuer(issuer);
        loop {
            let mut next = pin!(self.departures.notified());
            next.as_mut().enable();
            if self.cache.issuer(id).is_some_and(|issuer| issuer.uid == uid && departs(&issuer)) {
                return;
            }
            next.await;
        }
    }

    /// The issuers that use an account key, except one.
    pub fn issuers_of_secret(&self, secret: &AccountSecret, but: Option<&IssuerId>) -> Vec<IssuerRecord> {
        let issuers =
            self.cache.issuers_of_secret(&secret.0, &secret.1, &self.config.cluster_resource_namespace);
        issuers
            .into_iter()
            .filter(|issuer| {
                Some(&issuer.id) != but
                    && account_secret(issuer, &self.config.cluster_resource_namespace) == *secret
            })
            .collect()
    }

    /// Requests a reconcile of an issuer.
    pub fn wake_issuer(&self, id: &IssuerId) {
        match (id.kind, &id.namespace) {
            (IssuerKind::ClusterIssuer, _) => self.cluster_issuer_queue.add(ObjectRef::new(&id.name)),
            (IssuerKind::Issuer, Some(namespace)) => {
                self.issuer_queue.add(ObjectRef::new(&id.name).within(namespace));
            }
            (IssuerKind::Issuer, None) => {}
        }
    }

    /// Wakes the Certificates that wait for an issuer.
    pub fn wake_certificates_of(&self, issuer: &IssuerId) {
        self.wake_certificates(&Index::Waiting(issuer.clone()), |_, of| of.contains(issuer));
    }

    /// Wakes the Certificates that their issuer may not allow because of the labels of their namespace.
    pub fn wake_not_allowed(&self, namespace: &str) {
        self.wake_certificates(&Index::NotAllowed(namespace), |certificate, _| {
            certificate.namespace.as_deref() == Some(namespace)
        });
    }

    /// Wakes the Certificates with this index value, and those that may be about to get it.
    fn wake_certificates(
        &self,
        index: &Index<'_>,
        may_get: impl Fn(&ObjectRef<Certificate>, &[IssuerId]) -> bool,
    ) {
        for certificate in self.cache.certificates(index) {
            self.certificate_queue.add(ObjectRef::from_obj(&*certificate));
        }
        for certificate in self.in_flight.unsettled(may_get) {
            self.certificate_queue.add(certificate);
        }
    }
}

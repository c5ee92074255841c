//! What every reconcile shares.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::accounts::Accounts;
use super::annotated::Entrances;
use super::api_server::ApiServer;
use super::cache::Cache;
use super::events::Said;
use super::in_flight::InFlight;
use super::issuer_record::{AccountSecret, IssuerId, IssuerRecord, account_secret};
use super::key_makers::KeyMakers;
use super::places::Places;
use super::presenter::Presenter;
use super::questions::Questions;
use super::resolvers::Resolvers;
use super::verdicts::Verdicts;
use super::wake::Wake;
use crate::runtime::clock;
use crate::runtime::leader::Term;
use crate::runtime::liveness::Liveness;
use crate::runtime::metrics::Metrics;
use certwright_api::{Certificate, ClusterIssuer, FIELD_MANAGER, Issuer, IssuerKind, PropagationCheck};
use certwright_core::annotated::AnnotationSettings;
use certwright_core::backoff::Backoff;
use certwright_core::ledger::LedgerKeys;
use certwright_egress::{Egress, Purpose, Rules};
use certwright_solver::dns01::{Clients, NameServer};
use certwright_solver::http01::{PathType, SelfCheck, SelfCheckSetupError};

/// Settings of the controllers.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's own namespace: Secrets of ClusterIssuers are here.
    pub namespace: String,
    /// Namespaces to watch; empty for all.
    pub watch_namespaces: Vec<String>,
    /// Whether ClusterIssuers are served.
    pub cluster_issuers: bool,
    /// Name of this replica, in events.
    pub identity: String,
    /// Port on which every replica answers http-01 challenges.
    pub responder_port: u16,
    /// Addresses at which this replica answers.
    pub advertise: Vec<IpAddr>,
    /// Service in the operator's namespace whose endpoints are all replicas.
    pub responder_service: Option<String>,
    /// Name servers of the self-check; empty for those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// How long a failing self-check is waited for before the CA is asked all the same.
    pub self_check_timeout: Duration,
    /// Name servers that dns-01 goes by; empty for those of the system.
    pub recursive_nameservers: Vec<NameServer>,
    /// Who has to have a TXT record before the CA is told, unless the solver says otherwise.
    pub propagation_check: PropagationCheck,
    /// Where connections may be made that tenants ask for.
    pub egress: Rules,
    /// How the paths of temporary Ingresses are matched.
    pub path_type: PathType,
    /// Waits after failures.
    pub backoff: Backoff,
    /// Orders that an account may have under way at once.
    pub orders_per_account: usize,
    /// So many equal certificates are ordered within a week because the Secret was lost; 0 for any number.
    pub duplicate_certificate_limit: usize,
    /// A certificate that is due because of the time is ordered so long after the last one at the earliest.
    pub min_issuance_interval: Duration,
    /// Certificates from annotations.
    pub annotations: AnnotationsConfig,
}

/// Settings of Certificates that are made from annotations on Ingresses and Gateways.
#[derive(Clone, Debug, Default)]
pub struct AnnotationsConfig {
    /// Whether there are any: if not, neither Ingresses nor Gateways are watched.
    pub enabled: bool,
    /// What annotations are read.
    pub settings: AnnotationSettings,
}

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Whether it is away.
    pub api_server: ApiServer,
    /// Settings.
    pub config: Config,
    /// Metrics.
    pub metrics: Metrics,
    /// What `/healthz` goes by.
    pub liveness: Liveness,
    /// Who publishes events.
    pub reporter: Reporter,
    /// What events have said lately.
    pub said: Said,
    /// What is watched.
    pub cache: Cache,
    /// By these the operator knows what of a status it has written itself.
    pub ledger_keys: LedgerKeys,
    /// Accounts at CAs.
    pub accounts: Accounts,
    /// Their places for orders under way.
    pub places: Places,
    /// Those who make private keys.
    pub key_makers: KeyMakers,
    /// http-01 answers and the way to them.
    pub presenter: Presenter,
    /// The operator's own look at http-01 answers.
    pub self_check: SelfCheck,
    /// The operator's own look at TXT records.
    pub resolvers: Resolvers,
    /// Where connections may be made.
    pub egress: Egress,
    /// For providers of TXT records that are asked over HTTP.
    pub http_clients: Clients,
    /// Issuances under way.
    pub in_flight: InFlight,
    /// When CAs were asked when certificates are best renewed.
    pub questions: Questions,
    /// Notified when a Certificate or an issuer begins to be deleted.
    pub deletions: Notify,
    /// What CAs said of accounts when Certificates used them.
    pub verdicts: Verdicts,
    /// Asks for a reconcile of Certificates.
    pub wake_certificate: Wake<Certificate>,
    /// Asks for a reconcile of Issuers.
    pub wake_issuer: Wake<Issuer>,
    /// Asks for a reconcile of ClusterIssuers.
    pub wake_cluster_issuer: Wake<ClusterIssuer>,
    /// Ingresses and Gateways.
    pub entrances: Entrances,
    /// The term in which this replica led last.
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
        Ok(Arc::new(Self {
            reporter,
            said: Said::default(),
            accounts: Accounts::new(config.namespace.clone(), metrics.clone(), egress.clone()),
            places: Places::new(config.orders_per_account),
            key_makers: KeyMakers::default(),
            presenter: Presenter::default(),
            self_check: SelfCheck::new(config.nameservers.clone(), egress.clone())?,
            resolvers: Resolvers::new(egress.clone()),
            http_clients: Clients::new(egress.clone(), Purpose::Provider, clock::now),
            egress,
            in_flight: InFlight::default(),
            questions: Questions::new(clock::now()),
            deletions: Notify::new(),
            verdicts: Verdicts::default(),
            wake_certificate: Wake::default(),
            wake_issuer: Wake::default(),
            wake_cluster_issuer: Wake::default(),
            entrances: Entrances::default(),
            led: Mutex::default(),
            client,
            api_server,
            config,
            metrics,
            liveness,
            cache,
            ledger_keys,
        }))
    }

    /// Whether this replica has led before in this term, which begins again.
    pub fn led_before_in(&self, term: Option<Term>) -> bool {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        term.is_some() && std::mem::replace(&mut *led, term.clone()) == term
    }

    /// Ends all requests for reconciles: this replica leads no more.
    pub fn disconnect(&self) {
        self.wake_certificate.disconnect();
        self.wake_issuer.disconnect();
        self.wake_cluster_issuer.disconnect();
        self.entrances.disconnect();
    }

    /// Waits until a Certificate is being deleted.
    pub async fn deleted(&self, namespace: &str, name: &str, uid: &str) {
        loop {
            let mut next = pin!(self.deletions.notified());
            next.as_mut().enable();
            if self.cache.is_being_deleted(namespace, name, uid) {
                return;
            }
            next.await;
        }
    }

    /// Waits until an issuer is being deleted.
    pub async fn issuer_deleted(&self, id: &IssuerId, uid: &str) {
        loop {
            let mut next = pin!(self.deletions.notified());
            next.as_mut().enable();
            if self.cache.issuer(id).is_some_and(|issuer| issuer.uid == uid && issuer.deleted.is_some()) {
                return;
            }
            next.await;
        }
    }

    /// The issuers, but for one, that name an account key.
    pub fn issuers_of_secret(&self, secret: &AccountSecret, but: Option<&IssuerId>) -> Vec<IssuerRecord> {
        let issuers = self.cache.issuers().into_iter();
        issuers
            .filter(|issuer| {
                Some(&issuer.id) != but && account_secret(issuer, &self.config.namespace) == *secret
            })
            .collect()
    }

    /// Asks for a reconcile of an issuer.
    pub fn wake_issuer(&self, id: &IssuerId) {
        match (id.kind, &id.namespace) {
            (IssuerKind::ClusterIssuer, _) => self.wake_cluster_issuer.wake(ObjectRef::new(&id.name)),
            (IssuerKind::Issuer, Some(namespace)) => {
                self.wake_issuer.wake(ObjectRef::new(&id.name).within(namespace));
            }
            (IssuerKind::Issuer, None) => {}
        }
    }

    /// Wakes all Certificates of an issuer.
    pub fn wake_certificates_of(&self, issuer: &IssuerId) {
        for certificate in self.cache.certificates_of(issuer) {
            self.wake_certificate.wake(ObjectRef::from_obj(&*certificate));
        }
    }
}

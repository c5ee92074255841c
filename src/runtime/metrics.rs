//! The metrics of the process, for Prometheus.

mod certificates;
mod durations;
mod issuers;
mod labels;
mod leadership;
mod servers;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use certwright_api::RevocationReason;
use certwright_core::issuance::failure_reasons;
use certwright_runtime::process_metrics::Process;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use strum::IntoEnumIterator;

use self::certificates::Certificates;
pub use self::certificates::{CertificateFacts, PerCertificate, Served, Waiting};
use self::durations::{Durations, durations};
use self::issuers::Issuers;
use self::labels::{
    AcmeRequests, ApiWrites, ByResult, ForPurpose, Issuances, OfKind, OfOperation, Reconciles, Revocations,
    UnreadableObjects, Watched,
};
pub use self::labels::{ApiVerb, Part, ReconcileOutcome, RevocationOutcome};
pub use self::servers::{AccountFacts, ServerRequests};
use self::servers::{Accounts, Servers};

/// The content type of what [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. Clones share them.
///
/// A label that is passed as `&'static str` must be a constant, such as a condition's reason: a value that differs from object
/// to object would create a new time series for each.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    reconciles: Family<Reconciles, Counter>,
    reconcile_duration: Durations<OfKind>,
    acme_requests: Family<AcmeRequests, Counter>,
    acme_request_duration: Durations<OfOperation>,
    issuances: Family<Issuances, Counter>,
    fallback_issuances: Counter,
    issuance_duration: Histogram,
    api_writes: Family<ApiWrites, Counter>,
    egress_refused: Family<ForPurpose, Counter>,
    secrets_restored: Counter,
    dns_records_left_behind: Counter,
    accounts_left_behind: Counter,
    account_key_rollovers: Family<ByResult, Counter>,
    revocations: Family<Revocations, Counter>,
    revocations_by_ca: Counter,
    revocation_list_checks: Family<ByResult, Counter>,
    authorizations: Family<ByResult, Counter>,
    cache_lookups: Family<Watched, Counter>,
    unreadable_objects: Family<UnreadableObjects, Gauge>,
    leader: Gauge,
    healthy: Gauge,
    ready: Gauge,
    watch_silence: Gauge<f64, AtomicU64>,
    certificates: Certificates,
    issuers: Issuers,
    servers: Servers,
    accounts: Accounts,
}

impl Metrics {
    /// Metrics with nothing counted yet.
    #[must_use]
    pub fn new(per_certificate: PerCertificate) -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(Process));
        let registry = root.sub_registry_with_prefix("certwright");

        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this process", build);
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles that ended, by their outcome", reconciles.clone());
        let reconcile_duration = durations(&[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]);
        let help = "Duration of reconciles";
        registry.register_with_unit("reconcile_duration", help, Unit::Seconds, reconcile_duration.clone());
        let acme_requests = Family::default();
        let help = "Requests to ACME servers, by HTTP status; \"none\" if there was no answer";
        registry.register("acme_requests", help, acme_requests.clone());
        let acme_request_duration = durations(&[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0]);
        let help = "Duration of requests to ACME servers";
        registry.register_with_unit(
            "acme_request_duration",
            help,
            Unit::Seconds,
            acme_request_duration.clone(),
        );
        let issuances = Family::default();
        registry.register("issuances", "Issuances that ended, by result and reason", issuances.clone());
        let fallback_issuances = Counter::default();
        let help = "Certificates that a fallback issuer has issued";
        registry.register("fallback_issuances", help, fallback_issuances.clone());
        let issuance_duration = Histogram::new([
            1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
        ]);
        let help = "Time from the start of an issuance to the certificate in its Secret";
        registry.register_with_unit("issuance_duration", help, Unit::Seconds, issuance_duration.clone());
        let api_writes = Family::default();
        let help = "Writes to the Kubernetes API, by kind of object and verb";
        registry.register("api_writes", help, api_writes.clone());
        let egress_refused = Family::default();
        let help = "Connections denied by the egress rules, by purpose";
        registry.register("egress_refused", help, egress_refused.clone());
        let secrets_restored = Counter::default();
        let help =
            "Lost Secrets that got their last certificate again, since too many had been ordered for them";
        registry.register("secrets_restored", help, secrets_restored.clone());
        let dns_records_left_behind = Counter::default();
        let help = "TXT records that could not be removed in time";
        registry.register("dns_records_left_behind", help, dns_records_left_behind.clone());
        let accounts_left_behind = Counter::default();
        let help = "Accounts that could not be deactivated in time when their issuers were deleted";
        registry.register("accounts_left_behind", help, accounts_left_behind.clone());
        let account_key_rollovers = Family::default();
        let help = "Attempts to change an account key";
        registry.register("account_key_rollovers", help, account_key_rollovers.clone());
        let revocations = Family::default();
        let help = "Attempts to revoke a certificate, by result and revocation reason";
        registry.register("revocations", help, revocations.clone());
        let revocations_by_ca = Counter::default();
        let help = "Certificates that the CA was found to have revoked without being asked by the operator";
        registry.register("revocations_by_ca", help, revocations_by_ca.clone());
        let revocation_list_checks = Family::default();
        let help = "Revocation lists of CAs that were compared with the certificates in use, by result";
        registry.register("revocation_list_checks", help, revocation_list_checks.clone());
        let authorizations = Family::default();
        let help = "Attempts to prove control of names in spec.acme.authorizations";
        registry.register("authorizations", help, authorizations.clone());
        let cache_lookups = Family::default();
        let help = "Objects that were looked up in the caches of the watches";
        registry.register("cache_lookups", help, cache_lookups.clone());
        let unreadable_objects = Family::default();
        let help =
            "Objects that are ignored because they cannot be read, and objects with an unreadable status";
        registry.register("unreadable_objects", help, unreadable_objects.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 if this replica reconciles, 0 if it stands by", leader.clone());
        let healthy = Gauge::default();
        registry.register(
            "healthy",
            "1 if /healthz answers 200, 0 if the process needs a restart",
            healthy.clone(),
        );
        let ready = Gauge::default();
        registry.register(
            "ready",
            "1 if /readyz answers 200, 0 while caches are being filled",
            ready.clone(),
        );
        let watch_silence = Gauge::default();
        let help = "Longest time since the API server last answered a watch";
        registry.register_with_unit("watch_silence", help, Unit::Seconds, watch_silence.clone());
        let certificates = Certificates::new(per_certificate);
        registry.register_collector(Box::new(certificates.clone()));
        let issuers = Issuers::default();
        registry.register_collector(Box::new(issuers.clone()));
        let servers = Servers::default();
        let help = "Requests to each ACME server. failed: there was no answer, or HTTP status 5xx";
        registry.register("acme_server_requests", help, servers.requests.clone());
        let accounts = Accounts::default();
        registry.register_collector(Box::new(accounts.clone()));

        let metrics = Self(Arc::new(Inner {
            registry: root,
            reconciles,
            reconcile_duration,
            acme_requests,
            acme_request_duration,
            issuances,
            fallback_issuances,
            issuance_duration,
            api_writes,
            egress_refused,
            secrets_restored,
            dns_records_left_behind,
            accounts_left_behind,
            account_key_rollovers,
            revocations,
            revocations_by_ca,
            revocation_list_checks,
            authorizations,
            cache_lookups,
            unreadable_objects,
            leader,
            healthy,
            ready,
            watch_silence,
            certificates,
            issuers,
            servers,
            accounts,
        }));
        metrics.begin_at_zero();
        metrics
    }

    /// Creates the counters that alerts use: the first event is an increase only if the counter was 0 before.
    fn begin_at_zero(&self) {
        for reason in failure_reasons() {
            drop(self.0.issuances.get_or_create(&Issuances { result: "failed", reason }));
        }
        for result in RevocationOutcome::iter().map(RevocationOutcome::as_str) {
            for reason in RevocationReason::ALL.iter().map(|reason| reason.as_str()) {
                drop(self.0.revocations.get_or_create(&Revocations { result, reason }));
            }
        }
        for result in ["succeeded", "failed"] {
            for family in
                [&self.0.account_key_rollovers, &self.0.revocation_list_checks, &self.0.authorizations]
            {
                drop(family.get_or_create(&ByResult { result }));
            }
        }
    }

    /// Reconciles of this kind are about to start.
    pub fn reconciling(&self, kind: &'static str) {
        for outcome in ReconcileOutcome::iter().map(ReconcileOutcome::as_str) {
            drop(self.0.reconciles.get_or_create(&Reconciles { kind, outcome }));
        }
    }

    /// A reconcile has ended.
    pub fn reconciled(&self, kind: &'static str, outcome: ReconcileOutcome, took: Duration) {
        self.0.reconciles.get_or_create(&Reconciles { kind, outcome: outcome.as_str() }).inc();
        self.0.reconcile_duration.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    /// An ACME server has answered with this HTTP status, or, without one, has failed to answer.
    pub fn acme_requested(&self, operation: &'static str, status: Option<u16>, took: Duration) {
        let code = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.0.acme_requests.get_or_create(&AcmeRequests { operation, status: code }).inc();
        self.0.acme_request_duration.get_or_create(&OfOperation { operation }).observe(took.as_secs_f64());
    }

    /// Counts the requests to the ACME server with this host.
    pub fn acme_server(&self, host: &str) -> ServerRequests {
        self.0.servers.of(host)
    }

    /// From now on, this tells about the accounts in use.
    pub fn ask_about_accounts(&self, facts: impl Fn() -> AccountFacts + Send + Sync + 'static) {
        self.0.accounts.ask(facts);
    }

    /// An attempt to change an account key has ended.
    pub fn account_key_rolled_over(&self, succeeded: bool) {
        let result = if succeeded { "succeeded" } else { "failed" };
        self.0.account_key_rollovers.get_or_create(&ByResult { result }).inc();
    }

    /// A certificate is in its Secret, `took` after its issuance started, which was due for this reason.
    pub fn issued(&self, reason: &'static str, took: Duration, by_fallback: bool) {
        self.0.fallback_issuances.inc_by(u64::from(by_fallback));
        self.0.issuances.get_or_create(&Issuances { result: "succeeded", reason }).inc();
        self.0.issuance_duration.observe(took.as_secs_f64());
    }

    /// An issuance has failed for this reason.
    pub fn issuance_failed(&self, reason: &'static str) {
        self.0.issuances.get_or_create(&Issuances { result: "failed", reason }).inc();
    }

    /// The egress rules denied a connection for this purpose.
    pub fn egress_refused(&self, purpose: &'static str) {
        self.0.egress_refused.get_or_create(&ForPurpose { purpose }).inc();
    }

    /// A lost Secret has its last certificate again.
    pub fn secret_restored(&self) {
        self.0.secrets_restored.inc();
    }

    /// A TXT record is left behind.
    pub fn record_left_behind(&self) {
        self.0.dns_records_left_behind.inc();
    }

    /// An account that was to be deactivated is left behind.
    pub fn account_left_behind(&self) {
        self.0.accounts_left_behind.inc();
    }

    /// An attempt to prove control of a name in `spec.acme.authorizations` has ended.
    pub fn authorization(&self, succeeded: bool) {
        let result = if succeeded { "succeeded" } else { "failed" };
        self.0.authorizations.get_or_create(&ByResult { result }).inc();
    }

    /// The CA was asked to revoke a certificate for this reason.
    pub fn revocation(&self, outcome: RevocationOutcome, reason: &'static str) {
        self.0.revocations.get_or_create(&Revocations { result: outcome.as_str(), reason }).inc();
    }

    /// The CA was found to have revoked a certificate.
    pub fn revoked_by_ca(&self) {
        self.0.revocations_by_ca.inc();
    }

    /// A revocation list was checked, or could not be.
    pub fn revocation_list_checked(&self, succeeded: bool) {
        let result = if succeeded { "succeeded" } else { "failed" };
        self.0.revocation_list_checks.get_or_create(&ByResult { result }).inc();
    }

    /// An object of this kind was written through the Kubernetes API.
    pub fn api_written(&self, kind: &'static str, verb: ApiVerb) {
        self.0.api_writes.get_or_create(&ApiWrites { kind, verb: verb.as_str() }).inc();
    }

    /// Counts the objects of this kind that are looked up in a cache.
    pub fn cache_lookups(&self, kind: &str) -> Counter {
        self.0.cache_lookups.get_or_create_owned(&Watched { kind: kind.to_owned() })
    }

    /// This many objects of this kind cannot be read.
    pub fn unreadable(&self, kind: &str, part: Part, count: i64) {
        let labels = UnreadableObjects { kind: kind.to_owned(), part: part.as_str() };
        match count {
            0 => drop(self.0.unreadable_objects.remove(&labels)),
            _ => drop(self.0.unreadable_objects.get_or_create(&labels).set(count)),
        }
    }

    /// The results of the probes, and how long a watch has had no answer from the API server.
    pub fn vital_signs(&self, healthy: bool, ready: bool, silence: Duration) {
        self.0.healthy.set(healthy.into());
        self.0.ready.set(ready.into());
        self.0.watch_silence.set(silence.as_secs_f64());
    }

    /// The current facts about a Certificate.
    pub fn certificate(&self, namespace: &str, name: &str, facts: CertificateFacts) {
        self.0.certificates.set(namespace, name, facts);
    }

    /// A Certificate is gone.
    pub fn forget_certificate(&self, namespace: &str, name: &str) {
        self.0.certificates.forget(namespace, name);
    }

    /// An issuer of this kind is ready or not. A ClusterIssuer has an empty namespace.
    pub fn issuer(&self, kind: &'static str, namespace: &str, name: &str, ready: bool) {
        self.0.issuers.set(kind, namespace, name, ready);
    }

    /// An issuer is gone.
    pub fn forget_issuer(&self, kind: &'static str, namespace: &str, name: &str) {
        self.0.issuers.forget(kind, namespace, name);
    }

    /// Everything as [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// Only if a metric cannot be encoded, which does not happen.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(PerCertificate::default())
    }
}

#[cfg(test)]
mod tests;

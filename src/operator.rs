//! `certwright run`: starts the parts of the operator, and shuts them down again.

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use kube::Client;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::command::Run;
use crate::controller::api_server::ApiServer;
use crate::controller::cache::{Cache, WatchHandler};
use crate::controller::watch_handlers::WatchHandlers;
use crate::controller::{
    AmbientCredentials, AnnotationsConfig, Config, Context, ResponderPorts, ServedConfig, ledger_key, run,
    wake_whoever_failed,
};
use crate::runtime::health::{self, HealthError, Readiness, Vitals};
use crate::runtime::metrics::{Metrics, PerCertificate};
use certwright_api::{ANNOTATION_WATCH_LABEL_SELECTOR, GROUP, IssuerRef, PropagationCheck};
use certwright_core::annotated::AnnotationSettings;
use certwright_core::backoff::Backoff;
use certwright_core::shard::ShardSelector;
use certwright_runtime::leader::{CurrentTerm, Election, Leadership, Observer as _};
use certwright_runtime::liveness::Liveness;
use certwright_runtime::server::{self, Limits, Ticket};
use certwright_runtime::supervisor::{Ended, Supervisor};
use certwright_runtime::{api_server, shutdown};
use certwright_solver::http01::{self, SelfCheckSetupError};
use certwright_solver::tls_alpn01::{self, ResponderSetupError};

const WATCHES: &str = "the watches to list all objects";

/// Challenge requests come from a handful of a CA's servers, but anybody can send one.
const RESPONDER: Limits = Limits { connections: 512, headers: 8 * 1024, keep_alive: None };

/// Why the operator could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no configuration for the API server.
    #[error("no configuration for the Kubernetes API; run certwright in a pod, or set KUBECONFIG")]
    Configuration(#[source] kube::config::InferConfigError),
    /// The API client cannot be created.
    #[error("cannot create the client for the Kubernetes API")]
    Client(#[source] kube::Error),
    /// The signal handlers cannot be installed.
    #[error("cannot install the signal handlers")]
    Signals(#[source] io::Error),
    /// A responder's address cannot be used.
    #[error("cannot listen on {address} for {challenge} challenges; choose another with {flag}")]
    Responder {
        /// What is answered there.
        challenge: &'static str,
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// Health and metrics cannot be served.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// A task ended that must run as long as the process.
    #[error("certwright cannot continue and must be restarted")]
    Ended(#[from] Ended),
    /// The self-check cannot be set up.
    #[error("cannot set up the self-check; check --http01-nameservers")]
    SelfCheck(#[from] SelfCheckSetupError),
    /// The responder for tls-alpn-01 cannot be set up.
    #[error("cannot set up the responder for tls-alpn-01")]
    TlsAlpn01(#[from] ResponderSetupError),
}

/// Runs the operator until SIGTERM or SIGINT, or until one of its tasks ends unexpectedly.
///
/// # Errors
/// [`OperatorError`], if it cannot start or cannot continue.
pub async fn operate(settings: Run) -> Result<(), OperatorError> {
    let (stop, signals) = shutdown::on_signal().map_err(OperatorError::Signals)?;
    let metrics =
        Metrics::new(if settings.per_certificate_metrics { PerCertificate::On } else { PerCertificate::Off });
    let health = health::Server::bind(settings.metrics_addr).await?;
    let responder = bind(settings.responder_addr, "http-01", "--responder-addr").await?;
    let tls_responder =
        bind(settings.tls_alpn01_responder_addr, "tls-alpn-01", "--tls-alpn01-responder-addr").await?;
    let reached = kube::Config::infer().await.map_err(OperatorError::Configuration)?;
    let (readiness, liveness) = (Readiness::awaiting([WATCHES]), Liveness::default());
    let vitals = Vitals {
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        liveness: liveness.clone(),
        metrics_auth: settings.metrics_auth.then(|| reached.clone()),
    };
    let api_server = ApiServer::default();
    let seen = api_server.clone();
    let saw = move |answer: api_server::Answered<'_>| seen.saw(answer);
    let watching = api_server::for_watches(reached.clone(), liveness.clone(), saw.clone())
        .map_err(OperatorError::Client)?;
    let client = api_server::for_requests(reached, saw).map_err(OperatorError::Client)?;
    let port = |listener: &TcpListener, at: SocketAddr| listener.local_addr().unwrap_or(at).port();
    let ports = ResponderPorts {
        http01: port(&responder, settings.responder_addr),
        tls_alpn01: port(&tls_responder, settings.tls_alpn01_responder_addr),
    };
    let config = config(&settings, ports);
    let selector = config.shard.to_string();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace = settings.namespace,
        selector,
        "starting certwright"
    );

    let mut tasks = Supervisor::new(liveness.clone());
    tasks.spawn("signals", signals);
    tasks.spawn("heartbeat", liveness.clone().beat());
    tasks.spawn("health server", health.run(vitals, CancellationToken::new()));
    let keys = tokio::select! {
        biased;
        ended = tasks.ended() => return Err(ended.into()),
        keys = ledger_key::await_keys(&client, &metrics, &config.namespace, &stop) => keys,
    };
    let Some(keys) = keys else {
        tasks.end().await;
        return Ok(());
    };
    let (cache, watches) = Cache::new(&watching, &api_server, &config, &metrics);
    let context = Context::new(
        client.clone(),
        api_server.clone(),
        config,
        metrics.clone(),
        liveness.clone(),
        cache,
        keys,
    )?;
    let observer: Arc<dyn WatchHandler> = Arc::new(WatchHandlers::new(context.clone()));
    watches.spawn(&observer, &mut tasks);
    let (back, asking) = (context.clone(), client.clone());
    tasks.spawn("watch over the API server", async move {
        api_server.watch_over(asking, || wake_whoever_failed(&back)).await;
    });
    // While reconciles finish, this replica still answers probes and challenges, as the other replicas do.
    tasks.spawn("http-01 responder", respond(responder, context.clone()));
    let handshakes = tls_alpn01::Responder::new(context.clone())?;
    tasks.spawn("tls-alpn-01 responder", shake_hands(tls_responder, handshakes));
    let work = async {
        tokio::select! {
            () = context.cache.ready() => readiness.reached(WATCHES),
            () = stop.cancelled() => return Ok(()),
        }
        if settings.leader_elect {
            elected(&settings, client, metrics, &context, &stop).await
        } else {
            metrics.leading(true);
            run::lead(context.clone(), None, stop.clone(), pending()).await
        }
    };
    let outcome = tokio::select! {
        // If both have ended, report the task that ended: it is the cause.
        biased;
        ended = tasks.ended() => Err(ended),
        outcome = work => outcome,
    };
    outcome?;
    tasks.end().await;
    info!("certwright stopped");
    Ok(())
}

async fn respond(listener: TcpListener, context: Arc<Context>) {
    let answer = move |request: Request<Incoming>| ready(http01::answer(&request, context.as_ref()));
    server::serve(listener, answer, RESPONDER, CancellationToken::new()).await;
}

async fn shake_hands(listener: TcpListener, responder: tls_alpn01::Responder) {
    let responder = Arc::new(responder);
    let answer = move |stream: TcpStream, ticket: Arc<Ticket>| {
        let responder = responder.clone();
        async move { responder.answer(stream, || ticket.answering()).await }
    };
    server::serve_handshakes(listener, answer, RESPONDER.connections, CancellationToken::new()).await;
}

async fn bind(
    address: SocketAddr,
    challenge: &'static str,
    flag: &'static str,
) -> Result<TcpListener, OperatorError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| OperatorError::Responder { challenge, flag, address, source })
}

/// Leads while this replica is elected.
async fn elected(
    settings: &Run,
    client: Client,
    metrics: Metrics,
    context: &Arc<Context>,
    stop: &CancellationToken,
) -> Result<(), Ended> {
    let election = Election {
        namespace: settings.namespace.clone(),
        name: lease_name(settings.lease_name.as_deref(), &context.config.shard),
        annotations: BTreeMap::from([(
            ANNOTATION_WATCH_LABEL_SELECTOR.to_owned(),
            context.config.shard.to_string(),
        )]),
        identity: settings.identity.clone(),
        lease_duration: settings.lease_duration,
    };
    let mut leadership = Leadership::start(client, election, Arc::new(metrics));
    let (leads, term) = (leadership.watch(), leadership.term());
    tokio::select! {
        biased;
        ended = leadership.ended() => return Err(ended),
        outcome = terms(leads, term, context, stop) => outcome?,
    }
    leadership.release().await;
    Ok(())
}

/// Leads in each term for which this replica is elected, until `stop`.
async fn terms(
    mut leads: watch::Receiver<bool>,
    term: CurrentTerm,
    context: &Arc<Context>,
    stop: &CancellationToken,
) -> Result<(), Ended> {
    while !stop.is_cancelled() {
        tokio::select! {
            _ = elect(&mut leads, true) => {}
            () = stop.cancelled() => break,
        }
        let lost = elect(&mut leads, false);
        let outcome = run::lead(context.clone(), term.get(), stop.child_token(), lost).await;
        context.disconnect();
        outcome?;
    }
    Ok(())
}

/// Waits until this replica leads, or no longer leads. Waits forever if the sender is gone.
async fn elect(leads: &mut watch::Receiver<bool>, wanted: bool) {
    if leads.wait_for(|leads| *leads == wanted).await.is_err() {
        pending().await
    }
}

/// The name of the Lease. Each shard has its own, even if it is not named.
fn lease_name(named: Option<&str>, shard: &ShardSelector) -> String {
    match (named.filter(|name| !name.is_empty()), shard.id()) {
        (Some(name), _) => name.to_owned(),
        (None, None) => "certwright".to_owned(),
        (None, Some(id)) => format!("certwright-{id}"),
    }
}

/// The settings of the controllers.
pub(crate) fn config(settings: &Run, responder_ports: ResponderPorts) -> Config {
    Config {
        namespace: settings.namespace.clone(),
        cluster_resource_namespace: settings
            .cluster_resource_namespace
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| settings.namespace.clone()),
        watch_namespaces: settings.watch_namespaces.iter().filter(|name| !name.is_empty()).cloned().collect(),
        shard: settings.watch_label_selector.clone().unwrap_or_default(),
        cluster_issuers: settings.cluster_issuers,
        identity: settings.identity.clone(),
        responder_ports,
        advertise: settings.advertise_ip.clone(),
        responder_service: settings.responder_service.clone().filter(|name| !name.is_empty()),
        nameservers: settings.http01_nameservers.clone(),
        self_check_timeout: settings.http01_self_check_timeout,
        path_type: settings.http01_path_type,
        egress: settings.egress.rules(),
        certificates_own_secrets: settings.enable_certificate_owner_ref,
        backoff: Backoff { first: settings.backoff_first, longest: settings.backoff_longest },
        recursive_nameservers: settings.dns01_recursive_nameservers.clone(),
        propagation_check: match settings.dns01_recursive_nameservers_only {
            true => PropagationCheck::Recursive,
            false => PropagationCheck::Authoritative,
        },
        dns_webhook_group: settings.dns_webhook_group.clone(),
        ambient_credentials: AmbientCredentials {
            cluster_issuers: settings.cluster_issuer_ambient_credentials,
            issuers: settings.issuer_ambient_credentials,
        },
        orders_per_account: settings.orders_per_account,
        duplicate_certificate_limit: settings.duplicate_certificate_limit,
        min_issuance_interval: settings.min_issuance_interval,
        revocation_check_interval: settings.revocation_check_interval,
        served: ServedConfig {
            by_default: settings.check_served,
            interval: settings.served_check_interval,
            ports: settings.served_ports.clone(),
        },
        annotations: annotations(settings),
        certificate_signing_requests: settings.certificate_signing_requests,
    }
}

fn annotations(settings: &Run) -> AnnotationsConfig {
    let name = settings.default_issuer_name.clone().filter(|name| !name.is_empty());
    let kind = settings.default_issuer_kind;
    AnnotationsConfig {
        enabled: settings.annotations,
        settings: AnnotationSettings {
            cert_manager: settings.cert_manager_annotations,
            default_issuer: name.map(|name| IssuerRef { name, kind, group: GROUP.to_owned() }),
            automatic: settings.auto_certificate_annotations.clone(),
            copied: settings.extra_certificate_annotations.clone(),
            routes: settings.gateway_route_hostnames,
        },
    }
}

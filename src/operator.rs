//! `certwright run`: puts the parts together, and takes them apart again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use kube::Client;
use kube::client::{ClientBuilder, DynBody};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::util::MapResultLayer;
use tracing::info;

use crate::api::{GROUP, IssuerKind, IssuerRef, PropagationCheck};
use crate::command::Run;
use crate::controller::api_server::ApiServer;
use crate::controller::cache::Cache;
use crate::controller::observe::Reactions;
use crate::controller::{AnnotationsConfig, Config, Context, ledger_key, run, wake_whoever_failed};
use crate::core::annotated::AnnotationSettings;
use crate::core::backoff::Backoff;
use crate::egress::Rules;
use crate::runtime::health::{self, HealthError, Readiness};
use crate::runtime::leader::{Election, Leadership};
use crate::runtime::metrics::{Metrics, PerCertificate};
use crate::runtime::shutdown;
use crate::solver::http01::{PathType, SelfCheckSetupError, serve};

const WATCHES: &str = "the watches to have seen everything";

/// How long the API server may take to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the operator could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No way to the API server.
    #[error("no configuration for the Kubernetes API: run it in a pod, or set KUBECONFIG")]
    Configuration(#[source] kube::config::InferConfigError),
    /// The API client could not be made.
    #[error("the client of the Kubernetes API could not be made")]
    Client(#[source] kube::Error),
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] io::Error),
    /// The responder's address cannot be used.
    #[error("cannot listen on {address} for http-01 challenges; choose another with --responder-addr")]
    Responder {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Health and metrics cannot be served.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The self-check cannot be used.
    #[error("the self-check cannot be set up; check --http01-nameservers")]
    SelfCheck(#[from] SelfCheckSetupError),
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// [`OperatorError`], if it cannot start.
pub async fn operate(settings: Run) -> Result<(), OperatorError> {
    let stop = shutdown::on_signal().map_err(OperatorError::Signals)?;
    let metrics =
        Metrics::new(if settings.per_certificate_metrics { PerCertificate::On } else { PerCertificate::Off });
    let readiness = Readiness::awaiting([WATCHES]);
    let health = health::Server::bind(settings.metrics_addr, metrics.clone(), readiness.clone()).await?;
    let responder = TcpListener::bind(settings.responder_addr)
        .await
        .map_err(|source| OperatorError::Responder { address: settings.responder_addr, source })?;
    let api_server = ApiServer::default();
    let (watching, client) = clients(&api_server).await?;
    let config =
        config(&settings, responder.local_addr().map_or(settings.responder_addr.port(), |at| at.port()));
    info!(version = env!("CARGO_PKG_VERSION"), namespace = settings.namespace, "certwright starts");
    let health = tokio::spawn(health.run(stop.clone()));
    let Some(keys) = ledger_key::await_keys(&client, &metrics, &config.namespace, &stop).await else {
        return Ok(());
    };
    let (cache, watches) =
        Cache::new(&watching, &api_server, &config.watch_namespaces, config.cluster_issuers, &metrics);
    let context = Context::new(client.clone(), api_server.clone(), config, metrics.clone(), cache, keys)?;

    let watches = watches.run(Arc::new(Reactions::new(context.clone())));
    let back = context.clone();
    let watched_over = client.clone();
    let watches = tokio::spawn(async move {
        tokio::join!(watches, api_server.watch_over(watched_over, || wake_whoever_failed(&back)))
    });
    // Other replicas go on answering; so does this one while it waits for its reconciles to end.
    let answering = CancellationToken::new();
    let responder = tokio::spawn(serve(responder, context.clone(), answering.clone()));
    tokio::select! {
        () = context.cache.ready() => readiness.reached(WATCHES),
        () = stop.cancelled() => {}
    }
    if settings.leader_elect {
        elected(&settings, client, metrics, &context, &stop).await;
    } else if !stop.is_cancelled() {
        metrics.leading(true);
        run::lead(context.clone(), None, stop.clone()).await;
    }
    stop.cancelled().await;
    answering.cancel();
    watches.abort();
    responder.abort();
    health.abort();
    info!("certwright stops");
    Ok(())
}

/// Leads whenever this replica is elected.
async fn elected(
    settings: &Run,
    client: Client,
    metrics: Metrics,
    context: &Arc<Context>,
    stop: &CancellationToken,
) {
    let election = Election {
        namespace: settings.namespace.clone(),
        name: settings.lease_name.clone(),
        identity: settings.identity.clone(),
        lease_duration: settings.lease_duration,
    };
    let leadership = Leadership::start(client, election, metrics);
    let mut leads = leadership.watch();
    while !stop.is_cancelled() {
        tokio::select! {
            elected = leads.wait_for(|leads| *leads) => if elected.is_err() { break },
            () = stop.cancelled() => break,
        }
        let term = stop.child_token();
        tokio::select! {
            () = run::lead(context.clone(), leadership.term(), term.clone()) => {}
            _ = leads.wait_for(|leads| !*leads) => term.cancel(),
        }
        context.disconnect();
    }
    leadership.release().await;
}

/// Two clients of the API server: one for watches, which may be silent for long, and one for all else, which may not.
async fn clients(api_server: &ApiServer) -> Result<(Client, Client), OperatorError> {
    let for_watches = kube::Config::infer().await.map_err(OperatorError::Configuration)?;
    let mut for_requests = for_watches.clone();
    for_requests.read_timeout = Some(REQUEST_TIMEOUT);
    // It would go on within a reconcile for minutes, as where a provider behind the API server is down. A reconcile that
    // fails is tried again, and says why.
    for_requests.default_retry = false;
    let client = |config| {
        let api_server = api_server.clone();
        let see = MapResultLayer::new(move |answer: Result<Response<Box<DynBody>>, BoxError>| {
            api_server.saw(&answer);
            answer
        });
        let builder = ClientBuilder::try_from(config).map_err(OperatorError::Client)?;
        Ok::<_, OperatorError>(builder.with_layer(&see).build())
    };
    Ok((client(for_watches)?, client(for_requests)?))
}

fn config(settings: &Run, responder_port: u16) -> Config {
    Config {
        namespace: settings.namespace.clone(),
        watch_namespaces: settings.watch_namespaces.iter().filter(|name| !name.is_empty()).cloned().collect(),
        cluster_issuers: settings.cluster_issuers,
        identity: settings.identity.clone(),
        responder_port,
        advertise: settings.advertise_ip.clone(),
        responder_service: settings.responder_service.clone().filter(|name| !name.is_empty()),
        nameservers: settings.http01_nameservers.clone(),
        self_check_timeout: settings.http01_self_check_timeout,
        path_type: match settings.http01_path_type.as_str() {
            "ImplementationSpecific" => PathType::ImplementationSpecific,
            _ => PathType::Exact,
        },
        egress: Rules { deny: settings.egress_deny.clone(), allow: settings.egress_allow.clone() },
        backoff: Backoff { first: settings.backoff_first, longest: settings.backoff_longest },
        recursive_nameservers: settings.dns01_recursive_nameservers.clone(),
        propagation_check: match settings.dns01_recursive_nameservers_only {
            true => PropagationCheck::Recursive,
            false => PropagationCheck::Authoritative,
        },
        orders_per_account: settings.orders_per_account,
        duplicate_certificate_limit: settings.duplicate_certificate_limit,
        min_issuance_interval: settings.min_issuance_interval,
        annotations: annotations(settings),
    }
}

fn annotations(settings: &Run) -> AnnotationsConfig {
    let name = settings.default_issuer_name.clone().filter(|name| !name.is_empty());
    let kind = match settings.default_issuer_kind.as_str() {
        "ClusterIssuer" => IssuerKind::ClusterIssuer,
        _ => IssuerKind::Issuer,
    };
    AnnotationsConfig {
        enabled: settings.annotations,
        settings: AnnotationSettings {
            cert_manager: settings.cert_manager_annotations,
            default_issuer: name.map(|name| IssuerRef { name, kind, group: GROUP.to_owned() }),
        },
    }
}

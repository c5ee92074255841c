//! Starts the parts of the program, and shuts them down again.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access::{Access, front_proxy};
use crate::certificates::Shown;
use crate::certificates::given::{Given, GivenError};
use crate::certificates::keeper::{Keeper, Places};
use crate::certificates::kept::Lifetimes;
use crate::cli::Arguments;
use crate::error::ServiceError;
use crate::health::Vitals;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::secrets::Secrets;
use crate::server::{Duty, LIMITS, RESOURCE, Server, Solver, VERSION};
use crate::tls;
use crate::values::Values;
use certwright_egress::{Egress, Rules};
use certwright_runtime::leader::{Election, Leadership};
use certwright_runtime::liveness::Liveness;
use certwright_runtime::server::serve_tls;
use certwright_runtime::supervisor::{Ended, Supervisor};
use certwright_runtime::{api_server, shutdown};

/// Why the program could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no configuration for the API server.
    #[error("no configuration for the Kubernetes API; run certwright-dns in a pod, or set KUBECONFIG")]
    Configuration(#[source] kube::config::InferConfigError),
    /// The API client cannot be created.
    #[error("cannot create the client for the Kubernetes API")]
    Client(#[source] kube::Error),
    /// The signal handlers cannot be installed.
    #[error("cannot install the signal handlers")]
    Signals(#[source] io::Error),
    /// An address cannot be used.
    #[error("cannot listen on {address}; choose another with {flag}")]
    Listen {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The given certificate cannot be used.
    #[error("the certificate cannot be served")]
    Certificate(#[from] GivenError),
    /// The credentials of this process cannot be requested.
    #[error("the trusted roots cannot be read")]
    Identity(#[source] ServiceError),
    /// A task ended that must run as long as the process.
    #[error("certwright-dns cannot continue and must be restarted")]
    Ended(#[from] Ended),
}

/// Runs until SIGTERM or SIGINT, or until one of the tasks ends unexpectedly.
///
/// # Errors
/// [`RunError`], if it cannot start or cannot continue.
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    let (stop, signals) = shutdown::on_signal().map_err(RunError::Signals)?;
    let secure = bind(arguments.secure_addr, "--secure-addr").await?;
    let health = bind(arguments.metrics_addr, "--metrics-addr").await?;
    let config = kube::Config::infer().await.map_err(RunError::Configuration)?;
    let client = api_server::for_requests(config, |_| {}).map_err(RunError::Client)?;
    let (metrics, liveness) = (Metrics::default(), Liveness::default());
    info!(version = env!("CARGO_PKG_VERSION"), group = arguments.group_name, "starting certwright-dns");

    let mut leadership = Leadership::start(client.clone(), election(&arguments), Arc::new(metrics.clone()));
    let leads = leadership.watch();
    let (shows, mut shown) = watch::channel(None);
    let (serves, serving) = watch::channel(false);
    let (mut proxy, following) = front_proxy::follow(client.clone());
    let vitals = Vitals {
        leads: leads.clone(),
        shown: shown.clone(),
        serving,
        stop: stop.clone(),
        liveness: liveness.clone(),
        metrics: metrics.clone(),
    };
    let mut tasks = Supervisor::new(liveness.clone());
    tasks.spawn("signals", signals);
    tasks.spawn("heartbeat", liveness.beat());
    tasks.spawn("health server", vitals.serve(health));
    tasks.spawn("front proxy", following);
    tasks.spawn("certificate", certificate(&arguments, &client, leads.clone(), shows)?);

    let access = Access::new(client.clone(), proxy.clone(), &arguments.group_name, VERSION, RESOURCE);
    let rules = Rules { deny: arguments.egress_deny.clone(), allow: arguments.egress_allow.clone() };
    let solver = Arc::new(Solver {
        secrets: Secrets::new(client, arguments.secret_label_selector.clone()),
        egress: Egress::new(rules, |_| {}),
        identity: Identity::from_env().map_err(RunError::Identity)?,
        values: Values::default(),
        metrics,
        duty: Duty::new(leads, stop.clone()),
    });
    let server = Server::new(&arguments.group_name, Arc::new(access), solver.clone());
    let closing = CancellationToken::new();
    let work = async {
        let Some(Some(first)) = stop.run_until_cancelled(tls::first(&mut shown, &mut proxy)).await else {
            return;
        };
        let (config, renewing) = tls::follow(shown, proxy, first);
        serves.send_replace(true);
        let answer = move |request| server.answer(request);
        let serving = serve_tls(secure, config, answer, LIMITS, closing.clone());
        tokio::select! {
            () = serving => {}
            () = renewing => {}
        }
    };
    let leaving = async {
        stop.cancelled().await;
        // From now on, requests are answered with 503, so that the API server's clients try again.
        solver.duty.done().await;
    };
    let outcome = tokio::select! {
        // If several have ended, report the task that ended: it is the cause.
        biased;
        ended = tasks.ended() => Err(ended),
        ended = leadership.ended() => Err(ended),
        () = async { tokio::join!(work, async { leaving.await; closing.cancel(); }); } => Ok(()),
    };
    outcome?;
    leadership.release().await;
    tasks.end().await;
    info!("certwright-dns stopped");
    Ok(())
}

fn certificate(
    arguments: &Arguments,
    client: &Client,
    leads: watch::Receiver<bool>,
    shows: watch::Sender<Option<Arc<Shown>>>,
) -> Result<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>, GivenError> {
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert_file, &arguments.tls_private_key_file) {
        let given = Given { certificate: certificate.clone(), key: key.clone() };
        given.read()?;
        return Ok(Box::pin(given.keep(shows)));
    }
    let Arguments { service_name, namespace, group_name, .. } = arguments;
    let names = ["svc", "svc.cluster.local"].map(|domain| format!("{service_name}.{namespace}.{domain}"));
    let places = Places {
        namespace: namespace.clone(),
        secret: arguments.tls_secret_name.clone(),
        api_service: format!("{VERSION}.{group_name}"),
        names: names.into(),
        lifetimes: Lifetimes {
            authority: arguments.tls_ca_lifetime,
            certificate: arguments.tls_cert_lifetime,
        },
    };
    Ok(Box::pin(Keeper::new(client, places, leads).keep(shows)))
}

fn election(arguments: &Arguments) -> Election {
    Election {
        namespace: arguments.namespace.clone(),
        name: arguments.lease_name.clone(),
        annotations: BTreeMap::new(),
        identity: arguments.identity.clone(),
        lease_duration: arguments.lease_duration,
    }
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Listen { flag, address, source })
}

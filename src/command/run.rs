//! `certwright run`: the settings of the operator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{ArgAction, Args};
use tracing::error;

use super::{EgressArgs, Error, Exit};
use crate::operator;
use crate::runtime::logs::{self, LogFormat};
use crate::runtime::panics::{self, caught};
use crate::runtime::traces::{self, Traces};
use certwright_api::SettingDuration;
use certwright_solver::dns01::NameServer;

/// How long the end of the process waits until the last spans are sent.
const LAST_TRACES: Duration = Duration::from_secs(2);
const LAST_TRACES_OF_A_FAILURE: Duration = Duration::from_millis(300);

/// Settings of the operator. Each can be given in the environment as well.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The operator's own namespace: its Lease is here, and the Secrets of ClusterIssuers.
    #[arg(long, env = "CERTWRIGHT_NAMESPACE", default_value = "certwright")]
    pub namespace: String,
    /// Namespaces to watch, separated by commas; all, if none is given.
    #[arg(long, env = "CERTWRIGHT_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Whether to serve ClusterIssuers.
    #[arg(long, env = "CERTWRIGHT_CLUSTER_ISSUERS", default_value_t = true, action = ArgAction::Set)]
    pub cluster_issuers: bool,
    /// Name of this replica, as the Lease and events show it; the pod's name is a good one.
    #[arg(long, env = "CERTWRIGHT_IDENTITY", default_value = "certwright")]
    pub identity: String,
    /// Address and port to answer http-01 challenges on.
    #[arg(long, env = "CERTWRIGHT_RESPONDER_ADDR", default_value = "[::]:8089")]
    pub responder_addr: SocketAddr,
    /// Addresses at which other pods reach this replica, separated by commas; the pod's addresses.
    #[arg(long, env = "CERTWRIGHT_ADVERTISE_IP", value_delimiter = ',')]
    pub advertise_ip: Vec<IpAddr>,
    /// A Service in the operator's namespace that selects all replicas, so that each of them answers challenges.
    #[arg(long, env = "CERTWRIGHT_RESPONDER_SERVICE")]
    pub responder_service: Option<String>,
    /// Address and port of /healthz, /readyz, /version and /metrics.
    #[arg(long, env = "CERTWRIGHT_METRICS_ADDR", default_value = "[::]:8080")]
    pub metrics_addr: SocketAddr,
    /// Whether each Certificate has metrics of its own.
    #[arg(long, env = "CERTWRIGHT_PER_CERTIFICATE_METRICS", default_value_t = true, action = ArgAction::Set)]
    pub per_certificate_metrics: bool,
    /// Whether metrics are shown only to those to whom a role of the cluster gives `get` on the path /metrics, by their bearer token.
    #[arg(long, env = "CERTWRIGHT_METRICS_AUTH", default_value_t = false, action = ArgAction::Set)]
    pub metrics_auth: bool,
    /// Name servers, as ip:port separated by commas, that the http-01 self-check asks; those of the system by default.
    #[arg(long, env = "CERTWRIGHT_HTTP01_NAMESERVERS", value_delimiter = ',')]
    pub http01_nameservers: Vec<SocketAddr>,
    /// How long a failing http-01 self-check is waited for before the CA is asked all the same.
    #[arg(long, env = "CERTWRIGHT_HTTP01_SELF_CHECK_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub http01_self_check_timeout: Duration,
    /// pathType of temporary Ingresses: `Exact`, or `ImplementationSpecific` for ingress controllers that refuse the dot
    /// of `.well-known` in an exact path.
    #[arg(long, env = "CERTWRIGHT_HTTP01_PATH_TYPE", default_value = "Exact", value_parser = ["Exact", "ImplementationSpecific"])]
    pub http01_path_type: String,
    /// Name servers that dns-01 asks where a record belongs and whether it is there, separated by commas: `ip`, `ip:port`, or
    /// the URL of a server for DNS over HTTPS. Those of the system by default. A solver may name its own.
    #[arg(long, env = "CERTWRIGHT_DNS01_RECURSIVE_NAMESERVERS", value_delimiter = ',')]
    pub dns01_recursive_nameservers: Vec<NameServer>,
    /// Whether dns-01 asks these alone if a record is there, and not the authoritative servers of its zone; for where port
    /// 53 is blocked.
    #[arg(long, env = "CERTWRIGHT_DNS01_RECURSIVE_NAMESERVERS_ONLY", default_value_t = false, action = ArgAction::Set)]
    pub dns01_recursive_nameservers_only: bool,
    /// Where issuers and Certificates may have it connect to.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// Orders that one account may have under way at once; further Certificates wait for a place.
    #[arg(long, env = "CERTWRIGHT_ORDERS_PER_ACCOUNT", default_value_t = 50)]
    pub orders_per_account: usize,
    /// So many certificates with the same names a Certificate obtains within a week because its Secret was deleted or
    /// overwritten; then it waits. 0 for any number.
    #[arg(long, env = "CERTWRIGHT_DUPLICATE_CERTIFICATE_LIMIT", default_value_t = 4)]
    pub duplicate_certificate_limit: usize,
    /// A certificate that is due because of the time is ordered so long after the last one at the earliest, however briefly it
    /// lives.
    #[arg(long, env = "CERTWRIGHT_MIN_ISSUANCE_INTERVAL", default_value = "1m", value_parser = duration)]
    pub min_issuance_interval: Duration,
    /// Whether annotations on Ingresses and Gateways make Certificates; if not, these are not watched.
    #[arg(long, env = "CERTWRIGHT_ANNOTATIONS", default_value_t = true, action = ArgAction::Set)]
    pub annotations: bool,
    /// Whether cert-manager's annotations (cert-manager.io/issuer and others) on Ingresses and Gateways are read, too.
    #[arg(long, env = "CERTWRIGHT_CERT_MANAGER_ANNOTATIONS", default_value_t = false, action = ArgAction::Set)]
    pub cert_manager_annotations: bool,
    /// The issuer of Ingresses that say kubernetes.io/tls-acme: "true" and name none; without it, these are left alone.
    #[arg(long, env = "CERTWRIGHT_DEFAULT_ISSUER_NAME")]
    pub default_issuer_name: Option<String>,
    /// The kind of that issuer.
    #[arg(long, env = "CERTWRIGHT_DEFAULT_ISSUER_KIND", default_value = "Issuer", value_parser = ["Issuer", "ClusterIssuer"])]
    pub default_issuer_kind: String,
    /// The wait after the first failed issuance; it doubles with each further one.
    #[arg(long, env = "CERTWRIGHT_BACKOFF_FIRST", default_value = "1m", value_parser = duration)]
    pub backoff_first: Duration,
    /// The longest wait after a failed issuance.
    #[arg(long, env = "CERTWRIGHT_BACKOFF_LONGEST", default_value = "8h", value_parser = duration)]
    pub backoff_longest: Duration,
    /// Whether to reconcile only while holding the Lease. Turn it off only where a single replica can ever run.
    #[arg(long, env = "CERTWRIGHT_LEADER_ELECT", default_value_t = true, action = ArgAction::Set)]
    pub leader_elect: bool,
    /// Name of the Lease.
    #[arg(long, env = "CERTWRIGHT_LEASE_NAME", default_value = "certwright")]
    pub lease_name: String,
    /// After how much silence of the leader another replica takes over.
    #[arg(long, env = "CERTWRIGHT_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How to write logs.
    #[arg(long, env = "CERTWRIGHT_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What to log, such as `debug` or `certwright=debug`.
    #[arg(long, env = "CERTWRIGHT_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// URL of a collector that takes traces by OTLP over HTTP, such as http://collector:4318; for builds with the feature
    /// `otlp`.
    #[arg(long, env = "CERTWRIGHT_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

impl Run {
    /// Runs the operator until it is told to stop.
    ///
    /// # Errors
    /// [`Error`], if it cannot log. Whatever else stands in its way is in the log.
    pub async fn execute(self) -> Result<Exit, Error> {
        let traces = traces::begin(self.otlp_endpoint.as_deref())?;
        let layer = traces.as_ref().map(Traces::layer);
        logs::init(self.log_format, self.log_level.as_deref(), layer)?;
        panics::log();
        let outcome = caught(operator::operate(self)).await;
        let exit = match outcome {
            Ok(Ok(())) => Exit::Fine,
            Ok(Err(error)) => {
                error!(error = &error as &dyn std::error::Error, "certwright ends");
                Exit::Failed
            }
            Err(panic) => {
                error!(%panic, "certwright ends");
                Exit::Failed
            }
        };
        if let Some(traces) = traces {
            // Somebody waits for a process that has failed to be started again.
            traces.end(if exit == Exit::Fine { LAST_TRACES } else { LAST_TRACES_OF_A_FAILURE });
        }
        Ok(exit)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SettingDuration>().map(Duration::from).map_err(|error| error.to_string())
}

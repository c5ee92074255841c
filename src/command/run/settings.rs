//! The settings of the operator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::command::values::one_of;
use crate::command::{EgressArgs, causes};
use certwright_api::bounds::is_object_name;
use certwright_api::{GROUP, IssuerKind, SettingDuration};
use certwright_core::shard::ShardSelector;
use certwright_runtime::logs::{LogFilter, LogFormat, LogsError};
use certwright_solver::dns01::{NameServer, services};
use certwright_solver::http01::PathType;

/// Settings of the operator. Each can also be set by an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The operator's own namespace: its Lease is here.
    #[arg(long, env = "CERTWRIGHT_NAMESPACE", default_value = "certwright")]
    pub namespace: String,
    /// The namespace with the Secrets of ClusterIssuers. Defaults to the operator's own.
    #[arg(long, env = "CERTWRIGHT_CLUSTER_RESOURCE_NAMESPACE")]
    pub cluster_resource_namespace: Option<String>,
    /// Namespaces to watch, separated by commas; all by default.
    #[arg(long, env = "CERTWRIGHT_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Labels of the objects to serve, such as `certwright.dev/shard=a`, if several installations share the cluster; all by
    /// default.
    #[arg(long, env = "CERTWRIGHT_WATCH_LABEL_SELECTOR", value_name = "LABELS")]
    pub watch_label_selector: Option<ShardSelector>,
    /// Whether to serve ClusterIssuers.
    #[arg(long, env = "CERTWRIGHT_CLUSTER_ISSUERS", default_value_t = true, action = ArgAction::Set)]
    pub cluster_issuers: bool,
    /// Name of this replica, in the Lease and in events. It must differ between replicas: use the pod's name.
    #[arg(long, env = "CERTWRIGHT_IDENTITY", default_value = "certwright")]
    pub identity: String,
    /// Address and port to answer http-01 challenges on.
    #[arg(long, env = "CERTWRIGHT_RESPONDER_ADDR", default_value = "[::]:8089")]
    pub responder_addr: SocketAddr,
    /// Address and port to answer tls-alpn-01 challenges on.
    #[arg(long, env = "CERTWRIGHT_TLS_ALPN01_RESPONDER_ADDR", default_value = "[::]:8090")]
    pub tls_alpn01_responder_addr: SocketAddr,
    /// Addresses at which other pods can reach this replica, separated by commas: the pod's addresses.
    #[arg(long, env = "CERTWRIGHT_ADVERTISE_IP", value_delimiter = ',')]
    pub advertise_ip: Vec<IpAddr>,
    /// A Service in the operator's namespace that selects all replicas. Without it, only the leader receives challenge requests.
    #[arg(long, env = "CERTWRIGHT_RESPONDER_SERVICE")]
    pub responder_service: Option<String>,
    /// Address and port of /healthz, /readyz, /version and /metrics.
    #[arg(long, env = "CERTWRIGHT_METRICS_ADDR", default_value = "[::]:8080")]
    pub metrics_addr: SocketAddr,
    /// Whether to expose metrics for each Certificate.
    #[arg(long, env = "CERTWRIGHT_PER_CERTIFICATE_METRICS", default_value_t = true, action = ArgAction::Set)]
    pub per_certificate_metrics: bool,
    /// Whether /metrics requires a bearer token of somebody whose role allows `get` on the path /metrics.
    #[arg(long, env = "CERTWRIGHT_METRICS_AUTH", default_value_t = false, action = ArgAction::Set)]
    pub metrics_auth: bool,
    /// Name servers for the self-checks of http-01 and tls-alpn-01, as ip:port separated by commas; those of the system by default.
    #[arg(long, env = "CERTWRIGHT_HTTP01_NAMESERVERS", value_delimiter = ',')]
    pub http01_nameservers: Vec<SocketAddr>,
    /// How long to wait for a failing self-check of http-01 or tls-alpn-01 before telling the CA to validate anyway.
    #[arg(long, env = "CERTWRIGHT_HTTP01_SELF_CHECK_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub http01_self_check_timeout: Duration,
    /// pathType of temporary Ingresses: `Exact`, or `ImplementationSpecific` for ingress controllers that reject the dot
    /// of `.well-known` in an exact path.
    #[arg(long, env = "CERTWRIGHT_HTTP01_PATH_TYPE", default_value = "Exact", value_parser = one_of(&PathType::ALL, PathType::as_str))]
    pub http01_path_type: PathType,
    /// Name servers that dns-01 uses to find the place of a record and to check it, and that are queried for CAA records,
    /// separated by commas: `ip`, `ip:port`, or an https:// URL for DNS over HTTPS. Those of the system by default. A solver can
    /// set its own.
    #[arg(long, env = "CERTWRIGHT_DNS01_RECURSIVE_NAMESERVERS", value_delimiter = ',')]
    pub dns01_recursive_nameservers: Vec<NameServer>,
    /// Whether dns-01 checks records with these servers only, and not with the authoritative servers of the zone: for
    /// networks that block port 53.
    #[arg(long, env = "CERTWRIGHT_DNS01_RECURSIVE_NAMESERVERS_ONLY", default_value_t = false, action = ArgAction::Set)]
    pub dns01_recursive_nameservers_only: bool,
    /// The API group that `certwright-dns` serves, which changes records at Cloudflare, Route 53 and others.
    #[arg(long, env = "CERTWRIGHT_DNS_WEBHOOK_GROUP", default_value = services::DEFAULT_GROUP, value_parser = api_group)]
    pub dns_webhook_group: String,
    /// Whether DNS providers may use credentials of their own, such as the cloud identity of their pod, for ClusterIssuers that name
    /// no Secret.
    #[arg(long, env = "CERTWRIGHT_CLUSTER_ISSUER_AMBIENT_CREDENTIALS", default_value_t = true, action = ArgAction::Set)]
    pub cluster_issuer_ambient_credentials: bool,
    /// The same for Issuers: whoever can create one can then change records with these credentials.
    #[arg(long, env = "CERTWRIGHT_ISSUER_AMBIENT_CREDENTIALS", default_value_t = false, action = ArgAction::Set)]
    pub issuer_ambient_credentials: bool,
    /// Where the operator may connect to on behalf of issuers and Certificates.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// Maximum number of concurrent orders per account. Further Certificates wait.
    #[arg(long, env = "CERTWRIGHT_ORDERS_PER_ACCOUNT", default_value_t = 50)]
    pub orders_per_account: usize,
    /// Maximum number of certificates with the same names that a Certificate obtains within a week because its Secret was
    /// deleted or overwritten. Then it waits. 0 means no limit.
    #[arg(long, env = "CERTWRIGHT_DUPLICATE_CERTIFICATE_LIMIT", default_value_t = 4)]
    pub duplicate_certificate_limit: usize,
    /// Minimum time between the last order and a renewal, however short the certificate's lifetime is.
    #[arg(long, env = "CERTWRIGHT_MIN_ISSUANCE_INTERVAL", default_value = "1m", value_parser = duration)]
    pub min_issuance_interval: Duration,
    /// How often to fetch the revocation lists (CRLs) of the certificates in use, to find those that the CA has revoked. 0s means
    /// never.
    #[arg(long, env = "CERTWRIGHT_REVOCATION_CHECK_INTERVAL", default_value = "24h", value_parser = duration)]
    pub revocation_check_interval: Duration,
    /// Whether to connect to the names of Certificates that do not set `served.check`, to check that the certificate in the Secret is
    /// served there.
    #[arg(long, env = "CERTWRIGHT_CHECK_SERVED", default_value_t = false, action = ArgAction::Set)]
    pub check_served: bool,
    /// How often to check that. 0s means never, whatever Certificates set.
    #[arg(long, env = "CERTWRIGHT_SERVED_CHECK_INTERVAL", default_value = "6h", value_parser = duration)]
    pub served_check_interval: Duration,
    /// Ports, separated by commas, that Certificates may name for that.
    #[arg(long, env = "CERTWRIGHT_SERVED_PORTS", value_delimiter = ',', default_value = "443")]
    pub served_ports: Vec<u16>,
    /// Whether to create Certificates for annotations on Ingresses, Gateways and ListenerSets. If not, these are not watched.
    #[arg(long, env = "CERTWRIGHT_ANNOTATIONS", default_value_t = true, action = ArgAction::Set)]
    pub annotations: bool,
    /// Whether to read cert-manager's annotations (cert-manager.io/issuer and others) on Ingresses, Gateways and ListenerSets, too.
    #[arg(long, env = "CERTWRIGHT_CERT_MANAGER_ANNOTATIONS", default_value_t = false, action = ArgAction::Set)]
    pub cert_manager_annotations: bool,
    /// The issuer of Ingresses that request a Certificate by an annotation in --auto-certificate-annotations and name no issuer.
    /// Without it, these are ignored.
    #[arg(long, env = "CERTWRIGHT_DEFAULT_ISSUER_NAME")]
    pub default_issuer_name: Option<String>,
    /// The kind of that issuer.
    #[arg(long, env = "CERTWRIGHT_DEFAULT_ISSUER_KIND", default_value = "Issuer", value_parser = one_of(&[IssuerKind::Issuer, IssuerKind::ClusterIssuer], IssuerKind::as_str))]
    pub default_issuer_kind: IssuerKind,
    /// Annotations, separated by commas, that request a Certificate from the default issuer if they are true on an Ingress.
    #[arg(long, env = "CERTWRIGHT_AUTO_CERTIFICATE_ANNOTATIONS", value_delimiter = ',', default_value = "kubernetes.io/tls-acme", value_parser = annotation)]
    pub auto_certificate_annotations: Vec<String>,
    /// Annotations, separated by commas, that are copied from an Ingress, Gateway or ListenerSet to its Certificates.
    #[arg(long, env = "CERTWRIGHT_EXTRA_CERTIFICATE_ANNOTATIONS", value_delimiter = ',', value_parser = annotation)]
    pub extra_certificate_annotations: Vec<String>,
    /// Whether Gateways and ListenerSets may ask for the hostnames of their HTTPRoutes by the annotation
    /// certwright.dev/route-hostnames. If not, HTTPRoutes are not watched.
    #[arg(long, env = "CERTWRIGHT_GATEWAY_ROUTE_HOSTNAMES", default_value_t = false, action = ArgAction::Set)]
    pub gateway_route_hostnames: bool,
    /// Whether to serve CertificateSigningRequests of Kubernetes whose signer name is that of an issuer.
    #[arg(long, env = "CERTWRIGHT_CERTIFICATE_SIGNING_REQUESTS", default_value_t = false, action = ArgAction::Set)]
    pub certificate_signing_requests: bool,
    /// Whether the Secret of a Certificate that does not set `deletionPolicy` is deleted with the Certificate.
    #[arg(long, env = "CERTWRIGHT_ENABLE_CERTIFICATE_OWNER_REF", default_value_t = false, action = ArgAction::Set)]
    pub enable_certificate_owner_ref: bool,
    /// The wait after the first failed issuance. It doubles with each further failure.
    #[arg(long, env = "CERTWRIGHT_BACKOFF_FIRST", default_value = "1m", value_parser = duration)]
    pub backoff_first: Duration,
    /// The longest wait after a failed issuance.
    #[arg(long, env = "CERTWRIGHT_BACKOFF_LONGEST", default_value = "8h", value_parser = duration)]
    pub backoff_longest: Duration,
    /// Whether to reconcile only while holding the Lease. Turn it off only if there is never more than one replica.
    #[arg(long, env = "CERTWRIGHT_LEADER_ELECT", default_value_t = true, action = ArgAction::Set)]
    pub leader_elect: bool,
    /// Name of the Lease. By default, it is `certwright`, and with `--watch-label-selector`, `certwright-` and a hash of the
    /// selector.
    #[arg(long, env = "CERTWRIGHT_LEASE_NAME")]
    pub lease_name: Option<String>,
    /// How long the leader must be silent before another replica takes over.
    #[arg(long, env = "CERTWRIGHT_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// Log format.
    #[arg(long, env = "CERTWRIGHT_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What to log in addition to the default, such as `debug` or `certwright=debug`.
    #[arg(long, env = "CERTWRIGHT_LOG_LEVEL", value_parser = log_filter)]
    pub log_level: Option<LogFilter>,
    /// URL of a collector that accepts traces by OTLP over HTTP, such as http://collector:4318. Requires a build with the
    /// feature `otlp`.
    #[arg(long, env = "CERTWRIGHT_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SettingDuration>().map(Duration::from).map_err(|error| error.to_string())
}

fn api_group(text: &str) -> Result<String, String> {
    match is_object_name(text) {
        true => Ok(text.to_owned()),
        false => Err("not the name of an API group, such as dns.example.com".to_owned()),
    }
}

fn annotation(text: &str) -> Result<String, String> {
    let (prefix, name) = text.rsplit_once('/').unwrap_or(("example.com", text));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_valid = is_object_name(prefix) && (1..=63).contains(&name.len()) && name.bytes().all(is_name);
    match is_valid {
        true if text.contains(GROUP) => Err("it belongs to Certwright".to_owned()),
        true => Ok(text.to_owned()),
        false => Err("not the name of an annotation, such as example.com/team".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<LogFilter, String> {
    text.parse().map_err(|error: LogsError| causes(&error))
}

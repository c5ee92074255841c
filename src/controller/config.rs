//! The settings of the controllers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::served_checks::ServedConfig;
use certwright_api::{IssuerKind, PropagationCheck};
use certwright_core::annotated::AnnotationSettings;
use certwright_core::backoff::Backoff;
use certwright_core::shard::ShardSelector;
use certwright_egress::Rules;
use certwright_solver::dns01::NameServer;
use certwright_solver::http01::PathType;

/// Settings of the controllers.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's own namespace.
    pub namespace: String,
    /// The namespace with the Secrets of ClusterIssuers.
    pub cluster_resource_namespace: String,
    /// Namespaces to watch; empty for all.
    pub watch_namespaces: Vec<String>,
    /// The labels of the objects to serve.
    pub shard: ShardSelector,
    /// Whether ClusterIssuers are served.
    pub cluster_issuers: bool,
    /// Name of this replica, in events.
    pub identity: String,
    /// Ports on which every replica answers challenges.
    pub responder_ports: ResponderPorts,
    /// Addresses at which this replica answers.
    pub advertise: Vec<IpAddr>,
    /// Service in the operator's namespace whose endpoints are all replicas.
    pub responder_service: Option<String>,
    /// Name servers of the self-checks; empty for those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// How long a self-check may fail before the CA is told to validate anyway.
    pub self_check_timeout: Duration,
    /// Name servers for dns-01; empty for those of the system.
    pub recursive_nameservers: Vec<NameServer>,
    /// Which name servers must have a TXT record before the CA is told, unless the solver sets it.
    pub propagation_check: PropagationCheck,
    /// The API group that `certwright-dns` serves.
    pub dns_webhook_group: String,
    /// Which issuers' providers may use ambient credentials.
    pub ambient_credentials: AmbientCredentials,
    /// The allowed destinations of connections that tenants can cause.
    pub egress: Rules,
    /// How the paths of temporary Ingresses are matched.
    pub path_type: PathType,
    /// Whether Secrets are deleted with their Certificates, unless these say otherwise.
    pub certificates_own_secrets: bool,
    /// Waits after failures.
    pub backoff: Backoff,
    /// The maximum number of concurrent orders of an account.
    pub orders_per_account: usize,
    /// The maximum number of certificates for the same names that are ordered within a week because the Secret was lost; 0
    /// means no limit.
    pub duplicate_certificate_limit: usize,
    /// The minimum time between the last order and one that is due because of time.
    pub min_issuance_interval: Duration,
    /// How often revocation lists are fetched; never, if it is zero.
    pub revocation_check_interval: Duration,
    /// Checks of what servers show.
    pub served: ServedConfig,
    /// Certificates from annotations.
    pub annotations: AnnotationsConfig,
    /// Whether CertificateSigningRequests are served.
    pub certificate_signing_requests: bool,
}

/// Which issuers' providers may use credentials that no Secret of theirs has, such as those of a cloud's nodes.
#[derive(Clone, Copy, Debug)]
pub struct AmbientCredentials {
    /// ClusterIssuers.
    pub cluster_issuers: bool,
    /// Issuers.
    pub issuers: bool,
}

impl AmbientCredentials {
    /// Whether those of an issuer of this kind may.
    pub fn may_use(self, kind: IssuerKind) -> bool {
        match kind {
            IssuerKind::ClusterIssuer => self.cluster_issuers,
            IssuerKind::Issuer => self.issuers,
        }
    }
}

/// Ports on which challenges are answered.
#[derive(Clone, Copy, Debug)]
pub struct ResponderPorts {
    /// For http-01.
    pub http01: u16,
    /// For tls-alpn-01.
    pub tls_alpn01: u16,
}

/// Settings of Certificates that are created from annotations on Ingresses and Gateways.
#[derive(Clone, Debug, Default)]
pub struct AnnotationsConfig {
    /// Whether this is enabled: if not, neither Ingresses nor Gateways are watched.
    pub enabled: bool,
    /// Which annotations are read.
    pub settings: AnnotationSettings,
}

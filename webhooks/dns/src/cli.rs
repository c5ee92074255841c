//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use certwright_egress::Network;
use certwright_runtime::logs::{LogFilter, LogFormat, LogsError};
use clap::Parser;
use jiff::SignedDuration;

use crate::secrets::Labels;

/// DNS provider webhook for Certwright and cert-manager.
///
/// Each flag can also be set by an environment variable.
#[derive(Clone, Debug, Parser)]
#[command(name = "certwright-dns", version)]
pub struct Arguments {
    /// The API group to serve: `groupName` in issuers.
    #[arg(long, env = "CERTWRIGHT_DNS_GROUP_NAME", default_value = "dns.certwright.dev", value_parser = dns_name)]
    pub group_name: String,
    /// The namespace of this program: its Service, Lease and certificate are here.
    #[arg(long, env = "CERTWRIGHT_DNS_NAMESPACE", default_value = "certwright", value_parser = dns_name)]
    pub namespace: String,
    /// The Service that the APIService names.
    #[arg(long, env = "CERTWRIGHT_DNS_SERVICE_NAME", default_value = "certwright-dns", value_parser = dns_name)]
    pub service_name: String,
    /// Name of this replica, in the Lease. It must differ between replicas: use the pod's name.
    #[arg(long, env = "CERTWRIGHT_DNS_IDENTITY", default_value = "certwright-dns")]
    pub identity: String,
    /// Address and port for the Kubernetes API server.
    #[arg(long, env = "CERTWRIGHT_DNS_SECURE_ADDR", default_value = "[::]:8443")]
    pub secure_addr: SocketAddr,
    /// Address and port of /healthz, /readyz, /version and /metrics.
    #[arg(long, env = "CERTWRIGHT_DNS_METRICS_ADDR", default_value = "[::]:8080")]
    pub metrics_addr: SocketAddr,
    /// The Secret in which this program keeps its certificate and the authority that signs it.
    #[arg(long, env = "CERTWRIGHT_DNS_TLS_SECRET_NAME", default_value = "certwright-dns-tls", value_parser = dns_name)]
    pub tls_secret_name: String,
    /// A certificate chain in PEM to use instead. The APIService is left alone then. Read again when it changes.
    #[arg(long, env = "CERTWRIGHT_DNS_TLS_CERT_FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    #[arg(long, env = "CERTWRIGHT_DNS_TLS_PRIVATE_KEY_FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// How long an authority is valid. It is replaced after two thirds of that.
    #[arg(long, env = "CERTWRIGHT_DNS_TLS_CA_LIFETIME", default_value = "8760h", value_parser = duration)]
    pub tls_ca_lifetime: Duration,
    /// How long a certificate is valid. It is replaced after two thirds of that.
    #[arg(long, env = "CERTWRIGHT_DNS_TLS_CERT_LIFETIME", default_value = "720h", value_parser = duration)]
    pub tls_cert_lifetime: Duration,
    /// Labels that a Secret must have to be used, as key=value or key, separated by commas; none by default.
    #[arg(long, env = "CERTWRIGHT_DNS_SECRET_LABEL_SELECTOR", default_value = "")]
    pub secret_label_selector: Labels,
    /// Networks, such as 10.0.0.0/8, to which not to connect on behalf of an issuer, in addition to loopback, link-local, multicast
    /// and broadcast addresses and the metadata addresses of clouds. Separated by commas.
    #[arg(long, env = "CERTWRIGHT_DNS_EGRESS_DENY", value_delimiter = ',')]
    pub egress_deny: Vec<Network>,
    /// Networks to which such connections are allowed nevertheless. Separated by commas.
    #[arg(long, env = "CERTWRIGHT_DNS_EGRESS_ALLOW", value_delimiter = ',')]
    pub egress_allow: Vec<Network>,
    /// Name of the Lease.
    #[arg(long, env = "CERTWRIGHT_DNS_LEASE_NAME", default_value = "certwright-dns", value_parser = dns_name)]
    pub lease_name: String,
    /// How long the replica that leads must be silent before another one takes over.
    #[arg(long, env = "CERTWRIGHT_DNS_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// Log format.
    #[arg(long, env = "CERTWRIGHT_DNS_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// What to log in addition to the default, such as `debug`.
    #[arg(long, env = "CERTWRIGHT_DNS_LOG_LEVEL", value_parser = log_filter)]
    pub log_level: Option<LogFilter>,
}

/// The shortest duration that makes sense of those above.
const SHORTEST: Duration = Duration::from_secs(3);

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let parsed = Duration::try_from(parsed).map_err(|error| error.to_string())?;
    if parsed < SHORTEST {
        return Err(format!("must be at least {} s", SHORTEST.as_secs()));
    }
    Ok(parsed)
}

fn dns_name(text: &str) -> Result<String, String> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    match (1..=253).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("must have lower case letters, digits, dashes and dots only".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<LogFilter, String> {
    text.parse().map_err(|error: LogsError| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_and_names_are_checked() {
        let parsed = |flag: &str| Arguments::try_parse_from(["certwright-dns", flag]);
        assert_eq!(parsed("--tls-ca-lifetime=1h").unwrap().tls_ca_lifetime, Duration::from_secs(3600));
        for wrong in
            ["--lease-duration=-5s", "--lease-duration=1ms", "--group-name=a/b", "--tls-cert-file=/a"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}

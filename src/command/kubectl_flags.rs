//! The flags of kubectl that say how to reach the API server, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions};
use secrecy::SecretString;

use super::values::length;

/// How to reach the API server, and as whom. The names and meanings are those of kubectl.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct KubectlFlags {
    /// The cluster of the kubeconfig; by default, that of the context.
    #[arg(long, hide_short_help = true)]
    cluster: Option<String>,
    /// The user of the kubeconfig; by default, that of the context.
    #[arg(long, hide_short_help = true)]
    user: Option<String>,
    /// The URL of the API server.
    #[arg(short, long, value_name = "URL", hide_short_help = true)]
    server: Option<Uri>,
    /// The bearer token to authenticate with.
    #[arg(long, hide_short_help = true)]
    token: Option<SecretString>,
    /// A file with the certificates of the CAs that may have signed that of the API server.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    certificate_authority: Option<PathBuf>,
    /// A file with the client certificate to authenticate with.
    #[arg(long, value_name = "FILE", requires = "client_key", hide_short_help = true)]
    client_certificate: Option<String>,
    /// A file with its private key.
    #[arg(long, value_name = "FILE", requires = "client_certificate", hide_short_help = true)]
    client_key: Option<String>,
    /// The name that the certificate of the API server must have; by default, the host of its URL.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    tls_server_name: Option<String>,
    /// Do not verify the certificate of the API server. Anybody in between can read and change everything.
    #[arg(long, conflicts_with = "certificate_authority", hide_short_help = true)]
    insecure_skip_tls_verify: bool,
    /// The user to impersonate.
    #[arg(long = "as", value_name = "USER", hide_short_help = true)]
    impersonate: Option<String>,
    /// A group to impersonate. Can be repeated.
    #[arg(long = "as-group", value_name = "GROUP", requires = "impersonate", hide_short_help = true)]
    impersonate_groups: Vec<String>,
    /// The UID to impersonate.
    #[arg(long = "as-uid", value_name = "UID", requires = "impersonate", hide_short_help = true)]
    impersonate_uid: Option<String>,
    /// How long the API server may take to answer a request, such as `10s`. `0` sets no limit.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = request_timeout, hide_short_help = true)]
    request_timeout: Limit,
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, Default)]
struct Limit(Option<Duration>);

impl KubectlFlags {
    /// What to choose from a kubeconfig.
    pub fn chosen(&self, context: Option<&String>) -> KubeConfigOptions {
        KubeConfigOptions {
            context: context.cloned(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        }
    }

    /// Whether anything is to be chosen from a kubeconfig.
    pub fn choose(&self) -> bool {
        self.cluster.is_some() || self.user.is_some()
    }

    /// A configuration without a kubeconfig, if these flags say where the API server is.
    pub fn alone(&self) -> Option<Config> {
        self.server.clone().map(Config::new)
    }

    /// Replaces what these flags say.
    pub fn apply(&self, config: &mut Config) {
        if let Some(server) = &self.server {
            config.cluster_url = server.clone();
        }
        if let Some(file) = &self.certificate_authority {
            (config.root_cert, config.root_cert_file) = (None, Some(file.clone()));
        }
        if self.tls_server_name.is_some() {
            config.tls_server_name = self.tls_server_name.clone();
        }
        config.accept_invalid_certs |= self.insecure_skip_tls_verify;
        let user = &mut config.auth_info;
        if self.token.is_some() || self.client_certificate.is_some() {
            let (client_certificate, client_key) = (self.client_certificate.clone(), self.client_key.clone());
            *user =
                AuthInfo { token: self.token.clone(), client_certificate, client_key, ..impersonation(user) };
        }
        if self.impersonate.is_some() {
            user.impersonate = self.impersonate.clone();
            user.impersonate_uid = self.impersonate_uid.clone();
            user.impersonate_groups =
                Some(self.impersonate_groups.clone()).filter(|groups| !groups.is_empty());
        }
    }

    /// How long the API server may take to answer a request; `None` for no limit.
    pub fn request_timeout(&self) -> Option<Duration> {
        self.request_timeout.0
    }
}

/// What a user of a kubeconfig says about whom to impersonate, without what it says about who the user is.
fn impersonation(user: &AuthInfo) -> AuthInfo {
    AuthInfo {
        impersonate: user.impersonate.clone(),
        impersonate_uid: user.impersonate_uid.clone(),
        impersonate_groups: user.impersonate_groups.clone(),
        impersonate_user_extra: user.impersonate_user_extra.clone(),
        ..AuthInfo::default()
    }
}

/// As kubectl reads it: a number without a unit is seconds, and 0 is no limit.
fn request_timeout(text: &str) -> Result<Limit, String> {
    let limit = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from(length(text)?).map_err(|error| error.to_string())?,
    };
    Ok(Limit(Some(limit).filter(|limit| !limit.is_zero())))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        flags: KubectlFlags,
    }

    fn parsed(arguments: &[&str]) -> Result<KubectlFlags, clap::Error> {
        Given::try_parse_from([&["test"], arguments].concat()).map(|given| given.flags)
    }

    #[test]
    fn flags_replace_what_the_kubeconfig_says_and_nothing_else() {
        let mut config = Config::new("https://a.example".parse().unwrap());
        config.auth_info.token_file = Some("token".to_owned());
        let unchanged = config.clone();
        parsed(&[]).unwrap().apply(&mut config);
        assert_eq!(config.cluster_url, unchanged.cluster_url);
        assert_eq!(config.auth_info.token_file, unchanged.auth_info.token_file);
        let flags = parsed(&[
            "--server=https://b.example:6443",
            "--token=t",
            "--as=alice",
            "--as-group=a",
            "--as-group=b",
            "--tls-server-name=c.example",
        ]);
        flags.unwrap().apply(&mut config);
        assert_eq!(config.cluster_url, "https://b.example:6443");
        assert_eq!(config.auth_info.token_file, None);
        assert!(config.auth_info.token.is_some() && !config.accept_invalid_certs);
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("alice"));
        assert_eq!(config.auth_info.impersonate_groups, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(config.tls_server_name.as_deref(), Some("c.example"));
    }

    #[test]
    fn a_token_and_a_client_certificate_are_both_used() {
        let mut config = Config::new("https://a.example".parse().unwrap());
        let flags = parsed(&["--token=t", "--client-certificate=c.pem", "--client-key=k.pem"]);
        flags.unwrap().apply(&mut config);
        assert!(config.auth_info.token.is_some());
        assert_eq!(config.auth_info.client_certificate.as_deref(), Some("c.pem"));
    }

    #[test]
    fn a_timeout_is_given_as_for_kubectl() {
        let limit = |text| parsed(&["--request-timeout", text]).map(|flags| flags.request_timeout());
        assert_eq!(limit("90").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(limit("2m").unwrap(), Some(Duration::from_secs(120)));
        assert_eq!((limit("0").unwrap(), limit("0s").unwrap()), (None, None));
        assert!(limit("soon").is_err());
        assert_eq!(parsed(&[]).unwrap().request_timeout(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_group_needs_a_user_and_the_token_is_not_shown() {
        assert!(parsed(&["--as-group=a"]).is_err());
        let flags = parsed(&["--token=sesame"]).unwrap();
        assert!(!format!("{flags:?}").contains("sesame"));
    }
}

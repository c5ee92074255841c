//! `certwright check served`: do servers show the certificates that they should, as seen from this machine?

mod controllers;
mod look;

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use kube::Api;

use self::controllers::Entrances;
use self::look::{Target, Wanted, findings};
use super::{Finding, Report};
use crate::command::output::{plain, shown};
use crate::command::{Cluster, ClusterArgs, Error, Exit};
use certwright_api::{Certificate, CertificateStatus, ServedSpec};
use certwright_core::served::DEFAULT_PORT;
use certwright_core::spec::{is_dns_name, names};
use certwright_egress::Egress;
use certwright_pki::Leaf;
use certwright_solver::dns01::NameServer;
use certwright_solver::http01::SelfCheck;

/// The maximum number of names in a Secret that are looked at. CAs issue for about a hundred.
const MOST_NAMES: usize = 100;

/// What to look at.
#[derive(Args, Clone, Debug)]
pub struct CheckServed {
    /// Certificates, or names such as `www.example.com` and `mail.example.com:465`.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Port to connect to, if a Certificate or name does not have one; 443 by default.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// IP addresses to connect to, separated by commas, instead of those that DNS has.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub addresses: Vec<IpAddr>,
    /// Name servers to use, as `ip` or `ip:port` separated by commas; those of this machine by default.
    #[arg(long, value_delimiter = ',')]
    pub nameservers: Vec<NameServer>,
    /// Which cluster. Names need none.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl CheckServed {
    /// Looks at each name, and prints what is served there. The exit code is 3 if something else is served than should be.
    ///
    /// # Errors
    /// [`Error`], if a Certificate cannot be read.
    pub(super) async fn execute(self) -> Result<Exit, Error> {
        let servers: Vec<SocketAddr> =
            self.nameservers.iter().filter_map(|server| server.to_string().parse().ok()).collect();
        let mut report = Report::default();
        let self_check = match SelfCheck::new(servers, Egress::unrestricted()) {
            Ok(self_check) => self_check,
            Err(error) => {
                report.add(vec![super::names::unusable(&error.to_string())])?;
                return report.end();
            }
        };
        let only_hosts = self.names.iter().all(|name| may_be_host(name));
        let cluster = match self.cluster.connect().await {
            Ok(cluster) => Some(cluster),
            Err(_) if only_hosts => None,
            Err(error) => return Err(error),
        };
        for name in &self.names {
            let (targets, entrances) = match certificate(name, cluster.as_ref()).await? {
                Some((certificate, entrances)) => {
                    report.title(&format!("Certificate {name}"))?;
                    (self.targets(&certificate), entrances)
                }
                None => {
                    let target = self.target(name)?;
                    report.title(name)?;
                    (Ok(vec![target]), Entrances::Unknown)
                }
            };
            report.add(match targets {
                Ok(targets) => findings(&targets, &self_check, &entrances).await,
                Err(finding) => vec![finding],
            })?;
        }
        report.end()
    }

    fn targets(&self, certificate: &Certificate) -> Result<Vec<Target>, Finding> {
        let status = certificate.status.clone().unwrap_or_default();
        let CertificateStatus { serial_number: Some(serial_number), not_before: Some(not_before), .. } =
            status
        else {
            let advice = "See `certwright status` for what it waits for.";
            return Err(Finding::fail("There is no certificate yet", advice));
        };
        let secret = certificate.spec.secret_name.clone();
        let wanted = Wanted::Stored { secret, serial_number, not_before: not_before.0 };
        let mut served = certificate.spec.served.clone().unwrap_or_default();
        served.port = served.port.or(self.port.map(i32::from));
        let mut targets = targets(names::requested(&certificate.spec), served, &wanted)?;
        if !self.addresses.is_empty() {
            targets.iter_mut().for_each(|target| target.addresses.clone_from(&self.addresses));
        }
        Ok(targets)
    }

    /// A name with or without a port.
    fn target(&self, text: &str) -> Result<Target, Error> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        let (name, port) = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>(), text.rsplit_once(':')) {
            (Ok(address), ..) => (address.to_string(), port),
            (_, Ok(at), _) => (at.ip().to_string(), at.port()),
            (.., Some((name, port)))
                if is_dns_name(name)
                    && let Ok(port) = port.parse() =>
            {
                (name.to_owned(), port)
            }
            _ if is_dns_name(text) => (text.to_owned(), port),
            _ => {
                let words =
                    format!("{} is neither a Certificate nor a name with or without a port", plain(text));
                return Err(Error::Usage(words));
            }
        };
        let name = name.to_ascii_lowercase();
        Ok(Target { name, port, addresses: self.addresses.clone(), wanted: Wanted::Valid })
    }
}

/// Looks at what is served under the names of the certificate in the Secret `secret`, which may belong to a Certificate.
pub(in crate::command) async fn of_secret(
    cluster: &Cluster,
    secret: &str,
    leaf: &Leaf,
    certificate: Option<&Certificate>,
) -> Vec<Finding> {
    let self_check = match SelfCheck::new(Vec::new(), Egress::unrestricted()) {
        Ok(self_check) => self_check,
        Err(error) => return vec![super::names::unusable(&error.to_string())],
    };
    let mut names: Vec<String> =
        leaf.dns_names.iter().cloned().chain(leaf.ip_addresses.iter().map(ToString::to_string)).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let served = certificate.and_then(|certificate| certificate.spec.served.clone()).unwrap_or_default();
    let Leaf { serial_number, not_before, .. } = leaf.clone();
    let wanted = Wanted::Stored { secret: secret.to_owned(), serial_number, not_before };
    let targets = match targets(names, served, &wanted) {
        Ok(targets) => targets,
        Err(finding) => return vec![finding],
    };
    let entrances = Entrances::of(cluster, &cluster.namespace, secret).await;
    let mut findings = findings(&targets, &self_check, &entrances).await;
    if more > 0 {
        let advice = "Give them to `certwright check served`.";
        findings.push(Finding::warn(format!("{more} more names are not checked"), advice));
    }
    findings
}

/// Where to look for a certificate with these names.
fn targets(names: Vec<String>, served: ServedSpec, wanted: &Wanted) -> Result<Vec<Target>, Finding> {
    let names = served.server_name.map_or(names, |name| vec![name]);
    let names: Vec<String> = names.into_iter().filter(|name| !name.starts_with("*.")).collect();
    if names.is_empty() {
        let advice = "Set served.serverName to a name that one of them matches, or give such a name to `certwright check served`.";
        return Err(Finding::warn(
            "The certificate has only wildcards, which no server can be asked for",
            advice,
        ));
    }
    let port = served.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT);
    let addresses: Vec<IpAddr> = served.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let target = |name| Target { name, port, addresses: addresses.clone(), wanted: wanted.clone() };
    Ok(names.into_iter().map(target).collect())
}

fn may_be_host(name: &str) -> bool {
    name.contains(['.', ':'])
}

/// The Certificate with this name, and what leads to its Secret. `None` if the name can be that of a host, and there is no such
/// Certificate.
async fn certificate(
    name: &str,
    cluster: Option<&Cluster>,
) -> Result<Option<(Certificate, Entrances)>, Error> {
    let Some(cluster) = cluster.filter(|_| !name.contains(':')) else { return Ok(None) };
    let api = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let called = format!("Certificate {}/{name}", cluster.namespace);
    match cluster.one::<Certificate>(&api, name, &called).await {
        Ok(certificate) => {
            let certificate = shown(&certificate)?;
            let secret = &certificate.spec.secret_name;
            let entrances = Entrances::of(cluster, &cluster.namespace, secret).await;
            Ok(Some((certificate, entrances)))
        }
        Err(_) if may_be_host(name) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        let command = CheckServed {
            names: Vec::new(),
            port: None,
            addresses: Vec::new(),
            nameservers: Vec::new(),
            cluster: ClusterArgs::default(),
        };
        let target = |text: &str| command.target(text).map(|target| (target.name, target.port)).ok();
        for (text, name, port) in [
            ("WWW.example.com", "www.example.com", 443),
            ("mail.example.com:465", "mail.example.com", 465),
            ("192.0.2.1", "192.0.2.1", 443),
            ("192.0.2.1:8443", "192.0.2.1", 8443),
            ("2001:db8::1", "2001:db8::1", 443),
            ("[2001:db8::1]:8443", "2001:db8::1", 8443),
        ] {
            assert_eq!(target(text), Some((name.to_owned(), port)), "{text}");
        }
        for text in ["a b", "a.test:0x1", "a.test:70000", "", "a.test:", "https://a.test"] {
            assert_eq!(target(text), None, "{text}");
        }
    }

    #[test]
    fn the_advice_is_about_what_leads_to_the_secret() {
        let of = |found: &[(&str, Option<&str>)]| {
            let found = found.iter().map(|(name, class)| ((*name).to_owned(), class.map(str::to_owned)));
            Entrances::Ingresses {
                secret: "web-tls".to_owned(),
                namespace: "shop".to_owned(),
                found: found.collect(),
            }
        };
        let none = of(&[]).advice(Some("Traefik"));
        assert!(none.starts_with("No Ingress in namespace shop names Secret web-tls in spec.tls."), "{none}");
        let default = of(&[("web", Some("traefik"))]).advice(Some("Traefik"));
        assert!(default.contains("Ingress web of class traefik names Secret web-tls"), "{default}");
        assert!(default.contains("Check that its hosts include the name, that Traefik serves"), "{default}");
        let old = of(&[("web", None)]).advice(None);
        assert!(
            old.starts_with("Ingress web names Secret web-tls in spec.tls. Its controller reads"),
            "{old}"
        );
        let alb = of(&[("web", Some("alb"))]).advice(None);
        assert!(alb.contains("does not read Secrets"), "{alb}");
    }
}

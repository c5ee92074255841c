//! `certwright check served`: do servers show the certificates that they should, as seen from this machine?

mod controllers;

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::Api;

use self::controllers::Entrances;
use super::{Finding, Report};
use crate::command::output::{away, plain, shown};
use crate::command::{Cluster, ClusterArgs, Error, Exit};
use certwright_api::{Certificate, CertificateStatus};
use certwright_core::served::{DEFAULT_PORT, Relation, default_of};
use certwright_core::spec::{is_dns_name, names};
use certwright_egress::{Egress, tls};
use certwright_pki::Leaf;
use certwright_runtime::clock;
use certwright_solver::dns01::NameServer;
use certwright_solver::http01::SelfCheck;
use certwright_solver::served::LookFailure;

/// The maximum number of concurrent looks.
const AT_ONCE: usize = 8;
/// A certificate that expires within this time should have been replaced.
const SOON: SignedDuration = SignedDuration::from_hours(48);

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

/// What a server has to show.
#[derive(Clone, Debug)]
enum Wanted {
    /// The certificate that this Certificate's Secret has.
    Stored { secret: String, serial_number: String, not_before: Timestamp },
    /// Any valid one for the name.
    Valid,
}

struct Target {
    name: String,
    port: u16,
    addresses: Vec<IpAddr>,
    wanted: Wanted,
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
        let served = certificate.spec.served.clone().unwrap_or_default();
        let names = served.server_name.map_or_else(|| names::requested(&certificate.spec), |name| vec![name]);
        let names: Vec<String> = names.into_iter().filter(|name| !name.starts_with("*.")).collect();
        if names.is_empty() {
            let advice = "Set served.serverName to a name that one of them matches, or give such a name to this command.";
            return Err(Finding::warn(
                "The certificate has only wildcards, which no server can be asked for",
                advice,
            ));
        }
        let port =
            served.port.and_then(|port| u16::try_from(port).ok()).or(self.port).unwrap_or(DEFAULT_PORT);
        let addresses = match self.addresses.as_slice() {
            [] => served.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
            some => some.to_vec(),
        };
        let secret = certificate.spec.secret_name.clone();
        let wanted = Wanted::Stored { secret, serial_number, not_before: not_before.0 };
        let target = |name| Target { name, port, addresses: addresses.clone(), wanted: wanted.clone() };
        Ok(names.into_iter().map(target).collect())
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
            let entrances = Entrances::of(cluster, &certificate).await;
            Ok(Some((certificate, entrances)))
        }
        Err(_) if may_be_host(name) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn findings(targets: &[Target], self_check: &SelfCheck, entrances: &Entrances) -> Vec<Finding> {
    let looks = targets.iter().map(|target| look(target, self_check, entrances));
    stream::iter(looks).buffered(AT_ONCE).collect::<Vec<_>>().await.concat()
}

async fn look(target: &Target, self_check: &SelfCheck, entrances: &Entrances) -> Vec<Finding> {
    let Target { name, port, addresses, wanted } = target;
    let looks = match self_check.look(name, *port, addresses).await {
        Ok(looks) => looks,
        Err(failure) => {
            let advice = "The result from this machine may differ from that of others.";
            return vec![Finding::fail(format!("{name}: {failure}"), advice)];
        }
    };
    let mut findings = Vec::new();
    for (at, shown) in looks {
        let leaf = match shown {
            Ok(chain) => chain.first().and_then(|der| Leaf::from_der(der).ok()),
            Err(failure) => {
                findings.push(unreached(name, at, &failure));
                continue;
            }
        };
        let Some(leaf) = leaf else {
            let words = format!("{name}: {at} serves a certificate that cannot be read");
            findings.push(Finding::fail(words, entrances.advice(None)));
            continue;
        };
        let finding = judge(target, at, &leaf, entrances, clock::now());
        let is_right = finding.level != super::Level::Fail;
        findings.push(finding);
        if is_right && let Some(finding) = verified(name, at, wanted, self_check).await {
            findings.push(finding);
        }
    }
    findings
}

fn unreached(name: &str, at: SocketAddr, failure: &LookFailure) -> Finding {
    let advice = match failure {
        LookFailure::NoHandshake(_) => {
            "Check what listens there: it must speak TLS from the first byte, without STARTTLS and the PROXY protocol, and know \
             the name."
        }
        _ => {
            "Check that something listens there, and firewalls. The result from this machine may differ from that of others."
        }
    };
    Finding::fail(format!("{name}: {at} {failure}"), advice)
}

/// Compares what a server shows with what it should.
fn judge(target: &Target, at: SocketAddr, leaf: &Leaf, entrances: &Entrances, now: Timestamp) -> Finding {
    let Target { name, wanted, .. } = target;
    let described = described(leaf, now);
    if let Some(controller) = default_of(leaf) {
        let words = format!("{name}: {at} serves the default certificate of {controller} ({described})");
        return Finding::fail(words, entrances.advice(Some(controller)));
    }
    if !leaf.is_for(name) {
        let words = format!("{name}: {at} serves a certificate for other names ({described})");
        return Finding::fail(words, entrances.advice(None));
    }
    if let Wanted::Stored { secret, serial_number, not_before } = wanted {
        let words = match Relation::of(leaf, name, serial_number, *not_before) {
            Relation::Same => {
                let words = format!("{name}: {at} serves the certificate in Secret {secret} ({described})");
                return in_time(words, leaf, now);
            }
            Relation::Older => format!("{name}: {at} serves an older certificate ({described})"),
            Relation::Other | Relation::OtherNames => {
                format!("{name}: {at} serves another certificate for this name ({described})")
            }
        };
        return Finding::fail(words, entrances.advice(None));
    }
    in_time(format!("{name}: {at} serves a certificate for this name ({described})"), leaf, now)
}

fn in_time(words: String, leaf: &Leaf, now: Timestamp) -> Finding {
    if let Err(error) = leaf.check_validity(now) {
        return Finding::fail(format!("{words}: {error}"), "Renew it.");
    }
    match leaf.not_after.duration_since(now) < SOON {
        true => Finding::warn(words, "It expires soon: see whether it is renewed, with `certwright status`."),
        false => Finding::ok(words),
    }
}

fn described(leaf: &Leaf, now: Timestamp) -> String {
    let name = leaf
        .common_name
        .as_ref()
        .or(leaf.dns_names.first())
        .map(|name| format!("{name}, "))
        .unwrap_or_default();
    let Leaf { serial_number, issuer_name, not_before, not_after, .. } = leaf;
    format!(
        "{name}serial number {serial_number}, issued by {issuer_name} at {not_before}, expires {}",
        away(*not_after, now)
    )
}

/// What a client with the roots of this machine thinks of the chain.
async fn verified(name: &str, at: SocketAddr, wanted: &Wanted, self_check: &SelfCheck) -> Option<Finding> {
    let config = tls::system_roots().ok()?;
    let Err(failure) = self_check.verify(name, at, config).await else {
        return Some(Finding::ok(format!("{name}: this machine trusts it, with the chain that {at} serves")));
    };
    let advice = match wanted {
        Wanted::Stored { .. } => {
            "With a CA for tests or a private one, this is as it should be. Otherwise the server must serve all of tls.crt, not \
             only its first certificate."
        }
        Wanted::Valid => "The server must serve the whole chain, and this machine must trust its root.",
    };
    Some(Finding::warn(format!("{name}: this machine does not trust what {at} serves: {failure}"), advice))
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

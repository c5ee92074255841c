//! `certwright renew`: asks the operator to renew Certificates now.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::confirm::{Act, Confirm};
use super::failures::Failures;
use super::kind::Kind;
use super::output::tell;
use super::wait::{Awaited, Wait, WaitStatus};
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use certwright_api::{ANNOTATION_RENEW, Certificate};
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// Which Certificates.
#[derive(Args, Clone, Debug)]
pub struct Renew {
    /// Names of Certificates.
    #[arg(
        value_name = "NAME",
        required_unless_present_any = ["all", "selector", "all_namespaces"],
        conflicts_with_all = ["all", "selector", "all_namespaces"]
    )]
    pub certificates: Vec<String>,
    /// All Certificates of the namespace.
    #[arg(long, conflicts_with = "selector")]
    pub all: bool,
    /// Certificates with these labels, such as `app=web`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// The Certificates of all namespaces, all of them or those that --selector selects. Asks for confirmation.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Whether it is confirmed.
    #[command(flatten)]
    pub confirm: Confirm,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl Renew {
    /// Requests the renewal by the annotation that a user would set.
    ///
    /// # Errors
    /// [`Error`], if the request or, with `--wait`, the wait fails.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let of = self.chosen(&cluster).await?;
        if self.all_namespaces {
            let act = Act {
                name: &format!("a renewal of {}", in_all(&of)),
                consequence: "counts toward the rate limits of CAs",
                effect: "renewed",
            };
            self.confirm.require(&act, &format!("Renew {}?", in_all(&of)))?;
        }
        ask_certificates(&cluster, of, "renewal", &self.wait).await
    }

    async fn chosen(&self, cluster: &Cluster) -> Result<Vec<Awaited>, Error> {
        if !self.certificates.is_empty() {
            return self.certificates.iter().map(|name| Ok(named(name)?.into())).collect();
        }
        let mut parameters = ListParams::default();
        if let Some(selector) = &self.selector {
            parameters = parameters.labels(selector);
        }
        let namespace = Some(cluster.namespace.as_str()).filter(|_| !self.all_namespaces);
        let found = cluster.certificates(namespace, &parameters).await?;
        if found.is_empty() {
            let place = namespace.map_or("any namespace".to_owned(), |name| format!("namespace {name}"));
            return Err(Error::NotFound(format!("a matching Certificate in {place}")));
        }
        let of = |found: &Certificate| Awaited {
            namespace: found.namespace().filter(|_| self.all_namespaces),
            name: found.name_any(),
        };
        Ok(found.iter().map(of).collect())
    }
}

/// The name of a Certificate, which may be written like that of any object.
fn named(text: &str) -> Result<String, Error> {
    match text.split_once('/') {
        None => Ok(text.to_owned()),
        Some((kind, name)) if Kind::parse(kind) == Some(Kind::Certificate) => Ok(name.to_owned()),
        Some(_) => Err(Error::Usage(format!("{text:?} is not a Certificate; only Certificates are renewed"))),
    }
}

/// How many Certificates these are, and in how many namespaces.
fn in_all(of: &[Awaited]) -> String {
    let namespaces: BTreeSet<_> = of.iter().map(|one| &one.namespace).collect();
    format!("{} in {}", counted(of.len(), "Certificate"), counted(namespaces.len(), "namespace"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Requests new certificates for Certificates, which are in the selected namespace unless they have one. With `--wait`, waits
/// until they are issued.
///
/// # Errors
/// [`Error`], if a request or the wait fails. All Certificates that exist are asked for, as long as the API server answers.
pub async fn ask_certificates(
    cluster: &Cluster,
    of: Vec<Awaited>,
    what: &str,
    wait: &Wait,
) -> Result<Exit, Error> {
    let value = clock::now().to_string();
    let everywhere = of.iter().any(|one| one.namespace.is_some());
    let (mut asked, mut failures) = (BTreeMap::new(), Failures::default());
    let mut rest = of.into_iter();
    while let Some(one) = rest.next() {
        let namespace = one.namespace.as_ref().unwrap_or(&cluster.namespace);
        let called = outlook::named("Certificate", Some(namespace), &one.name);
        let api = Api::<Reading<Certificate>>::namespaced(cluster.client.clone(), namespace);
        match cluster.annotate(&api, &one.name, &called, (ANNOTATION_RENEW, Some(&value))).await {
            Err(error) => {
                failures.add(error)?;
                // Each of the others would take until --request-timeout as well.
                if rest.len() > 0 && cluster.is_away().await {
                    let left = counted(rest.len(), "Certificate");
                    tell(&format!("certwright: the API server does not answer; not requested for {left}\n"))?;
                    break;
                }
            }
            Ok(()) => {
                let place = one.namespace.as_ref().map_or(String::new(), |name| format!(" in {name}"));
                print(&format!("certificate.certwright.dev/{}{place}: {what} requested\n", one.name))?;
                asked.insert(one, value.clone());
            }
        }
    }
    if everywhere {
        tell(&format!("Requested: {}.\n", in_all(&asked.keys().cloned().collect::<Vec<_>>())))?;
    }
    let mut exit = Exit::Fine;
    if wait.wait && !asked.is_empty() {
        let api: Api<Reading<Certificate>> = match everywhere {
            true => Api::all(cluster.watching.clone()),
            false => Api::namespaced(cluster.watching.clone(), &cluster.namespace),
        };
        exit = wait.for_all(api, asked, judge).await?;
    }
    failures.end(exit)
}

fn judge(certificate: &Certificate, asked: &String) -> WaitStatus {
    let status = certificate.status.clone().unwrap_or_default();
    if status.observed_renew_request.as_ref() == Some(asked) {
        let until = outlook::time(status.not_after.as_ref());
        return WaitStatus::Done(
            until.map_or("renewed".to_owned(), |until| format!("renewed, valid until {until}")),
        );
    }
    let issuing = outlook::condition(&status.conditions, certwright_api::CONDITION_ISSUING);
    match issuing {
        Some(issuing) if issuing.status == "False" && status.failed_renew_request.as_ref() == Some(asked) => {
            WaitStatus::Failed(format!("{}: {}", issuing.reason, issuing.message))
        }
        Some(issuing) if issuing.status == "True" => {
            WaitStatus::Pending(format!("{}: {}", issuing.reason, issuing.message))
        }
        _ => WaitStatus::Pending("waiting for the operator".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_may_be_named_with_its_kind_but_nothing_else() {
        assert_eq!(named("www").unwrap(), "www");
        assert_eq!(named("certificate/www").unwrap(), "www");
        assert!(named("issuer/acme").is_err());
    }

    #[test]
    fn the_user_confirms_a_number() {
        let of = |namespace: &str, name: &str| Awaited {
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        };
        assert_eq!(in_all(&[of("a", "x"), of("a", "y"), of("b", "x")]), "3 Certificates in 2 namespaces");
        assert_eq!(in_all(&[of("a", "x")]), "1 Certificate in 1 namespace");
    }
}

//! `certwright dns-record`: prints the TXT records that prove control of names with dns-persist-01, to be set once.

use std::collections::BTreeMap;

use clap::Args;
use kube::Api;
use kube::api::ListParams;

use super::ca::answering;
use super::chosen_issuer::ChosenIssuer;
use super::failures::Failures;
use super::kind::Kind;
use super::outlook::named;
use super::targets::{Target, Targets};
use super::{Cluster, ClusterArgs, EgressArgs, Error, Exit, causes, plain, print};
use crate::controller::issuer_record::{IssuerId, IssuerRecord};
use certwright_acme::Meta;
use certwright_api::{Certificate, DnsPersist01Solver};
use certwright_core::issuance::solver_of;
use certwright_core::persistent_record::{Offer, PersistentAccount, PersistentRecord};
use certwright_core::spec::names::dns_names;
use certwright_egress::Egress;

/// What to print the records of.
#[derive(Args, Clone, Debug)]
pub struct DnsRecord {
    /// The names of Certificates, or of all Certificates of issuers.
    #[command(flatten)]
    pub targets: Targets,
    /// For issuers: print the records for these names, such as `example.com` or `*.example.com`, instead of those of Certificates.
    /// Separated by commas.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub dns_name: Vec<String>,
    /// Where to connect to.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Names, each with its solver.
type Names = Vec<(String, DnsPersist01Solver)>;

impl DnsRecord {
    /// Prints the records, one a line, as in a zone file.
    ///
    /// # Errors
    /// [`Error`], if there is no such object, the issuer has no account, or its CA cannot be reached.
    pub async fn execute(self) -> Result<Exit, Error> {
        let targets = self.targets.parse(&Kind::ALL)?;
        if !self.dns_name.is_empty() && targets.iter().any(|target| target.kind == Kind::Certificate) {
            return Err(Error::Usage(
                "--dns-name is for issuers; a Certificate has its own names".to_owned(),
            ));
        }
        let cluster = self.cluster.connect().await?;
        let mut failures = Failures::default();
        for target in &targets {
            let printed = match target.kind {
                Kind::Certificate => self.of_certificate(&cluster, target).await,
                Kind::Issuer | Kind::ClusterIssuer => self.of_issuer(&cluster, target).await,
            };
            if let Err(error) = printed {
                failures.add(error)?;
            }
        }
        failures.end(Exit::Fine)
    }

    async fn of_certificate(&self, cluster: &Cluster, target: &Target) -> Result<(), Error> {
        let api = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let called = target.called(&cluster.namespace);
        let certificate: Certificate = cluster.one(&api, &target.name, &called).await?;
        let mut records = Vec::new();
        for id in IssuerId::all_of(&certificate) {
            let issuer = match ChosenIssuer::with(id, cluster).read().await {
                // It is not needed, as long as the first one works.
                Err(Error::NotFound(_)) if !records.is_empty() => continue,
                issuer => issuer?,
            };
            let names = names_of(&certificate, &issuer);
            records.push((issuer, names));
        }
        show(&called, records, &self.egress).await
    }

    async fn of_issuer(&self, cluster: &Cluster, target: &Target) -> Result<(), Error> {
        let chosen = ChosenIssuer::of(target, cluster);
        let issuer = chosen.read().await?;
        let names = match self.dns_name.is_empty() {
            false => self.dns_name.iter().map(|name| with_solver(name.clone(), &issuer)).collect(),
            true => {
                let of = cluster.certificates(chosen.id.namespace.as_deref(), &ListParams::default()).await?;
                let its =
                    of.iter().filter(|certificate| IssuerId::all_of(certificate).any(|id| id == chosen.id));
                its.flat_map(|certificate| names_of(certificate, &issuer)).collect()
            }
        };
        show(&chosen.called, vec![(issuer, names)], &self.egress).await
    }
}

/// The names of a Certificate that are proved with dns-persist-01.
fn names_of(certificate: &Certificate, issuer: &IssuerRecord) -> Names {
    let labels = certificate.metadata.labels.clone().unwrap_or_default();
    let with_solver = |name: &String| {
        let (solver, _) = solver_of(&issuer.spec.solvers, name, &labels)?;
        Some((name.clone(), solver.dns_persist01.clone()?))
    };
    dns_names(&certificate.spec).iter().filter_map(with_solver).collect()
}

/// The settings of the solver for a name, or the usual ones.
fn with_solver(name: String, issuer: &IssuerRecord) -> (String, DnsPersist01Solver) {
    let solver = solver_of(&issuer.spec.solvers, &name, &BTreeMap::new());
    let settings = solver.and_then(|(solver, _)| solver.dns_persist01.clone()).unwrap_or_default();
    (name, settings)
}

/// Prints the records for the names of each issuer.
async fn show(of: &str, records: Vec<(IssuerRecord, Names)>, egress: &EgressArgs) -> Result<(), Error> {
    let records: Vec<_> = records.into_iter().filter(|(_, names)| !names.is_empty()).collect();
    if records.is_empty() {
        return Err(Error::Usage(format!(
            "{of} has no name that is proved with dns-persist-01; add a solver dnsPersist01 to its issuer, or name names with \
             `certwright dns-record issuer NAME --dns-name`"
        )));
    }
    let egress = Egress::new(egress.rules(), |_| {});
    for (issuer, names) in &records {
        let server = answering(issuer, &egress).await.map_err(|error| {
            let url = plain(&issuer.spec.server);
            Error::Usage(format!("the CA at {url} cannot be used from this machine: {}", causes(&error)))
        })?;
        let directory = server.known_directory();
        let meta = directory.map(|directory| directory.meta.clone()).unwrap_or_default();
        print(&lines(issuer, names, &meta).map_err(Error::Usage)?)?;
    }
    Ok(())
}

/// The records, one for each name of a record. The record for a wildcard is also right for the name itself.
fn lines(issuer: &IssuerRecord, names: &Names, meta: &Meta) -> Result<String, String> {
    let acme = issuer.account().ok_or_else(|| {
        let IssuerId { kind, namespace, name } = &issuer.id;
        let called = named(kind.as_str(), namespace.as_deref(), name);
        format!("{called} has no account yet, which the record names; see `certwright status`")
    })?;
    let account = PersistentAccount {
        directory: &issuer.spec.server,
        url: &acme.uri,
        thumbprint: &acme.key_thumbprint,
        rolled_over: acme.last_key_rollover.is_some(),
    };
    let offer = Offer::of_directory(meta)
        .map_err(|_| "the CA's directory has neither issuerDomainNames nor caaIdentities, so the record is only known once there \
                      is an order: see the Certificate's condition Issuing".to_owned())?;
    let mut lines = BTreeMap::new();
    for (name, solver) in names {
        let record = PersistentRecord::new(name, &offer, &account, solver);
        let record = record.map_err(|error| error.to_string())?;
        let (fqdn, line) = (record.fqdn(), record.zone_line());
        let kept = lines.entry(fqdn).or_insert_with(|| line.clone());
        if name.starts_with("*.") {
            *kept = line;
        }
    }
    Ok(lines.into_values().map(|line| format!("{}\n", plain(&line))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_api::{AcmeAccountStatus, AcmeIssuer, Issuer, IssuerSpec, IssuerStatus, Solver};

    #[test]
    fn each_name_has_one_record_and_a_wildcard_has_that_of_its_name() {
        let names =
            ["a.test", "*.a.test", "b.test"].map(|name| with_solver(name.to_owned(), &issuer("c.test")));
        let meta = Meta { caa_identities: vec!["ca.example".to_owned()], ..Meta::default() };
        assert_eq!(
            lines(&issuer("c.test"), &names.to_vec(), &meta).unwrap(),
            "_validation-persist.a.test. IN TXT \"ca.example; accounturi=https://c.test/acct/1; policy=wildcard\"\n\
             _validation-persist.b.test. IN TXT \"ca.example; accounturi=https://c.test/acct/1\"\n"
        );
        let unsaid = lines(&issuer("c.test"), &names.to_vec(), &Meta::default()).unwrap_err();
        assert!(unsaid.starts_with("the CA's directory has neither"), "{unsaid}");
        let other_ca = lines(&issuer("other.test"), &names.to_vec(), &meta).unwrap_err();
        assert!(other_ca.contains("has no account yet"), "{other_ca}");
    }

    /// An Issuer with an account at c.test.
    fn issuer(server: &str) -> IssuerRecord {
        let acme = AcmeIssuer {
            server: format!("https://{server}/dir"),
            solvers: vec![Solver { dns_persist01: Some(DnsPersist01Solver::default()), ..Solver::default() }],
            ..AcmeIssuer::default()
        };
        let mut issuer = Issuer::new("ca", IssuerSpec { acme });
        issuer.status = Some(IssuerStatus {
            acme: Some(AcmeAccountStatus {
                uri: "https://c.test/acct/1".to_owned(),
                server: "https://c.test/dir".to_owned(),
                ..AcmeAccountStatus::default()
            }),
            ..IssuerStatus::default()
        });
        IssuerRecord::from(&issuer)
    }
}

//! What CAA records say about the names of Certificates, and whether DNSSEC breaks the lookups: CAs refuse to issue for both.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::issuers::{self, Servers, server_key};
use super::names::{MOST, unchecked, unusable};
use crate::controller::caa::relevant_set;
use crate::controller::issuer_record::IssuerRecord;
use certwright_api::{CaaCheck, Certificate};
use certwright_core::caa::{Request, check, usable};
use certwright_core::issuance::solver_of;
use certwright_core::spec::names::dns_names;
use certwright_egress::Egress;
use certwright_solver::dns01::{CaaLookupError, CaaRecords, NameServer, Resolver, Whose};

const ELSEWHERE: &str = "The CA uses its own name servers. The result from this machine may differ.";

/// A name of a Certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    /// With `*.` if it is a wildcard.
    name: String,
    /// The names that stand for the CA in CAA records; none if the CA does not say.
    identities: Vec<String>,
    /// The URL of the account.
    account: Option<String>,
    /// The type of the challenge.
    method: Option<String>,
    /// Whether the operator places no order that the CA must refuse.
    enforced: bool,
}

/// Checks the CAA records of each name against the CA of its issuer.
pub(super) async fn findings(
    certificates: &[Certificate],
    all: &[IssuerRecord],
    servers: &Servers,
    nameservers: &[NameServer],
    egress: &Egress,
) -> Vec<Finding> {
    let asked = asked(certificates, all, servers);
    let resolver = match Resolver::new(nameservers, Whose::Administrators, egress) {
        _ if asked.is_empty() => return vec![Finding::ok("no Certificate has a name to check")],
        Ok(resolver) => resolver,
        Err(error) => return vec![unusable(&error.to_string())],
    };
    let more = asked.len().saturating_sub(MOST);
    let asked: Vec<Asked> = asked.into_iter().take(MOST).collect();
    let names: BTreeSet<String> = asked.iter().map(|one| one.name.clone()).collect();
    let answers = resolver.caa(&names).await;
    let mut findings = Vec::new();
    for one in &asked {
        findings.push(match answers.get(&one.name) {
            Some(Ok(records)) => judged(one, records.clone()),
            Some(Err(error)) => failed(&one.name, error, resolver.is_bogus(error).await),
            None => continue,
        });
    }
    findings.extend(unchecked(more));
    findings
}

fn asked(certificates: &[Certificate], all: &[IssuerRecord], servers: &Servers) -> BTreeSet<Asked> {
    let mut asked = BTreeSet::new();
    for certificate in certificates {
        let Some(issuer) = issuers::of(all, certificate) else { continue };
        let directory = servers.get(&server_key(issuer)).and_then(|server| server.known_directory());
        let identities = directory.map(|directory| usable(&directory.meta.caa_identities));
        let labels: BTreeMap<_, _> = certificate.metadata.labels.clone().unwrap_or_default();
        asked.extend(dns_names(&certificate.spec).iter().map(|name| Asked {
            name: name.to_ascii_lowercase(),
            identities: identities.clone().unwrap_or_default(),
            account: issuer.account_url().map(str::to_owned),
            method: solver_of(&issuer.spec.solvers, name, &labels).map(|(_, method)| method.to_string()),
            enforced: issuer.spec.caa_check.unwrap_or_default() == CaaCheck::Enforce,
        }));
    }
    asked
}

fn judged(asked: &Asked, records: Option<CaaRecords>) -> Finding {
    let name = &asked.name;
    let Some(records) = records else {
        return Finding::ok(format!("{name}: there are no CAA records, so any CA may issue"));
    };
    let set = relevant_set(records);
    let Some(ca) = asked.identities.first() else {
        return Finding::ok(format!(
            "{name}: {} has CAA records, but the CA does not say in its directory which names it has in them",
            set.domain
        ));
    };
    let request = Request {
        name,
        identities: &asked.identities,
        account: asked.account.as_deref(),
        method: asked.method.as_deref(),
    };
    match check(&request, &set) {
        Ok(()) => Finding::ok(format!("{name}: the CAA records of {} allow {ca} to issue", set.domain)),
        Err(forbidden) => {
            let words = format!("{name}: {}", forbidden.words(ca, &[name]));
            let advice = format!("To allow it, {}.", forbidden.what_to_do());
            match asked.enforced {
                true => Finding::fail(words, advice),
                false => Finding::warn(words, format!("{advice} {ELSEWHERE}")),
            }
        }
    }
}

fn failed(name: &str, error: &CaaLookupError, is_bogus: bool) -> Finding {
    match is_bogus {
        true => Finding::fail(
            format!("{name}: {error}. Without validation of DNSSEC, there is an answer"),
            "The DNSSEC signatures of the zone, or its DS records, are wrong. CAs validate them, and refuse to issue until they \
             are corrected.",
        ),
        false => Finding::warn(format!("{name}: {error}"), ELSEWHERE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::Level;
    use certwright_solver::dns01::CaaRecord;

    #[test]
    fn each_name_has_a_line_that_says_what_to_do() {
        let asked = Asked {
            name: "www.a.test".to_owned(),
            identities: vec!["ca.example".to_owned()],
            account: None,
            method: Some("http-01".to_owned()),
            enforced: true,
        };
        let records = |value: &str| {
            let record =
                CaaRecord { critical: false, tag: "issue".to_owned(), value: value.as_bytes().to_vec() };
            Some(CaaRecords { domain: "a.test".to_owned(), records: vec![record] })
        };
        assert_eq!(
            judged(&asked, None),
            Finding::ok("www.a.test: there are no CAA records, so any CA may issue")
        );
        assert_eq!(
            judged(&asked, records("ca.example; accounturi=https://ca.example/1")),
            Finding::ok("www.a.test: the CAA records of a.test allow ca.example to issue")
        );
        let forbidden = judged(&asked, records("other.example"));
        assert_eq!(
            forbidden,
            Finding::fail(
                "www.a.test: the CAA records of a.test do not allow ca.example to issue for www.a.test: none of them is for \
                 this CA (0 issue \"other.example\")",
                "To allow it, add the record a.test. IN CAA 0 issue \"ca.example\", and check the result with: dig a.test CAA."
            )
        );
        let unchecked = judged(&Asked { enforced: false, ..asked.clone() }, records("other.example"));
        assert_eq!((unchecked.level, unchecked.words), (Level::Warn, forbidden.words));
        let unnamed = judged(&Asked { identities: Vec::new(), ..asked }, records("other.example"));
        assert_eq!(unnamed.level, Level::Ok);
        let error = CaaLookupError::OutOfTime { domain: "a.test".to_owned() };
        assert_eq!(failed("www.a.test", &error, false).level, Level::Warn);
        let bogus = failed("www.a.test", &error, true);
        assert_eq!(bogus.level, Level::Fail);
        assert!(bogus.advice.contains("DNSSEC"), "{bogus:?}");
    }
}

//! TXT records: determines where each belongs, adds it through a provider, and removes it again.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tokio::time::timeout;

use super::provider::Provider;
use super::webhook::Failure;
use crate::controller::context::Context;
use crate::controller::error::Error;
use certwright_acme::{Account, account_label, txt_value};
use certwright_api::{ChallengeLabel, CnameStrategy, Dns01Solver, DnsRecordStatus, PropagationCheck};
use certwright_core::issuance::{Challenged, Unseen, ValueCount, Way};
use certwright_solver::dns01::{CHALLENGE_LABEL, Location, NameServer, Record, Resolver, Whose};

/// Determines where the records of the challenges belong. Returns them as ledger entries, and the failures of others.
/// `secrets_namespace` has the Secrets of the issuer. Its providers may use ambient credentials if `ambient`.
pub async fn located(
    context: &Context,
    account: &Account,
    challenged: &[Challenged],
    secrets_namespace: &str,
    ambient: bool,
) -> (Vec<DnsRecordStatus>, Vec<Unseen>) {
    let searches = challenged.iter().filter_map(|challenge| match &challenge.way {
        Way::Record(solver) => Some(async move {
            let key_authorization = account.key_authorization(&challenge.token);
            let label = challenge_label(solver, Some(account.url()));
            let location = locate(context, solver, &label, &challenge.name).await;
            let location = location.map_err(|words| unseen(challenge, words.into()))?;
            Ok(DnsRecordStatus {
                name: challenge.name.clone(),
                fqdn: location.fqdn,
                zone: location.zone,
                passed_over: location.passed_over,
                value: txt_value(&key_authorization),
                key_authorization,
                solver: (**solver).clone(),
                secrets_namespace: secrets_namespace.to_owned(),
                allow_ambient_credentials: ambient,
                removal: None,
                seal: None,
            })
        }),
        Way::Ingress(_) | Way::Route(_) | Way::Persistent(_) | Way::TlsRoute(_) | Way::FrontProxy => None,
    });
    let (mut records, mut failures) = (Vec::new(), Vec::new());
    for found in join_all(searches).await {
        match found {
            Ok(record) => records.push(record),
            Err(failure) => failures.push(failure),
        }
    }
    (records, failures)
}

/// Adds the needed records in the ledger of the object with this namespace and uid to DNS. Returns the failures.
///
/// # Errors
/// [`Error::ReadSecret`]
pub async fn add(
    context: &Context,
    (namespace, uid): (&str, &str),
    ledger: &[DnsRecordStatus],
    challenged: &[Challenged],
) -> Result<Vec<Unseen>, Error> {
    let presented = ledger.iter().filter(|record| record.removal.is_none()).map(async |record| {
        let done = match Provider::of(context, namespace, record).await? {
            Ok(provider) => provider.present(context, uid, &as_record(record)).await,
            Err(words) => Err(words.into()),
        };
        let is_its = |challenge: &&Challenged| {
            challenge.name == record.name
                && record.key_authorization.starts_with(&format!("{}.", challenge.token))
        };
        let challenge = challenged.iter().find(is_its);
        Ok::<_, Error>(done.err().zip(challenge).map(|(failure, challenge)| unseen(challenge, failure)))
    });
    Ok(try_join_all(presented).await?.into_iter().flatten().collect())
}

/// Removes a record of the object with this namespace and uid from DNS within `bound`, or returns why that failed.
///
/// # Errors
/// [`Error::ReadSecret`]
pub async fn remove(
    context: &Context,
    (namespace, uid): (&str, &str),
    record: &DnsRecordStatus,
    bound: Duration,
) -> Result<Result<(), String>, Error> {
    let provider = match Provider::of(context, namespace, record).await? {
        Ok(provider) => provider,
        Err(words) => return Ok(Err(words)),
    };
    let removed = timeout(bound, provider.clean_up(context, uid, &as_record(record))).await;
    Ok(removed.unwrap_or_else(|_| Err("the provider did not answer in time".to_owned())))
}

/// How many TXT records there are at the name of a record that the name servers have, or which ones lack it.
async fn visible(context: &Context, record: &DnsRecordStatus) -> Result<usize, String> {
    let resolver = resolver(context, record.solver.own_nameservers())?;
    let check = record.solver.own_check().unwrap_or(context.config.propagation_check);
    let location = Location { fqdn: record.fqdn.clone(), zone: record.zone.clone(), passed_over: None };
    let seen = resolver.visible(&location, &record.value, check).await;
    let Some(target) = &record.passed_over else { return seen.map_err(|lacking| lacking.to_string()) };
    // The lookup of the name may have put the wildcard into the caches of these servers, and the CA may use the same.
    let seen = match seen {
        Ok(_) => resolver.visible(&location, &record.value, PropagationCheck::Recursive).await,
        Err(lacking) => Err(lacking),
    };
    seen.map_err(|lacking| {
        format!(
            "{lacking}; a wildcard CNAME to {target} matched this name until the record was added, and name servers may have \
             cached that"
        )
    })
}

/// How many TXT records there are beside the one with this key authorization, or why it is not visible.
pub async fn see(
    context: &Context,
    records: &[DnsRecordStatus],
    expected: &str,
) -> Result<ValueCount, String> {
    let its = |record: &&DnsRecordStatus| record.removal.is_none() && record.key_authorization == expected;
    match records.iter().find(its) {
        Some(record) => {
            let values = visible(context, record).await?;
            Ok(ValueCount { fqdn: record.fqdn.clone(), values })
        }
        None => Err("the TXT record is missing from the status".to_owned()),
    }
}

/// The labels of a solver's records, below the validated name. Without an account, those for all accounts: the zone is the same.
pub fn challenge_label(solver: &Dns01Solver, account_url: Option<&str>) -> String {
    match (solver.label.unwrap_or_default(), account_url) {
        (ChallengeLabel::Account, Some(url)) => format!("{}.{CHALLENGE_LABEL}", account_label(url)),
        (ChallengeLabel::Account, None) | (ChallengeLabel::Standard, _) => CHALLENGE_LABEL.to_owned(),
    }
}

async fn locate(
    context: &Context,
    solver: &Dns01Solver,
    label: &str,
    name: &str,
) -> Result<Location, String> {
    let strategy = match solver.acme_dns {
        // acme-dns answers for its own name, to which the CNAME leads: the CNAME must be followed.
        Some(_) => CnameStrategy::Follow,
        None => solver.cname_strategy.unwrap_or_default(),
    };
    let location = resolver(context, solver.own_nameservers())?.locate(label, name, strategy).await;
    let location = location.map_err(|error| error.to_string())?;
    match &location.passed_over {
        Some(target) if solver.acme_dns.is_some() => Err(format!(
            "{} has no record of its own, but matches a wildcard CNAME to {target}: add a CNAME to the name at acme-dns",
            location.fqdn.trim_end_matches('.')
        )),
        _ => Ok(location),
    }
}

/// The resolver that asks a solver's own name servers, or the operator's if it has none.
///
/// # Errors
/// If one of them is not a name server, or the system's cannot be found.
pub fn resolver(context: &Context, own: &[String]) -> Result<Resolver, String> {
    let (servers, whose) = match own {
        [] => (context.config.recursive_nameservers.clone(), Whose::Administrators),
        own => {
            let parsed = own.iter().map(|text| text.parse::<NameServer>());
            let parsed = parsed.collect::<Result<Vec<_>, _>>();
            (parsed.map_err(|error| format!("propagation.nameservers: {error}"))?, Whose::Tenants)
        }
    };
    context.resolvers.of(&servers, whose).map_err(|error| error.to_string())
}

fn as_record(record: &DnsRecordStatus) -> Record {
    Record {
        fqdn: record.fqdn.clone(),
        zone: record.zone.clone(),
        value: record.value.clone(),
        domain: record.name.clone(),
        token: record.key_authorization.split('.').next().unwrap_or_default().to_owned(),
        key_authorization: record.key_authorization.clone(),
    }
}

/// A provider does not say which name its words are about.
fn unseen(challenged: &Challenged, failure: Failure) -> Unseen {
    let Failure { words, unserved, retry_after } = failure;
    Unseen { unserved, retry_after, ..challenged.unseen(format!("{}: {words}", challenged.name)) }
}

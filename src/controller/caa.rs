//! Looks up CAA records before an order is placed.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use tracing::debug;

use super::context::Context;
use super::presenter;
use certwright_acme::{Account, AcmeError};
use certwright_core::caa::{Property, RelevantSet, usable};
use certwright_core::issuance::{CaaAnswer, CaaName, CaaQuestion};
use certwright_solver::dns01::CaaRecords;

/// Answers a question about CAA records. A lookup that fails does not hold up an order: the CA decides.
///
/// # Errors
/// [`AcmeError`], if the CA's directory had to be fetched and could not be.
pub async fn answer(
    account: &Account,
    question: &CaaQuestion,
    context: &Context,
) -> Result<CaaAnswer, AcmeError> {
    let identities = account.meta().await?.caa_identities;
    if usable(&identities).is_empty() {
        return Ok(CaaAnswer::default());
    }
    Ok(CaaAnswer { identities, found: look_up(&question.names, context).await })
}

async fn look_up(names: &[CaaName], context: &Context) -> Vec<(String, RelevantSet)> {
    let mut by_servers: BTreeMap<&[String], BTreeSet<String>> = BTreeMap::new();
    for CaaName { name, nameservers, .. } in names {
        by_servers.entry(nameservers).or_default().insert(name.clone());
    }
    let lookups = by_servers.into_iter().map(async |(servers, names)| {
        let resolver = presenter::resolver(context, servers);
        let resolver = resolver.inspect_err(|error| debug!(error, "CAA records cannot be looked up")).ok()?;
        Some(resolver.caa(&names).await)
    });
    let mut found = Vec::new();
    for (name, answer) in join_all(lookups).await.into_iter().flatten().flatten() {
        match answer {
            Ok(Some(records)) => found.push((name, relevant_set(records))),
            Ok(None) => {}
            Err(error) => debug!(name, %error, "the CAA records of a name are not known; the CA decides"),
        }
    }
    found
}

/// The records as they are checked.
pub fn relevant_set(records: CaaRecords) -> RelevantSet {
    let properties = records.records.into_iter().map(|record| Property {
        critical: record.critical,
        tag: record.tag,
        value: record.value,
    });
    RelevantSet { domain: records.domain, properties: properties.collect() }
}

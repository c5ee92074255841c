//! A second, independent ACME client asks each CA the same. If it sees something else, our client has a bug, or the CA does not
//! conform to RFC 8555.

mod client;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use http::Uri;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use self::client::{MOST, NAME, Reading};
use super::Finding;
use super::issuers::{Servers, called, see, server_key};
use crate::command::error::words;
use crate::command::{Cluster, causes};
use crate::controller::issuer_record::{IssuerRecord, account_secret};
use certwright_acme::{Account, Directory, Server, jwk_thumbprint};
use certwright_core::account::of_somebody_else;
use certwright_pki::{KeyAlgorithm, PrivateKey};
use certwright_text::clean;

/// The maximum number of concurrent questions.
const AT_ONCE: usize = 8;
/// The maximum number of differences in one finding.
const SHOWN: usize = 3;

const A_BUG: &str = "Certwright or the other client has a bug, or the directory does not conform to RFC 8555: report it as a bug of \
     Certwright, with the directory.";
const CA_BUG: &str =
    "A directory should not depend on who fetches it. If this repeats, report it to the CA's operator.";

/// Does the second client see the same directories?
pub(super) async fn directories(servers: &Servers) -> Vec<Finding> {
    stream::iter(servers.values()).map(directory).buffered(AT_ONCE).filter_map(async |it| it).collect().await
}

async fn directory(server: &Server) -> Option<Finding> {
    let ours = server.known_directory()?;
    Some(compared(server.directory_url(), &ours, client::read_directory(server).await))
}

fn compared(url: &str, ours: &Directory, theirs: Result<Reading, String>) -> Finding {
    let reading = match theirs {
        Ok(reading) => reading,
        Err(why) => {
            return Finding::warn(
                format!(
                    "a second ACME client ({NAME}) cannot use the directory at {url}, which Certwright has read: {why}"
                ),
                "If this repeats, other clients may fail at this CA too: report it to the CA's operator.",
            );
        }
    };
    let answer: Option<Directory> = serde_json::from_slice(&reading.answer).ok();
    if let Some(answer) = answer
        && let Some(differences) = differences(&all_entries(ours), &all_entries(&answer))
    {
        return Finding::fail(
            format!("the CA sends Certwright and {NAME} different directories from {url}: {differences}"),
            CA_BUG,
        );
    }
    match differences(&entries(ours), &entries_of(&reading)) {
        Some(differences) => Finding::fail(
            format!("Certwright and {NAME} understand the directory at {url} differently: {differences}"),
            A_BUG,
        ),
        None => Finding::ok(format!("a second ACME client ({NAME}) sees the same directory at {url}")),
    }
}

/// The entries of a directory, by name.
type Entries = BTreeMap<String, String>;

/// The entries that the second client shows.
fn entries(directory: &Directory) -> Entries {
    let urls = [
        ("newNonce", &directory.new_nonce),
        ("newAccount", &directory.new_account),
        ("newOrder", &directory.new_order),
    ];
    let urls = urls.into_iter().map(|(name, url)| (name.to_owned(), uri(url)));
    urls.chain(profiles(&directory.meta.profiles)).collect()
}

fn entries_of(reading: &Reading) -> Entries {
    let urls = [
        ("newNonce", &reading.new_nonce),
        ("newAccount", &reading.new_account),
        ("newOrder", &reading.new_order),
    ];
    let urls = urls.into_iter().filter_map(|(name, url)| Some((name.to_owned(), uri(url.as_ref()?))));
    urls.chain(profiles(&reading.profiles)).collect()
}

/// All entries that our client uses.
fn all_entries(directory: &Directory) -> Entries {
    let optional = [
        ("newAuthz", &directory.new_authz),
        ("keyChange", &directory.key_change),
        ("revokeCert", &directory.revoke_cert),
        ("renewalInfo", &directory.renewal_info),
        ("termsOfService", &directory.meta.terms_of_service),
    ];
    let mut all = entries(directory);
    all.extend(optional.into_iter().filter_map(|(name, url)| Some((name.to_owned(), url.clone()?))));
    let external = directory.meta.external_account_required;
    all.insert("externalAccountRequired".to_owned(), external.to_string());
    all.insert("caaIdentities".to_owned(), directory.meta.caa_identities.join(", "));
    all
}

fn profiles(profiles: &BTreeMap<String, String>) -> impl Iterator<Item = (String, String)> {
    profiles.iter().map(|(name, description)| (format!("profile {name}"), description.clone()))
}

/// A URL in the form in which requests are sent to it.
fn uri(url: &str) -> String {
    url.parse::<Uri>().map_or_else(|_| url.to_owned(), |uri| uri.to_string())
}

/// The differences between what our client and the second one saw, if there are any.
fn differences(ours: &Entries, theirs: &Entries) -> Option<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut differences: Vec<String> = names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| {
            let shown = |entries: &Entries| entries.get(name).map_or("missing".to_owned(), |it| quoted(it));
            let name = clean(name, MOST);
            format!("{name} is {} for Certwright and {} for {NAME}", shown(ours), shown(theirs))
        })
        .collect();
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text, MOST))
}

/// Does the second client find the accounts that our client has recorded?
pub(super) async fn accounts(
    cluster: &Cluster,
    issuers: &[IssuerRecord],
    servers: &Servers,
    own_namespace: &str,
) -> Vec<Finding> {
    let known = issuers.iter().filter_map(|issuer| Some((issuer, servers.get(&server_key(issuer))?)));
    stream::iter(known)
        .map(|(issuer, server)| account(cluster, issuer, server, own_namespace))
        .buffered(AT_ONCE)
        .filter_map(async |it| it)
        .collect()
        .await
}

async fn account(
    cluster: &Cluster,
    issuer: &IssuerRecord,
    server: &Server,
    own_namespace: &str,
) -> Option<Finding> {
    let recorded = issuer.status.acme.as_ref()?;
    if recorded.server != issuer.spec.server || recorded.deactivation_time.is_some() {
        return None;
    }
    let algorithm = &recorded.key_algorithm;
    if *algorithm != KeyAlgorithm::ECDSA_P256.to_string() {
        return Some(Finding::ok(format!(
            "the account of {} has a key that a second ACME client ({NAME}) cannot use ({}), so it was not compared",
            called(issuer),
            clean(algorithm, MOST)
        )));
    }
    let key = match account_key(cluster, issuer, &recorded.key_thumbprint, own_namespace).await {
        Ok(key) => key,
        Err(finding) => return Some(finding),
    };
    let theirs = client::look_up(server, &key).await;
    if theirs.as_ref() == Ok(&Some(recorded.uri.clone())) {
        return Some(agreed(issuer));
    }
    let ours = Account::look_up(server, key).await.map(|found| found.map(|it| it.account.url().to_owned()));
    let ours = ours.map_err(|error| clean(&causes(&error), MOST));
    Some(judged(issuer, &recorded.uri, &ours, &theirs))
}

/// The key of an issuer's account.
async fn account_key(
    cluster: &Cluster,
    issuer: &IssuerRecord,
    thumbprint: &str,
    own_namespace: &str,
) -> Result<PrivateKey, Finding> {
    let (namespace, name, data_key) = account_secret(issuer, own_namespace);
    let called = called(issuer);
    let found = Api::<Secret>::namespaced(cluster.client.clone(), &namespace).get_opt(&name).await;
    let secret = found.map_err(|error| {
        let words = words(&error);
        Finding::warn(
            format!("the account of {called} was not compared, because its key cannot be read: {words}"),
            "Ask somebody who may read Secrets there to run the check.",
        )
    })?;
    let secret = secret.filter(|secret| of_somebody_else(secret).is_none());
    let text = secret.as_ref().and_then(|secret| secret.data.as_ref()?.get(&data_key));
    let key = text.and_then(|text| PrivateKey::from_pem_or_jwk(&text.0).ok());
    key.filter(|key| jwk_thumbprint(key) == thumbprint).ok_or_else(|| {
        Finding::warn(
            format!(
                "the account of {called} was not compared, because Secret {namespace}/{name} does not hold its key"
            ),
            see(issuer),
        )
    })
}

/// What a client found: the URL of the account, nothing, or why it failed.
type Found = Result<Option<String>, String>;

fn agreed(issuer: &IssuerRecord) -> Finding {
    Finding::ok(format!(
        "a second ACME client ({NAME}) finds the same account for the key of {}",
        called(issuer)
    ))
}

/// What it means if the second client did not find the recorded account. `ours` is the answer to our client just now.
fn judged(issuer: &IssuerRecord, recorded: &str, ours: &Found, theirs: &Found) -> Finding {
    let called = called(issuer);
    let words = format!(
        "for the key of {called}, Certwright gets {} and a second ACME client ({NAME}) gets {}; the status has {}",
        shown(ours),
        shown(theirs),
        quoted(recorded)
    );
    match (ours, theirs) {
        (Err(_), _) | (_, Err(_)) => Finding::warn(
            words,
            "If this repeats and only one of the two fails, report it as a bug of Certwright, with both answers.",
        ),
        (Ok(ours), Ok(theirs)) if ours == theirs => Finding::fail(
            words,
            format!(
                "The account has changed at the CA, or the status is not what the operator wrote. {}",
                see(issuer)
            ),
        ),
        (Ok(_), Ok(_)) => Finding::fail(
            words,
            "A CA has one account for a key (RFC 8555 section 7.3.1): report it to the CA's operator. If the CA answers \
             both the same, report it as a bug of Certwright, with both answers.",
        ),
    }
}

fn shown(found: &Found) -> String {
    match found {
        Ok(Some(url)) => format!("the account {}", quoted(url)),
        Ok(None) => "no account".to_owned(),
        Err(why) => format!("no answer ({why})"),
    }
}

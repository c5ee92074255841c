//! Fetches the revocation lists that Certificates name, once in a while, and finds the Certificates whose certificates are on them.
//!
//! The cost depends on the number of lists, not of Certificates: each entry of a list is looked up in an index, and a Secret is
//! read only if the index has the entry. The Secret also has the certificate of the issuer, which must have signed the list.

mod compare;
pub(crate) mod fetch;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::oneshot;
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use kube::runtime::reflector::ObjectRef;
use tokio::task::spawn_blocking;
use tracing::{debug, info};

use self::compare::{Candidate, Signers, candidates};
use self::fetch::{FetchError, fetch};
use super::cache::Index;
use super::context::Context;
use super::error::Error;
use super::fair_queue::FairQueue;
use super::revocation_lists::Request;
use super::secrets;
use super::work_queue::{Started, WorkQueue};
use certwright_api::SECRET_KEY_TLS_CRT;
use certwright_core::naming::stable_fraction;
use certwright_pki::{Chain, RevocationListError};
use certwright_runtime::clock;
use certwright_runtime::panics::{Panic, caught};

/// How many lists are fetched at a time: each may take some megabytes of memory.
const CONCURRENT: usize = 2;
/// After a start, the lists are fetched within this part of the interval.
const FIRST: f64 = 1.0 / 24.0;
/// A list that could not be fetched is fetched again after this part of the interval.
const AGAIN: u32 = 4;
/// A list that was fetched within this time, or could not be, is not fetched again, even if somebody needs it now.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Why a list could not be checked.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("fetching it failed: {0}")]
    Fetch(#[from] FetchError),
    #[error("it cannot be used: {0}")]
    List(#[from] RevocationListError),
    #[error(transparent)]
    Cluster(#[from] Error),
    #[error(transparent)]
    Panic(#[from] Panic),
    #[error("the check was cancelled")]
    Cancelled,
}

/// Checks lists while this replica leads.
pub async fn check_revocation_lists(context: Arc<Context>) -> Infallible {
    let mut requests = context.revocation_lists.connect();
    let (turns, interval) = (FairQueue::new(CONCURRENT), context.config.revocation_check_interval);
    let one = async |started: Started<String>| {
        let again = check_in_turn(&started, &turns, &context).await;
        (started, again)
    };
    let (mut queue, mut checks) = (WorkQueue::default(), FuturesUnordered::new());
    let mut waiting: HashMap<String, Vec<oneshot::Sender<()>>> = HashMap::new();
    loop {
        let due = tokio::select! {
            Some(request) = requests.next() => match request {
                Request::Sometime(url) => {
                    let first = interval.mul_f64(FIRST * stable_fraction(&url));
                    queue.add(url).and_then(|started| queue.end(started, Some(first)))
                }
                // Whoever waits is told at once by dropping the sender.
                Request::Now(url, _) if is_fresh(&url, &context) => None,
                Request::Now(url, done) => {
                    let waiting = waiting.entry(url.clone()).or_default();
                    waiting.push(done);
                    if waiting.len() == 1 { queue.add(url) } else { None }
                }
            },
            started = queue.pass_time() => Some(started),
            Some((started, again)) = checks.next() => {
                let started: Started<String> = started;
                waiting.remove(started.object.as_str());
                queue.end(started, again)
            }
        };
        checks.extend(due.map(&one));
    }
}

fn is_fresh(url: &str, context: &Context) -> bool {
    let checked = context.revocation_lists.list(url).and_then(|(_, checked)| checked);
    checked.is_some_and(|checked| clock::now().duration_since(checked) < FRESH)
}

/// Checks a list; returns when to check it again, if a Certificate still names it.
async fn check_in_turn(
    started: &Started<String>,
    turns: &FairQueue,
    context: &Arc<Context>,
) -> Option<Duration> {
    let url = &*started.object;
    let (namespace, _) = context.revocation_lists.list(url)?;
    let _turn = turns.turn(&namespace, 0).await;
    started.begins();
    if !context.cache.has_certificates(&Index::RevocationList(url)) {
        context.revocation_lists.forget_list(url);
        return None;
    }
    let outcome = caught(check(url, context)).await.unwrap_or_else(|panic| Err(panic.into()));
    context.metrics.revocation_list_checked(outcome.is_ok());
    context.revocation_lists.checked(url, clock::now());
    let interval = context.config.revocation_check_interval;
    match outcome {
        Ok(()) => Some(interval),
        Err(why) => {
            info!(url, %why, "a revocation list could not be checked");
            Some(interval / AGAIN)
        }
    }
}

async fn check(url: &str, context: &Arc<Context>) -> Result<(), CheckError> {
    let list = Arc::new(fetch(url, &context.egress).await?);
    let (parsed, named, of) = (list.clone(), url.to_owned(), context.clone());
    let found = spawn_blocking(move || candidates(&parsed, &named, &of.cache, clock::now())).await;
    let found = found.map_err(|_| CheckError::Cancelled)??;
    debug!(url, bytes = list.len(), found = found.len(), "checked a revocation list");
    let (mut signers, mut outcome) = (Signers::new(list), Ok(()));
    for candidate in found {
        match is_confirmed(&candidate, &mut signers, context).await {
            Ok(true) => {
                context.revocation_lists.found(candidate.uid, candidate.finding);
                context.certificate_queue.add(ObjectRef::new(&candidate.name).within(&candidate.namespace));
            }
            Ok(false) => {}
            // A Secret that cannot be read affects only its own Certificate.
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Whether the Secret has the certificate that was found, and the list is signed by that certificate's issuer.
async fn is_confirmed(
    candidate: &Candidate,
    signers: &mut Signers,
    context: &Context,
) -> Result<bool, CheckError> {
    let Candidate { namespace, secret, finding, .. } = candidate;
    let Some(secret) = secrets::read(&context.client, namespace, secret).await? else { return Ok(false) };
    let chain = secrets::data(&secret, SECRET_KEY_TLS_CRT).and_then(|pem| Chain::parse_pem(pem).ok());
    let Some(chain) = chain.filter(|chain| chain.leaf().serial_number == finding.serial_number) else {
        return Ok(false);
    };
    let Some(issuer) = chain.issuer() else { return Ok(false) };
    let is_signed = signers.have_signed(issuer).await.ok_or(CheckError::Cancelled)?;
    if !is_signed {
        let (url, serial) = (&finding.list_url, &finding.serial_number);
        info!(
            url,
            serial, "a certificate is on a revocation list that its issuer has not signed; this is ignored"
        );
    }
    Ok(is_signed)
}

//! Looks at what servers show under the names of Certificates, after each issuance and once in a while.
//!
//! A few Certificates are checked at a time, and namespaces take turns. A check reads the Secret, because the watch cache does not
//! have its content. What is found is written by the reconcile of the Certificate.

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use tracing::{debug, info};

use super::context::Context;
use super::error::Error;
use super::fair_queue::FairQueue;
use super::secrets;
use super::served_checks::Subject;
use super::work_queue::{Started, work_through};
use certwright_api::{ANNOTATION_CERTIFICATE, Certificate, SECRET_KEY_TLS_CRT};
use certwright_core::served::{Finding, Looked, Plan, Shown, Stored, ordered, plan};
use certwright_pki::{Chain, Leaf};
use certwright_runtime::panics::{Panic, caught};
use certwright_solver::http01::SelfCheck;
use certwright_solver::served::LookFailure;

/// How many Certificates are checked at a time.
const CONCURRENT: usize = 8;
/// How many of these are reserved for namespaces none of whose Certificates is being checked: a check can take minutes if servers
/// stall.
const RESERVED: usize = 2;
/// How many names of a Certificate are looked at at a time.
const NAMES_AT_ONCE: usize = 4;

/// Why a Certificate could not be checked.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Cluster(#[from] Error),
    #[error("{0}")]
    SelfCheck(String),
    #[error(transparent)]
    Panic(#[from] Panic),
}

/// Checks Certificates while this replica leads.
pub async fn check_served(context: Arc<Context>) -> Infallible {
    let turns = FairQueue::with_reserve(CONCURRENT, RESERVED);
    let one = |started: Started<String>| {
        let (turns, context) = (turns.clone(), context.clone());
        async move {
            let again = check_in_turn(&started, &turns, &context).await;
            (started, again)
        }
    };
    work_through([], context.served_checks.connect(), one).await;
    future::pending().await
}

/// Checks a Certificate that is due; returns after which time to look at it again, if it is still checked.
async fn check_in_turn(started: &Started<String>, turns: &FairQueue, context: &Context) -> Option<Duration> {
    let uid = &*started.object;
    started.begins();
    let (subject, wait) = context.served_checks.due(uid)?;
    if !wait.is_zero() {
        return Some(wait);
    }
    let _turn = turns.turn(&subject.namespace, 0).await;
    started.begins();
    // It may have changed in the meantime.
    let (subject, wait) = context.served_checks.due(uid)?;
    if !wait.is_zero() {
        return Some(wait);
    }
    // On the heap, because thousands may wait for their turns.
    let outcome =
        caught(Box::pin(check(uid, &subject, context))).await.unwrap_or_else(|panic| Err(panic.into()));
    let Subject { namespace, name, .. } = &subject;
    let finding = outcome.unwrap_or_else(|why| {
        info!(namespace, name, %why, "it could not be checked whether a certificate is served");
        None
    });
    let wait = context.served_checks.checked(uid, &subject, finding.clone());
    let certificate = context.cache.certificate(namespace, name);
    if let Some((finding, certificate)) = finding.zip(certificate) {
        let generation = certificate.metadata.generation.unwrap_or_default();
        debug!(namespace, name, reason = finding.verdict.reason, "checked what is served");
        if certificate.status.as_ref().is_some_and(|status| finding.is_news(status, generation)) {
            context.certificate_queue.add(ObjectRef::new(name).within(namespace));
        }
    }
    wait
}

/// Looks at the servers of a Certificate. Finds nothing if it has changed, or its Secret is not its own.
async fn check(uid: &str, subject: &Subject, context: &Context) -> Result<Option<Finding>, CheckError> {
    let Subject { namespace, name, generation, serial_number } = subject;
    let certificate = context.cache.certificate(namespace, name).filter(|certificate| {
        certificate.metadata.uid.as_deref() == Some(uid)
            && certificate.metadata.generation.unwrap_or_default() == *generation
    });
    let Some(certificate) = certificate else { return Ok(None) };
    let secret_name = &certificate.spec.secret_name;
    let secret = secrets::read(&context.client, namespace, secret_name).await?;
    let stored = secret.and_then(|secret| stored(&secret, &certificate));
    let Some(leaf) = stored.filter(|leaf| leaf.serial_number == *serial_number) else {
        return Ok(None);
    };
    let found = |verdict| Finding { serial_number: serial_number.clone(), generation: *generation, verdict };
    let plan = match plan(&certificate.spec, &leaf, &context.config.served.ports) {
        Ok(plan) => plan,
        Err(verdict) => return Ok(Some(found(verdict))),
    };
    let self_check = context.self_checks.of(&[]).map_err(CheckError::SelfCheck)?;
    let looks: Vec<_> = plan.names.iter().map(|name| look(name, &plan, &self_check)).collect();
    let looked: Vec<Looked> = stream::iter(looks).buffered(NAMES_AT_ONCE).collect().await;
    let ordered = certificate.status.as_ref().and_then(|status| ordered(status, &leaf));
    let stored = Stored { secret: secret_name, leaf: &leaf, ordered };
    Ok(Some(found(plan.judge(&stored, &looked))))
}

/// The certificate in a Secret, if that belongs to the Certificate.
fn stored(secret: &Secret, certificate: &Certificate) -> Option<Leaf> {
    let owner = secrets::annotation(secret, ANNOTATION_CERTIFICATE);
    if owner != certificate.metadata.name.as_deref() {
        return None;
    }
    let chain = Chain::parse_pem(secrets::data(secret, SECRET_KEY_TLS_CRT)?).ok()?;
    Some(chain.leaf().clone())
}

async fn look(name: &str, plan: &Plan, self_check: &SelfCheck) -> Looked {
    let found = self_check.look(name, plan.port, &plan.addresses).await;
    let found = found.map_err(|failure| failure.to_string()).map(|looks| {
        looks.into_iter().map(|(at, shown)| (at, shown.map_or_else(without_certificate, seen))).collect()
    });
    Looked { name: name.to_owned(), found }
}

fn seen(chain: Vec<Vec<u8>>) -> Shown {
    let leaf = chain.first().and_then(|der| Leaf::from_der(der).ok());
    leaf.map_or(Shown::Unreadable, |leaf| Shown::Certificate(Box::new(leaf)))
}

fn without_certificate(failure: LookFailure) -> Shown {
    match failure {
        LookFailure::Forbidden(_) => Shown::Forbidden,
        LookFailure::NoConnection(_) => Shown::NoConnection,
        LookFailure::NoHandshake(_) => Shown::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_certificates_that_wait_for_their_turns_take_ten_megabytes_at_most() {
        fn size<'a, F: Future>(_: fn(&'a Started<String>, &'a FairQueue, &'a Context) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(check_in_turn) < 1000, "{}", size(check_in_turn));
    }
}

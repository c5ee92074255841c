//! Reconciles an Issuer or ClusterIssuer: one account at a CA.

mod account_keys;
mod act;
mod authorizations;
mod deactivation;
mod gather;
mod previous;
mod report;
mod rollover;
mod unverified;
mod verified;

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{Instrument, debug, debug_span, info_span};

use self::account_keys::next_key;
use self::gather::{ReconcileIssuer, recorded};
use super::context::Context;
use super::error::Error;
use super::issuer_record::{AccountSecret, IssuerId, IssuerRecord, account_secret};
use super::reconciler::{Again, Gathering};
use super::retry::retry;
use super::secrets;
use crate::runtime::metrics::ReconcileOutcome;
use crate::runtime::traces::name_of;
use certwright_acme::{Account, jwk_thumbprint};
use certwright_api::AnyIssuer;
use certwright_core::account::{Next, evidence, next_step};
use certwright_core::deletion::Deletion;
use certwright_pki::PrivateKey;
use certwright_runtime::clock::{self, Stopwatch};

/// The maximum number of steps between two waits. No registration needs as many.
const MAX_STEPS: usize = 16;

/// The account recorded in an issuer's status, or why it cannot be used.
///
/// # Errors
/// [`Error::ReadSecret`]
pub async fn account_of(
    issuer: &IssuerRecord,
    secret: &AccountSecret,
    context: &Context,
) -> Result<Result<Account, String>, Error> {
    if let Some(account) = context.accounts.get(issuer, secret) {
        return Ok(Ok(account));
    }
    let _alone = context.accounts.read(secret).await;
    // Another reconcile may have read it in the meantime.
    if let Some(account) = context.accounts.get(issuer, secret) {
        return Ok(Ok(account));
    }
    let (namespace, name, key) = secret;
    let found = secrets::read(&context.client, namespace, name).await?;
    let parsed = found.as_ref().and_then(|found| secrets::data(found, key)).map(PrivateKey::from_pem_or_jwk);
    if found.as_ref().is_some_and(|found| secrets::data(found, &next_key(key)).is_some()) {
        context.wake_issuer(&issuer.id);
        return Ok(Err("it is checking which key its account has".to_owned()));
    }
    let (Some(Ok(parsed)), Some(acme)) = (parsed, &issuer.status.acme) else {
        context.wake_issuer(&issuer.id);
        return Ok(Err(format!("Secret {name} does not hold the account's key")));
    };
    let on_secret = found.as_ref().and_then(|found| recorded(found, &jwk_thumbprint(&parsed)));
    if !evidence::is_confirmed(acme, on_secret.as_ref()) {
        context.wake_issuer(&issuer.id);
        return Ok(Err(format!(
            "Secret {name} does not confirm the account in its status, which is looked for again"
        )));
    }
    let resumed = context.accounts.resume(&issuer.spec, secret.clone(), parsed, &acme.uri);
    Ok(match resumed {
        Ok(account) if account.thumbprint() == acme.key_thumbprint => Ok(account),
        Ok(_) => Err(format!("Secret {name} does not hold the key of the account")),
        Err(error) => Err(error.to_string()),
    })
}

/// Reconciles an issuer of either kind.
///
/// # Errors
/// [`Error`], if the API server fails; see [`error_policy`].
pub async fn reconcile<K: AnyIssuer>(
    issuer: Arc<K>,
    context: Arc<Context>,
    gathering: Gathering,
) -> Result<Again, Error> {
    // It may wait for others that write with the same account key.
    drop(gathering);
    let record = IssuerRecord::from(&*issuer);
    if record.deleted.is_some() && !record.has_finalizer {
        return Ok(None);
    }
    let kind = record.id.kind.as_str();
    let namespace = record.id.namespace.clone().unwrap_or_default();
    let span = info_span!("reconcile", object = kind, namespace, name = record.id.name);
    let uid = record.uid.clone();
    async {
        let took = Stopwatch::start();
        let outcome = reconcile_within(record, &context).await;
        let metric = match &outcome {
            Err(_) => ReconcileOutcome::Failed,
            Ok((_, true)) => ReconcileOutcome::Progressed,
            Ok((_, false)) => ReconcileOutcome::Unchanged,
        };
        context.metrics.reconciled(kind, metric, took.elapsed());
        let (until, _) = outcome?;
        context.in_flight.succeeded(&uid);
        Ok(until.map(clock::until))
    }
    .instrument(span)
    .await
}

async fn reconcile_within(
    record: IssuerRecord,
    context: &Context,
) -> Result<(Option<Timestamp>, bool), Error> {
    let (id, uid, deleted) = (record.id.clone(), record.uid.clone(), record.deleted);
    let account_secret = account_secret(&record, &context.config.cluster_resource_namespace);
    let _writer = context.accounts.write(&account_secret).await;
    if !context.serves_issuer(&record) {
        return Ok((None, false));
    }
    context.accounts.acme_log().see(&record, &account_secret.0, clock::now());
    let mut work = ReconcileIssuer::gather(record, account_secret, context).await?;
    let until = reconcile_once(&mut work, (&id, &uid), deleted, context).await;
    if until.is_err() {
        work.progress.keep_unwritten(&work.state.status);
    }
    context.authorizations.keep(&uid, std::mem::take(&mut work.progress));
    Ok((until?, work.written))
}

async fn reconcile_once(
    work: &mut ReconcileIssuer,
    (id, uid): (&IssuerId, &str),
    deleted: Option<Timestamp>,
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
    work.drop_unverified(context).await?;
    match deleted {
        Some(since) => {
            let namespace = id.namespace.as_deref();
            let with_namespace = namespace.is_some_and(|name| context.cache.namespace_is_ending(name));
            work.end(Deletion { since, with_namespace }, context).await
        }
        None => tokio::select! {
            until = run(work, context) => until,
            // A slow CA does not delay a deletion, or another shard: the current step is aborted, as in a crash. The deletion
            // itself triggers the next reconcile.
            () = context.issuer_departs(id, uid) => Ok(None),
        },
    }
}

async fn run(work: &mut ReconcileIssuer, context: &Context) -> Result<Option<Timestamp>, Error> {
    for _ in 0..MAX_STEPS {
        let now = clock::now();
        work.seen.look_around(context);
        work.state.note_requests(&work.seen.snapshot(), now);
        let step = next_step(&work.state, &work.seen.snapshot(), now);
        debug!(?step, "next step");
        let span = debug_span!("step", step = name_of(&step));
        let done = async {
            let outcome = work.act(step, now, context).await?;
            work.conclude(outcome, now, context).await
        };
        if let Next::Wait(until) = done.instrument(span).await? {
            return work.keep_authorizations(until, context).await;
        }
    }
    let step = next_step(&work.state, &work.seen.snapshot(), clock::now());
    Err(Error::Circles(format!("{step:?}").chars().take(40).collect()))
}

/// Retries a reconcile that failed because of the API server, with a longer wait after each failure.
pub fn error_policy<K>(issuer: Arc<K>, error: &Error, context: Arc<Context>) -> Again
where
    K: AnyIssuer,
{
    if error.object_is_gone() {
        return None;
    }
    retry(&*issuer, error, &context)
}

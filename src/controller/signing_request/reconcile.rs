//! The reconcile of a CertificateSigningRequest.

use std::sync::Arc;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{Resource, ResourceExt};
use tracing::{Instrument, debug, info_span};

use super::act;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::IssuerId;
use crate::controller::reconciler::{Again, Gathering};
use crate::controller::retry::retry;
use crate::controller::secrets;
use crate::runtime::metrics::ReconcileOutcome;
use certwright_api::{IssuerKind, SECRET_KEY_TLS_CRT};
use certwright_core::reading::Readable;
use certwright_core::signing_request::{IssuerTerms, Seen, Signer, Step, certificate_name, next_step};
use certwright_runtime::clock::Stopwatch;

const KIND: &str = "CertificateSigningRequest";

/// Reconciles a CertificateSigningRequest.
///
/// # Errors
/// [`Error`], if the API server fails; see [`error_policy`].
pub async fn reconcile(
    request: Arc<CertificateSigningRequest>,
    context: Arc<Context>,
    _gathering: Gathering,
) -> Result<Again, Error> {
    if !request.concerns_us()
        || request.metadata.deletion_timestamp.is_some()
        || !is_served(&request, &context)
    {
        return Ok(None);
    }
    let span = info_span!("reconcile", object = KIND, name = request.name_any());
    async {
        let took = Stopwatch::start();
        let outcome = follow(&request, &context).await;
        let metric = match &outcome {
            Err(_) => ReconcileOutcome::Failed,
            Ok((false, _)) => ReconcileOutcome::Unchanged,
            Ok((true, _)) => ReconcileOutcome::Progressed,
        };
        context.metrics.reconciled(KIND, metric, took.elapsed());
        let (_, again) = outcome?;
        context.in_flight.succeeded(&request.uid().unwrap_or_default());
        Ok(again)
    }
    .instrument(span)
    .await
}

/// Whether this installation serves the issuer that a request names, and the Certificate that would be created for it.
fn is_served(request: &CertificateSigningRequest, context: &Context) -> bool {
    let config = &context.config;
    let all = config.watch_namespaces.is_empty();
    let watches = |namespace: &str| all || config.watch_namespaces.iter().any(|watched| watched == namespace);
    match Signer::parse(&request.spec.signer_name) {
        Some(Signer { kind: IssuerKind::ClusterIssuer, .. }) => {
            config.cluster_issuers && watches(&config.namespace)
        }
        Some(Signer { namespace, .. }) => namespace.as_deref().is_some_and(watches),
        None => all,
    }
}

/// Steps until there is something to wait for. Returns whether anything was written, and when to look again.
async fn follow(request: &CertificateSigningRequest, context: &Context) -> Result<(bool, Again), Error> {
    let signer = Signer::parse(&request.spec.signer_name);
    let own_namespace = context.config.namespace.as_str();
    let namespace = signer.as_ref().and_then(|signer| signer.namespace.as_deref()).unwrap_or(own_namespace);
    let name = certificate_name(&request.uid().unwrap_or_default());
    let issuer = signer.as_ref().and_then(|Signer { kind, namespace, name }| {
        let id = IssuerId { kind: *kind, namespace: namespace.clone(), name: name.clone() };
        context.cache.issuer(&id)
    });
    let own_labels = context.cache.namespace_labels(own_namespace);
    let certificate = context.cache.certificate(namespace, &name);
    let (mut may_reference, mut chain) = (None, None);
    loop {
        let issuer = issuer.as_ref();
        let step = next_step(&Seen {
            request,
            issuer: issuer.map(|issuer| IssuerTerms { spec: &issuer.spec, allow: issuer.allow.as_ref() }),
            own_namespace,
            own_labels: &own_labels,
            may_reference,
            certificate: certificate.as_deref(),
            has_secret: context.cache.has_secret(namespace, &name),
            chain: chain.as_deref(),
        });
        debug!(?step, "next step");
        let mut again = None;
        let written = match &step {
            Step::Rest => false,
            Step::Wait(_, until) => {
                again = until.and_then(|until| until.try_into().ok());
                false
            }
            Step::AskReference(signer) => {
                may_reference = Some(act::may_reference(request, signer, context).await?);
                continue;
            }
            Step::ReadSecret => {
                let secret = secrets::read(&context.client, namespace, &name).await?;
                let found = secret.as_ref().and_then(|secret| secrets::data(secret, SECRET_KEY_TLS_CRT));
                chain = Some(found.unwrap_or_default().to_vec());
                continue;
            }
            Step::Create(certificate) => {
                act::create(request, certificate, context).await?;
                true
            }
            Step::Issue(chain) => {
                act::issue(request, chain, context).await?;
                true
            }
            Step::Fail { reason, message } => {
                act::fail(request, reason, message, context).await?;
                true
            }
            Step::CleanUp => {
                act::clean_up(namespace, &name, certificate.as_deref(), context).await?;
                true
            }
        };
        if let Some(event) = step.event() {
            context.events.publish(&request.object_ref(&()), &event).await;
        }
        // What was written wakes this request again.
        return Ok((written, again));
    }
}

/// What happens after an error of the API server: the reconcile is retried, with growing delays.
pub fn error_policy(request: Arc<CertificateSigningRequest>, error: &Error, context: Arc<Context>) -> Again {
    if error.object_is_gone() {
        context.in_flight.forget(&request.uid().unwrap_or_default());
        return None;
    }
    retry(&*request, error, &context)
}

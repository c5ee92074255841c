//! The requests to the API server about a CertificateSigningRequest.

use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::{DeleteParams, Patch, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::info;

use crate::controller::apply::applied_by;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use crate::runtime::metrics::ApiVerb;
use certwright_api::{Certificate, FIELD_MANAGER, GROUP};
use certwright_core::reading::Reading;
use certwright_core::signing_request::{Signer, not_written};

const KIND: &str = "CertificateSigningRequest";

/// Asks whether the user who created a request may use an Issuer.
///
/// # Errors
/// [`Error::ReviewAccess`]
pub(super) async fn may_reference(
    request: &CertificateSigningRequest,
    signer: &Signer,
    context: &Context,
) -> Result<bool, Error> {
    // The API server has recorded the user when the request was created.
    let spec = SubjectAccessReviewSpec {
        user: request.spec.username.clone(),
        uid: request.spec.uid.clone(),
        groups: request.spec.groups.clone(),
        extra: request.spec.extra.clone(),
        resource_attributes: Some(ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some("signers".to_owned()),
            verb: Some("reference".to_owned()),
            namespace: signer.namespace.clone(),
            name: Some(signer.name.clone()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let api = Api::<SubjectAccessReview>::all(context.client.clone());
    let answer = api.create(&PostParams::default(), &review).await.map_err(Error::ReviewAccess)?;
    Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}

/// Creates the Certificate for a request. If the API server rejects it, an event says so.
///
/// # Errors
/// [`Error::WriteCertificate`]
pub(super) async fn create(
    request: &CertificateSigningRequest,
    certificate: &Certificate,
    context: &Context,
) -> Result<(), Error> {
    let name = certificate.name_any();
    let namespace = certificate.namespace().unwrap_or_default();
    let api = Api::<Certificate>::namespaced(context.client.clone(), &namespace);
    context.metrics.api_written("Certificate", ApiVerb::Create);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, certificate).await {
        Ok(_) => Ok(()),
        // The cache does not have it yet.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => {
            if let kube::Error::Api(status) = &source
                && matches!(status.code, 400 | 403 | 404 | 422)
            {
                context.events.publish(&request.object_ref(&()), &not_written(&status.message)).await;
            }
            Err(Error::WriteCertificate { name, source })
        }
    }
}

/// Writes the certificate into the status of a request.
///
/// # Errors
/// [`Error::WriteStatus`]
pub(super) async fn issue(
    request: &CertificateSigningRequest,
    chain: &str,
    context: &Context,
) -> Result<(), Error> {
    let certificate = ByteString(chain.as_bytes().to_vec());
    write(request, json!({ "certificate": certificate }), context).await?;
    info!(request = request.name_any(), "issued");
    Ok(())
}

/// Writes the condition `Failed` into the status of a request.
///
/// # Errors
/// [`Error::WriteStatus`]
pub(super) async fn fail(
    request: &CertificateSigningRequest,
    reason: &str,
    message: &str,
    context: &Context,
) -> Result<(), Error> {
    let failed = json!({ "type": "Failed", "status": "True", "reason": reason, "message": message });
    write(request, json!({ "conditions": [failed] }), context).await?;
    info!(request = request.name_any(), reason, why = message, "the request failed");
    Ok(())
}

async fn write(request: &CertificateSigningRequest, status: Value, context: &Context) -> Result<(), Error> {
    let name = request.name_any();
    let patch = json!({
        "apiVersion": CertificateSigningRequest::api_version(&()),
        "kind": KIND,
        "metadata": { "name": name, "uid": request.metadata.uid },
        "status": status,
    });
    let api = Api::<Reading<CertificateSigningRequest>>::all(context.client.clone());
    context.metrics.api_written(KIND, ApiVerb::Patch);
    let params = applied_by(FIELD_MANAGER).force();
    api.patch_status(&name, &params, &Patch::Apply(&patch)).await.map(drop).map_err(Error::WriteStatus)
}

/// Deletes the Certificate for a request, if it is still the same, and then its Secret: while the Certificate exists, a Secret
/// that is missing would be issued again.
///
/// # Errors
/// [`Error::WriteCertificate`], [`Error::WriteSecret`]
pub(super) async fn clean_up(
    namespace: &str,
    name: &str,
    certificate: Option<&Certificate>,
    context: &Context,
) -> Result<(), Error> {
    let Some(certificate) = certificate else { return Ok(()) };
    if certificate.metadata.deletion_timestamp.is_none() {
        let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), namespace);
        let preconditions = Preconditions { uid: certificate.uid(), ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        context.metrics.api_written("Certificate", ApiVerb::Delete);
        match api.delete(name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(source) => return Err(Error::WriteCertificate { name: name.to_owned(), source }),
        }
    }
    if context.cache.has_secret(namespace, name) {
        secrets::delete(&context.client, &context.metrics, namespace, name).await?;
    }
    Ok(())
}

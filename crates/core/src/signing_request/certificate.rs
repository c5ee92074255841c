//! The Certificate that is created for a request.

use std::time::Duration;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use super::Signer;
use certwright_api::{
    Certificate, CertificateRenewal, CertificateSpec, LABEL_MANAGED_BY, Lifetime, MANAGED_BY, RenewalPolicy,
};
use certwright_pki::SigningRequest;

/// The name of the Certificate for the request with this uid, and of its Secret.
pub fn certificate_name(uid: &str) -> String {
    format!("csr-{uid}")
}

/// Whether a Certificate was created for a request.
pub fn is_for_request(certificate: &Certificate) -> bool {
    certificate.owner_references().iter().any(is_request)
}

/// Whether a Certificate was created for this request.
pub(super) fn is_for(certificate: &Certificate, request: &CertificateSigningRequest) -> bool {
    let uid = request.metadata.uid.as_deref();
    certificate.owner_references().iter().any(|owner| is_request(owner) && Some(owner.uid.as_str()) == uid)
}

fn is_request(owner: &OwnerReference) -> bool {
    owner.kind == CertificateSigningRequest::kind(&())
        && owner.api_version == CertificateSigningRequest::api_version(&())
}

/// The Certificate for `request`, whose content is `csr`. It is issued once: it is deleted before it would be renewed. It has the
/// labels of the request, by which solvers and shards select it.
pub(super) fn certificate(
    request: &CertificateSigningRequest,
    signer: &Signer,
    csr: &SigningRequest,
    namespace: &str,
) -> Certificate {
    let name = certificate_name(request.metadata.uid.as_deref().unwrap_or_default());
    let lifetime = request.spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let spec = CertificateSpec {
        secret_name: name.clone(),
        issuer_ref: signer.reference(),
        csr: Some(csr.pem()),
        duration: lifetime.map(|seconds| Lifetime::clamped(Duration::from_secs(seconds))),
        renewal: Some(CertificateRenewal {
            policy: Some(RenewalPolicy::Disabled),
            ..CertificateRenewal::default()
        }),
        ..CertificateSpec::default()
    };
    let mut certificate = Certificate::new(&name, spec);
    certificate.metadata.namespace = Some(namespace.to_owned());
    let mut labels = request.metadata.labels.clone().unwrap_or_default();
    labels.insert(LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    certificate.metadata.labels = Some(labels);
    certificate.metadata.owner_references = Some(vec![OwnerReference {
        api_version: CertificateSigningRequest::api_version(&()).into_owned(),
        kind: CertificateSigningRequest::kind(&()).into_owned(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }]);
    certificate
}

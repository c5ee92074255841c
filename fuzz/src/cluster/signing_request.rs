//! CertificateSigningRequests of Kubernetes.

use std::collections::BTreeMap;

use certwright_api::AcmeIssuer;
use certwright_core::signing_request::{IssuerTerms, Seen, Step, next_step};
use certwright_core::spec::ValidatedCertificate;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::watched;
use crate::property::message;

/// A CertificateSigningRequest that anybody may have written, and what is decided about it.
pub fn signing_request(data: &[u8]) {
    let Some(request) = watched::<CertificateSigningRequest>(data) else { return };
    let (spec, labels) = (AcmeIssuer::default(), BTreeMap::new());
    for may_reference in [None, Some(true), Some(false)] {
        let seen = Seen {
            request: &request,
            issuer: Some(IssuerTerms { spec: &spec, allow: None }),
            own_namespace: "certwright",
            own_labels: &labels,
            may_reference,
            certificate: None,
            has_secret: false,
            chain: None,
        };
        match next_step(&seen) {
            Step::Fail { message: words, .. } => message(&words),
            Step::Create(certificate) => {
                ValidatedCertificate::new(&certificate.spec, None).expect("what is created is valid");
            }
            Step::Rest | Step::AskReference(_) => {}
            other => panic!("without a Certificate: {other:?}"),
        }
    }
}

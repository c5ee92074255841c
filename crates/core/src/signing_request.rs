//! Certificates for CertificateSigningRequests of Kubernetes (`certificates.k8s.io/v1`) whose signer name is that of an issuer.
//!
//! For an approved request, a Certificate is created, which a Certificate's own machine fills ([`crate::issuance`]). When it has
//! a certificate, that is copied into the status of the request, and the Certificate is deleted.

mod certificate;
mod next_step;
mod signer;

pub use self::certificate::{certificate_name, is_for_request};
pub use self::next_step::{IssuerTerms, Seen, Step, next_step, not_written};
pub use self::signer::Signer;

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::reading::{Bounds, Readable};

impl Readable for CertificateSigningRequest {
    const BOUNDS: Bounds = Bounds { metadata_only: false, spec: 128 << 10, only: None, text: usize::MAX };

    fn empty_spec() -> Value {
        json!({ "request": "", "signerName": "" })
    }

    fn concerns_us(&self) -> bool {
        Signer::is_ours(&self.spec.signer_name)
    }

    /// Of requests to other signers, only the name is kept in memory.
    fn reduce(&mut self, _also: &[String]) {
        let concerns_us = self.concerns_us();
        let metadata = std::mem::take(&mut self.metadata);
        self.metadata = ObjectMeta {
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            deletion_timestamp: metadata.deletion_timestamp,
            labels: metadata.labels.filter(|_| concerns_us),
            ..ObjectMeta::default()
        };
        if !concerns_us {
            (self.spec, self.status) = (CertificateSigningRequestSpec::default(), None);
        }
    }
}

#[cfg(test)]
mod tests;

//! Writes Certificates.

use std::collections::BTreeSet;

use kube::api::{DeleteParams, Patch, Preconditions};
use kube::{Api, ResourceExt};

use crate::controller::apply::applied_by;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::runtime::metrics::ApiVerb;
use certwright_api::{ANNOTATIONS_FIELD_MANAGER, Certificate, annotated_reason as reason};
use certwright_core::annotated::{AnnotatedObject, Decision, Remark, decide};
use certwright_core::reading::Reading;

const KIND: &str = "Certificate";

/// The result of applying a Certificate.
pub enum Applied {
    /// It is written.
    Written(Remark),
    /// It is not written, because it differs from the cached version.
    Not(Decision),
}

/// Creates or changes a Certificate. It is read first, because the cache may be behind: otherwise the apply could change a
/// Certificate that somebody else has just created.
///
/// # Errors
/// [`Error::ReadCertificate`], [`Error::WriteCertificate`]
pub async fn apply(
    context: &Context,
    annotated: &AnnotatedObject,
    wanted: &Certificate,
    remarks: &mut BTreeSet<Remark>,
) -> Result<Applied, Error> {
    let name = wanted.name_any();
    let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), &annotated.namespace);
    let existing = api.get_opt(&name).await;
    let existing = existing.map_err(|source| Error::ReadCertificate { name: name.clone(), source })?;
    // The metadata of one that cannot be read still shows its owner; if it is ours, it is rewritten.
    let existing = existing.map(|existing| existing.object);
    match decide(wanted, annotated, existing.as_ref()) {
        Decision::Apply => {}
        other => return Ok(Applied::Not(other)),
    }
    let params = applied_by(ANNOTATIONS_FIELD_MANAGER);
    let (params, reason, verb) = match &existing {
        None => (params, reason::CERTIFICATE_CREATED, "created"),
        // Changes by others are reverted.
        Some(_) => (params.force(), reason::CERTIFICATE_UPDATED, "changed"),
    };
    context.metrics.api_written(KIND, ApiVerb::Patch);
    match api.patch(&name, &params, &Patch::Apply(wanted)).await {
        Ok(_) => Ok(Applied::Written(Remark { reason, note: format!("Certificate {name} was {verb}") })),
        Err(source) => {
            if let kube::Error::Api(status) = &source
                && matches!(status.code, 400 | 403 | 422)
            {
                remarks.insert(refused(&name, &status.message));
            }
            Err(Error::WriteCertificate { name, source })
        }
    }
}

fn refused(name: &str, words: &str) -> Remark {
    let note = format!("Certificate {name} cannot be written: the API server rejects it: {words}");
    Remark { reason: reason::CERTIFICATE_NOT_WRITTEN, note }
}

/// Deletes a Certificate, if it is still the same.
///
/// # Errors
/// [`Error::WriteCertificate`]
pub async fn delete(context: &Context, certificate: &Certificate) -> Result<Option<Remark>, Error> {
    let name = certificate.name_any();
    let namespace = certificate.namespace().unwrap_or_default();
    let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), &namespace);
    let preconditions = Preconditions { uid: certificate.uid(), ..Preconditions::default() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    context.metrics.api_written(KIND, ApiVerb::Delete);
    match api.delete(&name, &params).await {
        Ok(_) => {
            let note = format!("Certificate {name} is no longer requested, and was deleted");
            Ok(Some(Remark { reason: reason::CERTIFICATE_DELETED, note }))
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(source) => Err(Error::WriteCertificate { name, source }),
    }
}

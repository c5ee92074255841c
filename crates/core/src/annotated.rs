//! Certificates requested by annotations on an Ingress, a Gateway or a ListenerSet: which ones should exist, and what to do about
//! existing ones.
//!
//! The annotations, and the treatment of hosts and listeners, are those of cert-manager v1.21 (ingress-shim and gateway-shim),
//! with our own prefix.

mod annotations;
mod certificate;
mod elsewhere;
mod names;
mod object;
mod readable;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use kube::ResourceExt;

pub use self::annotations::{ANNOTATIONS, Annotation, Effect};
use self::annotations::{Annotations, Chosen};
use self::certificate::{Secrets, build, is_as_wanted, secrets};
pub use self::elsewhere::{ELSEWHERE, Elsewhere};
pub use self::object::{AnnotatedKind, AnnotatedObject, Gateway, Ingress, Listener, ListenerSet};
pub use self::routes::{MAX_ROUTE_NAMES, NamedRoute, NamedRouteSpec, name_listeners, parents};
use certwright_api::{Certificate, IssuerRef, annotated_reason as reason};

/// Which annotations are read.
#[derive(Clone, Debug, Default)]
pub struct AnnotationSettings {
    /// Whether cert-manager's annotation names are also read; if both are present, ours win.
    pub cert_manager: bool,
    /// The issuer for Ingresses with an annotation of [`automatic`](Self::automatic) that name none.
    pub default_issuer: Option<IssuerRef>,
    /// Names of annotations that request a Certificate if they are true, such as `kubernetes.io/tls-acme`.
    pub automatic: Vec<String>,
    /// Names of annotations that are copied to the Certificates.
    pub copied: Vec<String>,
    /// Whether hostnames of HTTPRoutes can be names of certificates.
    pub routes: bool,
}

/// Whether a Gateway or a ListenerSet asks for the hostnames of its HTTPRoutes: see [`name_listeners`].
pub fn follows_routes(object: &AnnotatedObject, settings: &AnnotationSettings) -> bool {
    Annotations::of(object, settings).follows_routes()
}

/// What an Ingress, a Gateway or a ListenerSet requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The Certificates that should exist, each named after its Secret.
    pub certificates: Vec<Certificate>,
    /// Further Certificates that stay as they are, if there are any.
    pub kept: Kept,
    /// What its owner should know.
    pub remarks: Vec<Remark>,
}

/// Certificates that are not changed while their source contains a mistake.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Those with these names.
    These(BTreeSet<String>),
    /// All: it is unclear what is requested.
    All,
    /// All, though nothing is requested: no issuer is named. Whoever removes the annotation may not intend that a Certificate goes.
    Unrequested,
}

impl Default for Kept {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

/// An event on an Ingress or a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// One of [`annotated_reason`](certwright_api::annotated_reason).
    pub reason: &'static str,
    /// The message.
    pub note: String,
}

/// What to do about one Certificate.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: it is up to date, or is being deleted.
    Leave,
    /// It is created or changed.
    Apply,
    /// It belongs to somebody else.
    Foreign(Remark),
}

/// What an Ingress or a Gateway requests.
pub fn plan(object: &AnnotatedObject, settings: &AnnotationSettings) -> Plan {
    let annotations = Annotations::of(object, settings);
    let issuer = match annotations.issuer() {
        Ok(Chosen::Issuer(issuer)) => issuer,
        Ok(Chosen::None) => return Plan { kept: Kept::Unrequested, ..Plan::default() },
        Err(remark) => return Plan { kept: Kept::All, remarks: vec![remark], ..Plan::default() },
    };
    let fields = match annotations.fields() {
        Ok(fields) => fields,
        Err(mistakes) => return Plan { kept: Kept::All, remarks: mistakes, ..Plan::default() },
    };
    let Secrets { wanted, kept, mut remarks } = secrets(object, &annotations.ignored_listeners());
    let set = annotations.of_certificates();
    let certificates =
        wanted.into_iter().map(|(secret, hosts)| build(object, &issuer, (&fields, &set), secret, hosts));
    match certificates.collect::<Result<Vec<Certificate>, Remark>>() {
        Ok(certificates) => {
            remarks.extend(object.remarks.iter().cloned());
            remarks.extend(annotations.not_used());
            Plan { certificates, kept: Kept::These(kept), remarks }
        }
        Err(remark) => Plan { kept: Kept::All, remarks: vec![remark], ..Plan::default() },
    }
}

/// What to do about `existing`, the Certificate with this name, if there is one.
pub fn decide(wanted: &Certificate, object: &AnnotatedObject, existing: Option<&Certificate>) -> Decision {
    match existing {
        None => Decision::Apply,
        // When it is gone, it is created again.
        Some(existing) if existing.metadata.deletion_timestamp.is_some() => Decision::Leave,
        Some(existing) if !is_made_from(existing, object) => Decision::Foreign(foreign(existing)),
        Some(existing) if is_as_wanted(existing, wanted) => Decision::Leave,
        Some(_) => Decision::Apply,
    }
}

/// Whether a Certificate was created from this Ingress or Gateway, and is no longer requested.
pub fn is_surplus(certificate: &Certificate, object: &AnnotatedObject, plan: &Plan) -> bool {
    let name = certificate.name_any();
    let kept = match &plan.kept {
        Kept::All | Kept::Unrequested => true,
        Kept::These(names) => names.contains(&name),
    };
    is_made_from(certificate, object)
        && certificate.metadata.deletion_timestamp.is_none()
        && !kept
        && !plan.certificates.iter().any(|wanted| wanted.name_any() == name)
}

/// What to say about a Certificate that stays although it is no longer requested.
pub fn unrequested(certificate: &Certificate, object: &AnnotatedObject, plan: &Plan) -> Option<Remark> {
    let stays = plan.kept == Kept::Unrequested
        && is_made_from(certificate, object)
        && certificate.metadata.deletion_timestamp.is_none();
    stays.then(|| Remark {
        reason: reason::CERTIFICATE_KEPT,
        note: format!(
            "Certificate {} stays, and is renewed, although no annotation names an issuer of Certwright: delete it if you do not \
             need it",
            certificate.name_any()
        ),
    })
}

/// Whether a Certificate was created from this Ingress or Gateway.
fn is_made_from(certificate: &Certificate, object: &AnnotatedObject) -> bool {
    certificate
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == object.uid)
}

fn foreign(existing: &Certificate) -> Remark {
    let name = existing.name_any();
    let owner = existing.owner_references().iter().find(|owner| owner.controller == Some(true));
    let note = match owner {
        Some(owner) => format!(
            "Certificate {name} was created from {} {}, so it is not changed: name another Secret here, or list all hosts there",
            owner.kind, owner.name
        ),
        None => format!(
            "Certificate {name} exists and was not created from annotations, so it is not changed: delete it, or name \
             another Secret"
        ),
    };
    Remark { reason: reason::CERTIFICATE_NOT_OURS, note }
}

//! Ingresses, Gateways and ListenerSets with annotations, and the Certificates that they ask for.

use certwright_api::{ANNOTATION_TAKEN_OVER_FROM, IssuerRef};
use certwright_core::annotated::{
    AnnotatedObject, AnnotationSettings, Decision, Gateway, Ingress, ListenerSet, Plan, decide, is_surplus,
    plan,
};
use certwright_core::reading::Readable;
use kube::ResourceExt;

use super::{check_spec, watched};
use crate::property::message;

/// An Ingress with annotations.
pub fn ingress(data: &[u8]) {
    let Some(mut object) = watched::<Ingress>(data) else { return };
    object.reduce(&[]);
    annotated(&AnnotatedObject::from(&object));
}

/// A Gateway, or a ListenerSet, with annotations.
pub fn gateway(data: &[u8]) {
    if let Some(mut object) = watched::<Gateway>(data) {
        object.reduce(&[]);
        annotated(&AnnotatedObject::from(&object));
    }
    if let Some(mut object) = watched::<ListenerSet>(data) {
        object.reduce(&[]);
        annotated(&AnnotatedObject::from(&object));
    }
}

fn annotated(annotated: &AnnotatedObject) {
    let default_issuer = Some(IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() });
    let (automatic, copied) =
        (vec!["kubernetes.io/tls-acme".to_owned()], vec!["cert-manager.io/duration".to_owned()]);
    let all = AnnotationSettings { cert_manager: true, default_issuer, automatic, copied, routes: true };
    for settings in [all, AnnotationSettings::default()] {
        let planned @ Plan { certificates, remarks, .. } = &plan(annotated, &settings);
        remarks.iter().for_each(|remark| message(&remark.note));
        for certificate in certificates {
            check_spec(&certificate.spec);
            assert_eq!(decide(certificate, annotated, None), Decision::Apply);
            assert_eq!(decide(certificate, annotated, Some(certificate)), Decision::Leave, "it is as wanted");
            assert!(!is_surplus(certificate, annotated, planned));
            assert!(!certificate.annotations().contains_key(ANNOTATION_TAKEN_OVER_FROM));
        }
    }
}

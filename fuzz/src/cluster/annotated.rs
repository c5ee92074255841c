//! Ingresses and Gateways with annotations, and the Certificates that they ask for.

use certwright_api::{ANNOTATION_TAKEN_OVER_FROM, IssuerRef};
use certwright_core::annotated::{
    AnnotatedObject, AnnotationSettings, Decision, Gateway, Ingress, Plan, decide, is_surplus, plan,
    reduce_gateway, reduce_ingress,
};
use kube::ResourceExt;

use super::{check_spec, watched};
use crate::property::message;

/// An Ingress with annotations.
pub fn ingress(data: &[u8]) {
    let Some(mut object) = watched::<Ingress>(data) else { return };
    reduce_ingress(&mut object);
    annotated(&AnnotatedObject::from(&object));
}

/// A Gateway with annotations.
pub fn gateway(data: &[u8]) {
    let Some(mut object) = watched::<Gateway>(data) else { return };
    reduce_gateway(&mut object);
    annotated(&AnnotatedObject::from(&object));
}

fn annotated(annotated: &AnnotatedObject) {
    let default_issuer = Some(IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() });
    for settings in [AnnotationSettings { cert_manager: true, default_issuer }, AnnotationSettings::default()]
    {
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

//! A request to the operator about one object, by an annotation as users set it.

use kube::Api;

use super::chosen_issuer::IssuerApi;
use super::kind::Kind;
use super::targets::Target;
use super::{Cluster, Error};
use certwright_api::{ANNOTATION_RENEW, ANNOTATION_RETRY, Certificate, ClusterIssuer, Issuer};
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// Asks the operator to renew a Certificate, or to try an issuer again, now.
///
/// # Errors
/// [`Error`], if the request fails.
pub async fn again(cluster: &Cluster, target: &Target) -> Result<(), Error> {
    let annotation = match target.kind {
        Kind::Certificate => ANNOTATION_RENEW,
        Kind::Issuer | Kind::ClusterIssuer => ANNOTATION_RETRY,
    };
    annotate(cluster, target, (annotation, &clock::now().to_string())).await
}

/// Sets an annotation of an object.
///
/// # Errors
/// [`Error`], if the request fails.
pub async fn annotate(cluster: &Cluster, target: &Target, annotation: (&str, &str)) -> Result<(), Error> {
    let (key, value) = annotation;
    let (namespace, name, called) = (&*cluster.namespace, &*target.name, target.called(&cluster.namespace));
    let (client, annotation) = (cluster.client.clone(), (key, Some(value)));
    match target.kind {
        Kind::Certificate => {
            let api = Api::<Reading<Certificate>>::namespaced(client, namespace);
            cluster.annotate(&api, name, &called, annotation).await
        }
        Kind::Issuer => cluster.annotate(&Issuer::api(client, namespace), name, &called, annotation).await,
        Kind::ClusterIssuer => {
            cluster.annotate(&ClusterIssuer::api(client, namespace), name, &called, annotation).await
        }
    }
}

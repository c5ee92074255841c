use futures::channel::mpsc::UnboundedReceiver;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;
use crate::controller::cache::Watches;
use crate::controller::tests::context;
use certwright_api::{CertificateSpec, CertificateStatus, IssuerRef};

#[tokio::test]
async fn a_certificate_of_which_the_watch_does_not_know_yet_that_it_waits_is_woken_with_the_issuer() {
    let mut scene = Scene::start();
    scene.handlers.context.in_flight.begin(&waiting("at-work", "ca"));
    scene.handlers.context.in_flight.written(Arc::new(waiting("written", "ca")));
    scene.handlers.context.in_flight.written(Arc::new(waiting("another", "other")));
    scene.handlers.issuer(Change::Seen(changed_issuer()));
    assert_eq!(scene.woken(), ["at-work", "written"]);
}

#[tokio::test]
async fn a_certificate_of_which_the_watch_does_not_know_yet_that_it_is_not_allowed_is_woken_with_its_namespace()
 {
    let mut scene = Scene::start();
    scene.handlers.context.in_flight.begin(&waiting("at-work", "ca"));
    scene.handlers.context.in_flight.written(Arc::new(waiting("written", "ca")));
    for name in ["team", "other"] {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = PartialObjectMeta { metadata, ..PartialObjectMeta::default() };
        scene.handlers.namespace(Change::Seen(Arc::new(namespace)));
    }
    assert_eq!(scene.woken(), ["at-work", "written"]);
}

#[tokio::test]
async fn a_certificate_at_rest_is_not_woken_with_the_issuer() {
    let mut scene = Scene::start();
    let certificate = waiting("web", "ca");
    scene.handlers.context.in_flight.begin(&certificate);
    scene.handlers.context.in_flight.written(Arc::new(certificate.clone()));
    scene.handlers.context.in_flight.seen(&certificate);
    scene.handlers.context.in_flight.keep("web", None);
    scene.handlers.issuer(Change::Seen(changed_issuer()));
    assert!(scene.woken().is_empty());
}

struct Scene {
    handlers: WatchHandlers,
    requests: UnboundedReceiver<ObjectRef<Certificate>>,
    _watches: Watches<dyn WatchHandler>,
}

impl Scene {
    fn start() -> Self {
        let (context, watches) = context();
        let requests = context.certificate_queue.connect(None);
        Self { handlers: WatchHandlers::new(context), requests, _watches: watches }
    }

    /// The names of those that were requested, in order.
    fn woken(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Ok(object) = self.requests.try_recv() {
            names.push(object.name);
        }
        names.sort();
        names
    }
}

fn waiting(name: &str, issuer: &str) -> Certificate {
    let issuer_ref = IssuerRef { name: issuer.to_owned(), ..IssuerRef::default() };
    let mut certificate =
        Certificate::new(name, CertificateSpec { issuer_ref, ..CertificateSpec::default() });
    certificate.metadata.namespace = Some("team".to_owned());
    certificate.metadata.uid = Some(name.to_owned());
    certificate.metadata.resource_version = Some("7".to_owned());
    certificate.status = Some(CertificateStatus::default());
    certificate
}

fn changed_issuer() -> Arc<Issuer> {
    let mut issuer = Issuer::default();
    issuer.metadata.name = Some("ca".to_owned());
    issuer.metadata.namespace = Some("team".to_owned());
    issuer.metadata.uid = Some("ca".to_owned());
    Arc::new(issuer)
}

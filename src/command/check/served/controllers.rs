//! What leads to the Secret of a Certificate, and what to do if it serves something else.

use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::command::Cluster;
use crate::command::output::plain;

/// What leads to the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entrances {
    /// These Ingresses, by name and class.
    Ingresses { secret: String, namespace: String, found: Vec<(String, Option<String>)> },
    /// It is not known.
    Unknown,
}

/// What to know about some controllers, by their usual class: those that do not simply watch the Secret.
const CONTROLLERS: &[(&str, &str)] = &[
    (
        "alb",
        "The AWS Load Balancer Controller does not read Secrets: it serves certificates of AWS Certificate Manager. Serve this \
         one behind a load balancer that passes TLS on.",
    ),
    (
        "gce",
        "GKE copies the Secret to the load balancer, which takes some minutes after each change: `kubectl describe ingress` shows \
         errors.",
    ),
];

impl Entrances {
    /// The Ingresses in this namespace that name the Secret.
    pub(super) async fn of(cluster: &Cluster, namespace: &str, secret: &str) -> Self {
        let api: Api<Ingress> = Api::namespaced(cluster.client.clone(), namespace);
        let Ok(ingresses) = api.list(&ListParams::default()).await else { return Self::Unknown };
        let found = ingresses.items.iter().filter(|ingress| names(ingress, secret));
        let found = found.map(|ingress| (plain(&ingress.name_any()), class(ingress))).collect();
        Self::Ingresses { secret: secret.to_owned(), namespace: namespace.to_owned(), found }
    }

    /// What to do about what is served; `default_of` is the controller that serves its default certificate.
    pub(super) fn advice(&self, default_of: Option<&str>) -> String {
        let Self::Ingresses { secret, namespace, found } = self else {
            return "Check that the name leads to what should serve it, and reload or restart that."
                .to_owned();
        };
        let Some((ingress, class)) = found.first() else {
            return format!(
                "No Ingress in namespace {namespace} names Secret {secret} in spec.tls. If an Ingress serves the name, add it \
                 there: a controller does not read Secrets of other namespaces. If something else serves it, reload or restart \
                 that: docs/served.md says how to have that done after each renewal."
            );
        };
        let known = class.as_ref().and_then(|class| CONTROLLERS.iter().find(|(known, _)| known == class));
        if let Some((_, words)) = known {
            return (*words).to_owned();
        }
        let of_class = class.as_ref().map_or_else(String::new, |class| format!(" of class {class}"));
        match default_of {
            Some(controller) => format!(
                "Ingress {ingress}{of_class} names Secret {secret} in spec.tls. Check that its hosts include the name, that \
                 {controller} serves that class, and what its log says about the Secret."
            ),
            None => format!(
                "Ingress {ingress}{of_class} names Secret {secret} in spec.tls. Its controller reads the Secret when it changes: \
                 check that all of its pods run, that they may read Secrets, and what their logs say; then restart them. Check \
                 also that the name leads there."
            ),
        }
    }
}

fn names(ingress: &Ingress, secret: &str) -> bool {
    let tls = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
    tls.filter_map(|tls| tls.secret_name.as_deref()).any(|name| name == secret)
}

fn class(ingress: &Ingress) -> Option<String> {
    let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.clone());
    class
        .or_else(|| ingress.annotations().get("kubernetes.io/ingress.class").cloned())
        .map(|class| plain(&class))
}

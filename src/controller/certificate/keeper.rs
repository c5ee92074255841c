//! Whether cert-manager keeps a Secret: while it has a Certificate for it, the two would write it in turns.

use k8s_openapi::api::core::v1::Secret;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

use crate::api::ANNOTATION_CERT_MANAGER_CERTIFICATE;
use crate::controller::error::{Error, is_absent};
use crate::controller::secrets;

/// The Certificate of cert-manager's that keeps a Secret: the Secret says its name, and it is there and has not turned to
/// another Secret.
///
/// # Errors
/// [`Error::ReadKeeper`]
pub(super) async fn kept_by_cert_manager(secret: &Secret, client: &Client) -> Result<Option<String>, Error> {
    let Some(name) = secrets::annotation(secret, ANNOTATION_CERT_MANAGER_CERTIFICATE) else {
        return Ok(None);
    };
    let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    let resource = ApiResource::from_gvk_with_plural(&kind, "certificates");
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    match api.get(name).await {
        Ok(keeper) => {
            let keeps = keeper.data["spec"]["secretName"].as_str() == secret.metadata.name.as_deref();
            Ok(keeps.then(|| name.to_owned()))
        }
        // Neither is cert-manager there, if the API server does not know the kind.
        Err(kube::Error::Api(status)) if is_absent(&status) => Ok(None),
        // Whoever took the right away has to see to it that cert-manager is gone.
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        Err(source) => Err(Error::ReadKeeper { name: name.to_owned(), source }),
    }
}

//! Whether cert-manager manages a Secret: if it has a Certificate for it, both operators would overwrite the Secret in turns.

use http::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use serde::Deserialize;

use crate::controller::error::{Error, is_absent};
use crate::controller::secrets;
use certwright_api::ANNOTATION_CERT_MANAGER_CERTIFICATE;
use certwright_api::bounds::is_object_name;

/// cert-manager's Certificate that manages a Secret: the Secret names it, and it exists and still names this Secret.
///
/// # Errors
/// [`Error::ReadKeeper`]
pub(super) async fn kept_by_cert_manager(secret: &Secret, client: &Client) -> Result<Option<String>, Error> {
    let Some(name) = secrets::annotation(secret, ANNOTATION_CERT_MANAGER_CERTIFICATE) else {
        return Ok(None);
    };
    // It is untrusted, and becomes a part of a URL path.
    if !is_object_name(name) {
        return Ok(None);
    }
    let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
    let path = format!("/apis/cert-manager.io/v1/namespaces/{namespace}/certificates/{name}");
    let request = Request::get(path).body(Vec::new());
    let failed = |source| Error::ReadKeeper { name: name.to_owned(), source };
    let request = request.map_err(|error| failed(kube::Error::HttpError(error)))?;
    let _turn = secrets::turn_to_read(namespace).await;
    match client.request::<Keeper>(request).await {
        Ok(keeper) => {
            let keeps = keeper.spec.secret_name == secret.metadata.name;
            Ok(keeps.then(|| name.to_owned()))
        }
        // If the API server does not know the kind, cert-manager is not installed.
        Err(kube::Error::Api(status)) if is_absent(&status) => Ok(None),
        // If an administrator removed this permission, they must make sure that cert-manager is gone.
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

/// The needed part of cert-manager's Certificate, which may be large.
#[derive(Deserialize)]
struct Keeper {
    spec: KeeperSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeeperSpec {
    secret_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_no_object_can_have_is_not_asked_for() {
        let client = Client::new(
            tower::service_fn(|_: Request<kube::client::Body>| async {
                Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("the API server is asked"))
            }),
            "shop",
        );
        let secret = |name: &str| {
            let mut secret = Secret::default();
            secret.metadata.namespace = Some("shop".to_owned());
            let annotations = [(ANNOTATION_CERT_MANAGER_CERTIFICATE.to_owned(), name.to_owned())];
            secret.metadata.annotations = Some(annotations.into());
            secret
        };
        for name in
            ["../../../../../api/v1/namespaces/kube-system/secrets/token", "a?b", "A", "", &"a".repeat(254)]
        {
            let kept = kept_by_cert_manager(&secret(name), &client).await;
            assert_eq!(kept.unwrap(), None, "{name}");
        }
        assert!(kept_by_cert_manager(&secret("web"), &client).await.is_err());
    }
}

//! Applies objects, and removes them by their labels.

use kube::api::{DeleteParams, ListParams, Patch, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::controller::apply::applied_by;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::runtime::metrics::ApiVerb;
use certwright_api::FIELD_MANAGER;
use certwright_solver::http01::CERTIFICATE_UID_LABEL;

/// Creates an object of ours, which takes the API server less time than an apply. If it exists, it is applied. So its name must
/// be different for each set of labels and annotations: an apply does not remove those that an object was created with.
///
/// # Errors
/// [`Error::Present`]
pub async fn create<K>(context: &Context, namespace: &str, kind: &'static str, object: K) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(context.client.clone(), namespace);
    context.metrics.api_written(kind, ApiVerb::Create);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, &object).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            apply(context, namespace, kind, object).await
        }
        Err(source) => Err(Error::Present { kind, name: object.name_any(), source }),
    }
}

/// Applies an object of ours.
///
/// # Errors
/// [`Error::Present`]
pub async fn apply<K>(context: &Context, namespace: &str, kind: &'static str, object: K) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let name = object.name_any();
    let api = Api::<K>::namespaced(context.client.clone(), namespace);
    context.metrics.api_written(kind, ApiVerb::Patch);
    api.patch(&name, &applied_by(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .map_err(|source| Error::Present { kind, name, source })
}

/// The objects of a Certificate, also those of other shards.
pub fn of_certificate(uid: &str) -> ListParams {
    ListParams::default().labels(&format!("{CERTIFICATE_UID_LABEL}={uid}"))
}

/// The objects of a Certificate that belong to this shard.
pub fn own_of_certificate(context: &Context, uid: &str) -> ListParams {
    let shard = context.http01.shard.selector();
    ListParams::default().labels(&format!("{CERTIFICATE_UID_LABEL}={uid},{shard}"))
}

/// Removes the objects of a kind that `which` selects.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn delete_collection<K>(
    context: &Context,
    namespace: &str,
    kind: &'static str,
    which: &ListParams,
) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(context.client.clone(), namespace);
    context.metrics.api_written(kind, ApiVerb::Delete);
    api.delete_collection(&DeleteParams::default(), which)
        .await
        .map(drop)
        .map_err(|source| Error::Withdraw { kind, source })
}

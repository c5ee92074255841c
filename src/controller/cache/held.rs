//! The form in which the objects of each kind are held, and what they are looked up by.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;

use super::form::Form;
use super::packed::Packed;
use crate::controller::issuer_record::{IssuerId, account_secret_name};
use certwright_api::{
    AcmeIssuer, CONDITION_ISSUING, CONDITION_READY, Certificate, CertificateStatus, ClusterIssuer, Issuer,
    certificate_reason as reason,
};
use certwright_core::annotated::{Gateway, Ingress, Listener, ListenerSet, NamedRoute, parents};
use certwright_core::conditions::{condition, is_true};
use certwright_core::reading::Readable;
use certwright_core::revoked::{is_on_hold, recorded};

/// What objects are looked up by, besides their names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Index<'a> {
    /// Those that name a Secret, by namespace and name.
    Secret(&'a str, &'a str),
    /// Issuers whose account key is in a Secret with this name.
    AccountSecret(String),
    /// Routes that ask to be attached to a parent, by its kind, namespace and name.
    Parent(&'a str, &'a str, &'a str),
    /// Those that an object with this uid owns.
    Owner(&'a str),
    /// Certificates that are not ready, or being issued, by each issuer that they may use.
    Waiting(IssuerId),
    /// Certificates whose challenges are presented, by their issuer.
    ValidatingFor(IssuerId),
    /// Certificates whose challenges are presented, by namespace.
    Presenting(&'a str),
    /// Certificates that their issuer does not allow, by namespace.
    NotAllowed(&'a str),
    /// Those that are being deleted, by namespace.
    Deleted(&'a str),
    /// Certificates that name a revocation list, by its URL.
    RevocationList(&'a str),
    /// Certificates that would be on a revocation list if they were revoked, by its URL and their serial number.
    Listed(&'a str, &'a str),
    /// Certificates that were found to be on hold, by the URL of the list.
    OnHold(&'a str),
}

/// A kind that is watched.
pub trait Held: Readable + Clone + Debug + Send + Sync + 'static {
    /// The form in which its objects are held.
    type Form: Form<Self> + Send + Sync;

    /// What this object is looked up by.
    fn index(&self) -> Vec<Index<'_>> {
        Vec::new()
    }
}

impl Held for Certificate {
    type Form = Packed<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let mut index = vec![Index::Secret(namespace, &self.spec.secret_name)];
        index.extend(self.owner_references().iter().map(|owner| Index::Owner(&owner.uid)));
        if self.metadata.deletion_timestamp.is_some() {
            index.push(Index::Deleted(namespace));
        }
        let status = self.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let issuing = condition(conditions, CONDITION_ISSUING);
        if issuing.is_some_and(|issuing| issuing.reason == reason::NOT_ALLOWED) {
            index.push(Index::NotAllowed(namespace));
        }
        if !is_true(conditions, CONDITION_READY) || is_true(conditions, CONDITION_ISSUING) {
            index.extend(IssuerId::all_of(self).map(Index::Waiting));
        }
        if let Some(status) = status.filter(|status| !status.challenges.is_empty()) {
            index.push(Index::Presenting(namespace));
            index.extend(status.order.is_some().then(|| Index::ValidatingFor(IssuerId::of(self))));
        }
        index.extend(status.into_iter().flat_map(of_revocation_list));
        index
    }
}

fn of_revocation_list(status: &CertificateStatus) -> Vec<Index<'_>> {
    let (Some(url), Some(serial)) = (&status.revocation_list_url, &status.serial_number) else {
        return Vec::new();
    };
    let on_hold = recorded(status, serial).filter(|known| is_on_hold(known));
    let on_hold = on_hold.map(|_| Index::OnHold(url));
    [Index::RevocationList(url), Index::Listed(url, serial)].into_iter().chain(on_hold).collect()
}

impl Held for PartialObjectMeta<Secret> {
    type Form = Packed<Self>;
}

impl Held for PartialObjectMeta<Namespace> {
    type Form = Arc<Self>;
}

impl Held for Issuer {
    type Form = Arc<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let deleted = self.metadata.deletion_timestamp.iter().map(|_| Index::Deleted(namespace));
        deleted.chain([of_account_secret(&self.name_any(), &self.spec.acme)]).collect()
    }
}

impl Held for ClusterIssuer {
    type Form = Arc<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        vec![of_account_secret(&self.name_any(), &self.spec.acme)]
    }
}

fn of_account_secret(issuer: &str, spec: &AcmeIssuer) -> Index<'static> {
    Index::AccountSecret(account_secret_name(issuer, spec))
}

impl Held for EndpointSlice {
    type Form = Arc<Self>;
}

impl Held for CertificateSigningRequest {
    type Form = Arc<Self>;
}

impl Held for Ingress {
    type Form = Arc<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let secrets = self.spec.tls.iter().filter_map(|tls| tls.secret_name.as_deref());
        secrets.map(|name| Index::Secret(namespace, name)).collect()
    }
}

impl Held for Gateway {
    type Form = Arc<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        of_listeners(self.metadata.namespace.as_deref(), &self.spec.listeners)
    }
}

impl Held for ListenerSet {
    type Form = Arc<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        of_listeners(self.metadata.namespace.as_deref(), &self.spec.listeners)
    }
}

fn of_listeners<'a>(namespace: Option<&'a str>, listeners: &'a [Listener]) -> Vec<Index<'a>> {
    let tls = listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let secrets = tls.flat_map(|tls| &tls.certificate_refs);
    secrets.map(|secret| Index::Secret(namespace.unwrap_or_default(), &secret.name)).collect()
}

impl Held for NamedRoute {
    type Form = Arc<Self>;

    fn index(&self) -> Vec<Index<'_>> {
        parents(self).map(|(kind, namespace, name)| Index::Parent(kind, namespace, name)).collect()
    }
}

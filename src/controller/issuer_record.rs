//! The issuers, of either kind, as the controllers know them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};

use certwright_api::{
    ANNOTATION_DEACTIVATE_ACCOUNT, ANNOTATION_LOG_ACME, ANNOTATION_REBIND, ANNOTATION_RETRY,
    ANNOTATION_ROLLOVER, AcmeAccountStatus, AcmeIssuer, Allow, AnyIssuer, Certificate, CertificateStatus,
    FINALIZER_ACCOUNT, IssuerKind, IssuerRef, IssuerStatus, SECRET_KEY_TLS_KEY,
};
use certwright_core::issuers::{self, Issuers};
use certwright_core::naming::account_key_secret;

/// Where an account's key is: namespace and name of the Secret, and the key in its data.
pub type AccountSecret = (String, String, String);

/// The maximum number of characters of a request.
const LONGEST_REQUEST: usize = 256;

/// Which issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId {
    /// Its kind.
    pub kind: IssuerKind,
    /// Its namespace; `None` for a ClusterIssuer.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl IssuerId {
    /// The issuer that a Certificate uses, according to its status.
    pub fn of(certificate: &Certificate) -> Self {
        Self::in_use(certificate, certificate.status.as_ref())
    }

    /// The issuer that a Certificate uses if it has this status.
    pub fn in_use(certificate: &Certificate, status: Option<&CertificateStatus>) -> Self {
        let generation = certificate.metadata.generation.unwrap_or_default();
        Self::named(Issuers::of(&certificate.spec, status, generation).in_use(), certificate)
    }

    /// All issuers that a Certificate may use.
    pub fn all_of(certificate: &Certificate) -> impl Iterator<Item = Self> {
        issuers::named(&certificate.spec).map(|reference| Self::named(reference, certificate))
    }

    /// The issuer that a Certificate refers to like this.
    pub fn named(reference: &IssuerRef, certificate: &Certificate) -> Self {
        let namespace = match reference.kind {
            IssuerKind::Issuer => certificate.namespace(),
            IssuerKind::ClusterIssuer => None,
        };
        Self { kind: reference.kind, namespace, name: reference.name.clone() }
    }
}

/// An issuer of either kind.
#[derive(Clone, Debug)]
pub struct IssuerRecord {
    /// Which one.
    pub id: IssuerId,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub version: Option<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `metadata.generation`.
    pub generation: i64,
    /// Its spec.
    pub spec: AcmeIssuer,
    /// Which namespaces may use it, and for which names; `None` means no restriction.
    pub allow: Option<Allow>,
    /// Its status.
    pub status: IssuerStatus,
    /// For events.
    pub reference: ObjectReference,
    /// Since when it is being deleted.
    pub deleted: Option<Timestamp>,
    /// Whether it has our finalizer.
    pub has_finalizer: bool,
    /// The annotation that requests the deactivation of an account.
    pub deactivate: Option<String>,
    /// The annotation that requests a rebinding of the account.
    pub rebind: Option<String>,
    /// The annotation that requests a retry.
    pub retry: Option<String>,
    /// The annotation that requests a rollover of the account key.
    pub roll_over: Option<String>,
    /// The annotation that requests a log of the exchange with the CA.
    pub log_acme: Option<String>,
}

impl IssuerRecord {
    /// Its account, if it has one at its current CA.
    pub fn account(&self) -> Option<&AcmeAccountStatus> {
        self.status.acme.as_ref().filter(|acme| acme.server == self.spec.server)
    }

    /// The URL of that account.
    pub fn account_url(&self) -> Option<&str> {
        self.account().map(|acme| acme.uri.as_str())
    }
}

/// The beginning of an annotation whose new values are requests. The status repeats it, so it must not be long.
fn request<K: Resource>(object: &K, annotation: &str) -> Option<String> {
    let value = object.annotations().get(annotation)?;
    Some(value.chars().take(LONGEST_REQUEST).collect())
}

impl<K: AnyIssuer> From<&K> for IssuerRecord {
    fn from(object: &K) -> Self {
        Self {
            id: IssuerId { kind: K::KIND, namespace: object.namespace(), name: object.name_any() },
            uid: object.uid().unwrap_or_default(),
            version: object.resource_version(),
            created: object.meta().creation_timestamp.as_ref().map(|time| time.0),
            labels: object.labels().clone(),
            generation: object.meta().generation.unwrap_or_default(),
            spec: object.acme().clone(),
            allow: object.allow().cloned(),
            status: object.status().cloned().unwrap_or_default(),
            reference: object.object_ref(&()),
            deleted: object.meta().deletion_timestamp.as_ref().map(|time| time.0),
            has_finalizer: object.finalizers().iter().any(|finalizer| finalizer == FINALIZER_ACCOUNT),
            deactivate: object.annotations().get(ANNOTATION_DEACTIVATE_ACCOUNT).cloned(),
            rebind: request(object, ANNOTATION_REBIND),
            roll_over: request(object, ANNOTATION_ROLLOVER),
            retry: request(object, ANNOTATION_RETRY),
            log_acme: request(object, ANNOTATION_LOG_ACME),
        }
    }
}

/// The namespace of the Secrets that the issuer names.
pub fn secrets_namespace<'a>(issuer: &'a IssuerRecord, own_namespace: &'a str) -> &'a str {
    issuer.id.namespace.as_deref().unwrap_or(own_namespace)
}

/// Where the account's key is.
pub fn account_secret(issuer: &IssuerRecord, own_namespace: &str) -> AccountSecret {
    let namespace = secrets_namespace(issuer, own_namespace).to_owned();
    let name = account_secret_name(&issuer.id.name, &issuer.spec);
    let key = issuer.spec.private_key_secret_ref.as_ref().and_then(|reference| reference.key.clone());
    (namespace, name, key.unwrap_or_else(|| SECRET_KEY_TLS_KEY.to_owned()))
}

/// The name of the Secret with the account's key.
pub fn account_secret_name(issuer: &str, spec: &AcmeIssuer) -> String {
    let reference = spec.private_key_secret_ref.as_ref();
    reference.map_or_else(|| account_key_secret(issuer), |reference| reference.name.clone())
}

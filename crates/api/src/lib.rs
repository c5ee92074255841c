//! The three kinds, `Issuer`, `ClusterIssuer` and `Certificate`, with their conditions and reasons; no logic.
//!
//! If cert-manager v1 has a spec field for the same thing, ours has the same name, type and meaning. The
//! CustomResourceDefinitions in `crds/` are generated from these types: `kubectl explain` shows the doc comment of a field.

mod account_end;
mod allow;
mod any_issuer;
mod authorization;
mod base64;
pub mod bounds;
mod caa;
mod certificate;
mod conditions;
mod dns01;
mod dns_persist01;
mod dns_services;
mod duration;
mod fallback;
mod http01;
mod ignored;
mod issuer;
mod issuer_ref;
mod issuer_status;
mod opaque_json;
mod outputs;
mod renewal;
mod revocation;
mod revoked;
mod route_status;
mod schema;
mod served;
mod solver;
mod tls_alpn01;
mod unsupported;

pub use account_end::*;
pub use allow::*;
pub use any_issuer::*;
pub use authorization::*;
pub use base64::*;
pub use caa::*;
pub use certificate::*;
pub use conditions::*;
pub use dns_persist01::*;
pub use dns_services::*;
pub use dns01::*;
pub use duration::*;
pub use fallback::*;
pub use http01::*;
pub use ignored::*;
pub use issuer::*;
pub use issuer_ref::*;
pub use issuer_status::*;
pub use opaque_json::*;
pub use outputs::*;
pub use renewal::*;
pub use revocation::*;
pub use revoked::*;
pub use route_status::*;
pub use served::*;
pub use solver::*;
pub use tls_alpn01::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::json;

/// The API group of all three kinds.
pub const GROUP: &str = "certwright.dev";
/// The API version of all three kinds.
pub const VERSION: &str = "v1alpha1";
/// cert-manager's API group, and the prefix of its annotations.
pub const CERT_MANAGER_GROUP: &str = "cert-manager.io";
/// The Gateway API's group.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Field manager of every server-side apply, and reporting controller of every event.
pub const FIELD_MANAGER: &str = "certwright";

/// Field manager of Certificates that are created from annotations on an Ingress or a Gateway.
pub const ANNOTATIONS_FIELD_MANAGER: &str = "certwright-annotations";

/// Label on each object that Certwright created.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "certwright";
/// Label on each Secret that Certwright created; its value is one of the `SECRET_*` constants.
pub const LABEL_SECRET: &str = "certwright.dev/secret";
/// [`LABEL_SECRET`] of an issued certificate.
pub const SECRET_TLS: &str = "tls";
/// [`LABEL_SECRET`] of the private key of the current issuance.
pub const SECRET_NEXT_PRIVATE_KEY: &str = "next-private-key";
/// [`LABEL_SECRET`] of an ACME account key.
pub const SECRET_ACCOUNT_KEY: &str = "account-key";
/// [`LABEL_SECRET`] of the keys with which the operator seals the status entries it writes.
pub const SECRET_LEDGER_KEY: &str = "ledger-key";

/// On a TLS Secret: the Certificate, in the same namespace, that it belongs to.
pub const ANNOTATION_CERTIFICATE: &str = "certwright.dev/certificate-name";
/// On a TLS Secret: `metadata.name` of the issuer that issued its certificate.
pub const ANNOTATION_ISSUER_NAME: &str = "certwright.dev/issuer-name";
/// On a TLS Secret: kind of the issuer that issued its certificate.
pub const ANNOTATION_ISSUER_KIND: &str = "certwright.dev/issuer-kind";
/// On a TLS Secret: a digest of the template and the key encoding that it was written with.
pub const ANNOTATION_WRITTEN_AS: &str = "certwright.dev/written-as";
/// On a TLS Secret: a digest of the inputs of its keystores. It cannot be computed without the private key.
pub const ANNOTATION_KEYSTORES: &str = "certwright.dev/keystores";
/// On a TLS Secret: the names that its certificate was ordered for, separated by commas. A CA may add other names.
pub const ANNOTATION_REQUESTED_NAMES: &str = "certwright.dev/requested-names";
/// On a Certificate that is created from annotations on an Ingress or a Gateway: a digest of the Certificate as it was created.
pub const ANNOTATION_MADE_AS: &str = "certwright.dev/made-as";
/// On an account key Secret: the URL of the account that belongs to this key.
pub const ANNOTATION_ACCOUNT_URL: &str = "certwright.dev/account-url";
/// On an account key Secret: the directory URL of the account's CA.
pub const ANNOTATION_ACME_SERVER: &str = "certwright.dev/acme-server";
/// On an account key Secret: the key id of the external account that the account is bound to.
pub const ANNOTATION_EAB_KEY_ID: &str = "certwright.dev/eab-key-id";
/// On an account key Secret: the RFC 7638 thumbprint of the key that the other annotations refer to; another key has another
/// account.
pub const ANNOTATION_KEY_THUMBPRINT: &str = "certwright.dev/key-thumbprint";
/// On an account key Secret: when the CA confirmed the deactivation of this key's account. No other account is registered with
/// the key.
pub const ANNOTATION_ACCOUNT_DEACTIVATED: &str = "certwright.dev/account-deactivated";
/// On an account key Secret: the previous accounts of its issuers, as JSON; see [`PreviousAccount`].
pub const ANNOTATION_PREVIOUS_ACCOUNTS: &str = "certwright.dev/previous-accounts";
/// On an issuer, set by a user: the URL of an account of this issuer to deactivate now, permanently.
pub const ANNOTATION_DEACTIVATE_ACCOUNT: &str = "certwright.dev/deactivate-account";
/// On an account key Secret: when the key was generated.
pub const ANNOTATION_KEY_CREATED: &str = "certwright.dev/key-created";
/// On an account key Secret: when the next key was generated.
pub const ANNOTATION_NEXT_KEY_CREATED: &str = "certwright.dev/next-key-created";
/// On an account key Secret: when the key replaced another one at the CA.
pub const ANNOTATION_LAST_KEY_ROLLOVER: &str = "certwright.dev/last-key-rollover";
/// On an Issuer or ClusterIssuer, set by a user: a new value requests a rollover of the account key now.
pub const ANNOTATION_ROLLOVER: &str = "certwright.dev/rollover-account-key";
/// On an Issuer or ClusterIssuer, set by a user: a new value requests an account with a new key that is bound to the same external
/// account.
pub const ANNOTATION_REBIND: &str = "certwright.dev/rebind-account";
/// On an Issuer or ClusterIssuer, set by a user: a new value requests an attempt now, whatever failed before.
pub const ANNOTATION_RETRY: &str = "certwright.dev/retry";
/// On an Issuer or ClusterIssuer, set by a user: a time. The exchange with the CA is logged for an hour from then on.
pub const ANNOTATION_LOG_ACME: &str = "certwright.dev/log-acme-exchange";
/// On a Certificate, set by a user: a new value requests a renewal now.
pub const ANNOTATION_RENEW: &str = "certwright.dev/renew";
/// On a Certificate, set by a user: revoke its certificate now, for this reason.
pub const ANNOTATION_REVOKE: &str = "certwright.dev/revoke";

/// On a Certificate that `certwright migrate --adopt` created: the cert-manager Certificate that it replaces, as JSON.
pub const ANNOTATION_TAKEN_OVER_FROM: &str = "certwright.dev/taken-over-from";
/// Annotation of the operator's Lease: the label selector of the objects that it serves; empty if it serves all.
pub const ANNOTATION_WATCH_LABEL_SELECTOR: &str = "certwright.dev/watch-label-selector";
/// On a TLS Secret, set by cert-manager: the cert-manager Certificate, in the same namespace, that manages the Secret.
pub const ANNOTATION_CERT_MANAGER_CERTIFICATE: &str = "cert-manager.io/certificate-name";

/// On a Certificate: the Ingress in its namespace that http-01 edits in place, whatever the solver says.
pub const OVERRIDE_INGRESS_NAME: &str = "acme.certwright.dev/http01-override-ingress-name";
/// On a Certificate: the value of the annotation `kubernetes.io/ingress.class` of temporary Ingresses, whatever the solver says.
pub const OVERRIDE_INGRESS_CLASS: &str = "acme.certwright.dev/http01-override-ingress-class";
/// On a Certificate: `ingressClassName` of temporary Ingresses, whatever the solver says.
pub const OVERRIDE_INGRESS_CLASS_NAME: &str = "acme.certwright.dev/http01-override-ingress-ingressclassname";
/// On a Certificate: the kind of a further parent of temporary HTTPRoutes.
pub const OVERRIDE_PARENT_KIND: &str = "acme.certwright.dev/http01-parentrefkind";
/// On a Certificate: the name of a further parent of temporary HTTPRoutes.
pub const OVERRIDE_PARENT_NAME: &str = "acme.certwright.dev/http01-parentrefname";
/// On a Certificate: the namespace of a further parent of temporary HTTPRoutes.
pub const OVERRIDE_PARENT_NAMESPACE: &str = "acme.certwright.dev/http01-parentrefnamespace";

/// cert-manager's name for the same annotation.
pub fn cert_manager_name(annotation: &str) -> String {
    annotation.replace(GROUP, CERT_MANAGER_GROUP)
}

/// Finalizer on a Certificate that requires cleanup before it is deleted: to remove a TXT record or rules in an existing
/// Ingress, or to revoke a certificate.
pub const FINALIZER: &str = "certwright.dev/cleanup";
/// Finalizer on an issuer whose account must be deactivated when the issuer is deleted, or that has a TXT record to remove.
pub const FINALIZER_ACCOUNT: &str = "certwright.dev/account";

/// Data key of a Secret with a private key.
pub const SECRET_KEY_TLS_KEY: &str = "tls.key";
/// Data key of a TLS Secret with the certificate and its chain.
pub const SECRET_KEY_TLS_CRT: &str = "tls.crt";
/// Data key of a TLS Secret with the topmost certificate of the chain that the CA sent.
pub const SECRET_KEY_CA_CRT: &str = "ca.crt";

/// Data key of a TLS Secret with the private key in binary.
pub const SECRET_KEY_DER: &str = "key.der";
/// Data key of a TLS Secret with the private key and the chain in one PEM file.
pub const SECRET_KEY_COMBINED_PEM: &str = "tls-combined.pem";

/// `status.observedGeneration` of an object that the operator has not seen. No object has this generation.
pub const UNOBSERVED: i64 = -1;

/// The CustomResourceDefinitions in `crds/`.
pub fn crds() -> [CustomResourceDefinition; 3] {
    [Certificate::crd(), Issuer::crd(), ClusterIssuer::crd()].map(with_unobserved_status)
}

/// An object has this status from its creation until the operator has seen it. Without `observedGeneration`, kstatus would
/// consider the object current.
fn with_unobserved_status(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas = crd
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    let statuses = schemas.filter_map(|schema| schema.properties.as_mut()?.get_mut("status"));
    for status in statuses {
        status.default = Some(JSON(json!({ "observedGeneration": UNOBSERVED })));
    }
    crd
}

/// The CustomResourceDefinitions as one YAML stream, one document each.
///
/// # Errors
/// Only if the definitions cannot be serialized as YAML, which would be a bug in the types.
pub fn crds_yaml() -> Result<String, serde_yaml::Error> {
    crds().iter().map(|crd| Ok(format!("---\n{}", serde_yaml::to_string(crd)?))).collect()
}

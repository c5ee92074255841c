//! What the operator writes into Secrets, and what it reads from them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::reissue::SecretView;
use crate::spec::ValidatedCertificate;
use certwright_api::{LABEL_MANAGED_BY, LABEL_SECRET, MANAGED_BY};
use certwright_pki::{Chain, PrivateKey};

/// Type of a Secret that holds a certificate and its key.
pub const TYPE_TLS: &str = "kubernetes.io/tls";

/// The bytes under `key`.
pub fn data<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice())
}

/// An annotation of a Secret.
pub fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The value of [`LABEL_SECRET`], if Certwright created the Secret.
pub fn purpose(secret: &Secret) -> Option<&str> {
    secret.metadata.labels.as_ref()?.get(LABEL_SECRET).map(String::as_str)
}

/// The labels of a Secret that is created for `purpose`, a `SECRET_*` constant of [`certwright_api`], with `more`.
pub fn labels(purpose: &str, mut more: BTreeMap<String, String>) -> BTreeMap<String, String> {
    more.insert(LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    more.insert(LABEL_SECRET.to_owned(), purpose.to_owned());
    more
}

/// The annotations of the TLS Secret of the Certificate `name`, except the one that describes its keystores.
pub fn tls_annotations(wanted: &ValidatedCertificate, name: &str) -> BTreeMap<String, String> {
    let mut annotations = wanted.annotations.clone();
    let names: Vec<String> = wanted.names().into_iter().collect();
    annotations.extend([
        (certwright_api::ANNOTATION_WRITTEN_AS.to_owned(), wanted.written_as()),
        (certwright_api::ANNOTATION_REQUESTED_NAMES.to_owned(), names.join(",")),
        (certwright_api::ANNOTATION_CERTIFICATE.to_owned(), name.to_owned()),
        (certwright_api::ANNOTATION_ISSUER_NAME.to_owned(), wanted.issuer_name.clone()),
        (certwright_api::ANNOTATION_ISSUER_KIND.to_owned(), wanted.issuer_kind.as_str().to_owned()),
    ]);
    annotations
}

/// The data of a TLS Secret, all in PEM, without what else the spec requests.
pub fn tls_data(chain: &[u8], key: &[u8], ca: Option<&[u8]>) -> BTreeMap<String, ByteString> {
    let mut data = BTreeMap::from([
        (certwright_api::SECRET_KEY_TLS_CRT.to_owned(), ByteString(chain.to_vec())),
        (certwright_api::SECRET_KEY_TLS_KEY.to_owned(), ByteString(key.to_vec())),
    ]);
    data.extend(ca.map(|ca| (certwright_api::SECRET_KEY_CA_CRT.to_owned(), ByteString(ca.to_vec()))));
    data
}

/// The parsed content of a TLS Secret that belongs to the Certificate `certificate_name`.
pub fn view(secret: &Secret, certificate_name: Option<String>, as_written: bool) -> SecretView {
    SecretView {
        exists: true,
        version: secret.metadata.resource_version.clone(),
        certificate_name,
        issuer: annotation(secret, certwright_api::ANNOTATION_ISSUER_NAME)
            .zip(annotation(secret, certwright_api::ANNOTATION_ISSUER_KIND))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned())),
        type_: secret.type_.clone().filter(|type_| type_ != TYPE_TLS),
        as_written,
        requested_names: annotation(secret, certwright_api::ANNOTATION_REQUESTED_NAMES)
            .map(|names| names.split(',').map(str::to_owned).collect()),
        key: data(secret, certwright_api::SECRET_KEY_TLS_KEY).map(|pem| {
            let key = PrivateKey::from_pem(pem).map_err(|error| error.to_string())?;
            Ok((key.algorithm(), key.public_key_der().to_vec()))
        }),
        leaf: data(secret, certwright_api::SECRET_KEY_TLS_CRT).map(|pem| {
            let chain = Chain::parse_pem(pem).map_err(|error| error.to_string())?;
            Ok(chain.leaf().clone())
        }),
    }
}

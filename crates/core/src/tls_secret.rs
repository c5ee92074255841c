//! What the operator writes into TLS Secrets, and what it reads from them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::reissue::SecretView;
use crate::secret::{TYPE_TLS, annotation, data};
use crate::spec::ValidatedCertificate;
use certwright_pki::{Chain, PrivateKey};

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
pub fn tls_data(chain: &[u8], key: Option<&[u8]>, ca: Option<&[u8]>) -> BTreeMap<String, ByteString> {
    let parts = [
        (certwright_api::SECRET_KEY_TLS_CRT, Some(chain)),
        (certwright_api::SECRET_KEY_TLS_KEY, key),
        (certwright_api::SECRET_KEY_CA_CRT, ca),
    ];
    let parts = parts.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), bytes?.to_vec())));
    parts.map(|(name, bytes)| (name, ByteString(bytes))).collect()
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

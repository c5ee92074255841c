//! Who owns an account key Secret. Certwright replaces the key only in a Secret that it created or that the spec names.

use k8s_openapi::api::core::v1::Secret;

use crate::secret::{TYPE_TLS, annotation, purpose};
use certwright_api::{AcmeIssuer, SECRET_ACCOUNT_KEY};

/// Why a Secret belongs to somebody else and cannot hold an account key, as the end of a sentence that begins with its name;
/// `None` if it can.
pub fn of_somebody_else(secret: &Secret) -> Option<String> {
    let annotation = |key| annotation(secret, key);
    if purpose(secret).is_some_and(|purpose| purpose != SECRET_ACCOUNT_KEY) {
        return Some("was created by Certwright for another purpose".to_owned());
    }
    let certificate = annotation(certwright_api::ANNOTATION_CERTIFICATE).or_else(|| {
        annotation(certwright_api::ANNOTATION_CERT_MANAGER_CERTIFICATE).filter(|name| !name.is_empty())
    });
    if let Some(certificate) = certificate {
        return Some(format!("belongs to Certificate {certificate}"));
    }
    let type_ = secret.type_.as_deref().filter(|type_| *type_ == TYPE_TLS)?;
    Some(format!("is of type {type_}, for the certificate of a server"))
}

/// Why the key in a Secret must not be replaced, and what to do, as the end of a sentence that begins with its name; `None` if
/// it may be replaced.
pub fn must_keep_its_key(secret: &Secret, spec: &AcmeIssuer) -> Option<String> {
    if purpose(secret) == Some(SECRET_ACCOUNT_KEY) {
        return None;
    }
    let controller =
        secret.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    if let Some(owner) = controller {
        return Some(format!(
            "is managed by {} {}, which would restore the old key; use a Secret that nothing else writes",
            owner.kind, owner.name
        ));
    }
    match &spec.private_key_secret_ref {
        Some(_) => None,
        None => Some(
            "was not created by Certwright, so its key is not replaced; name it in privateKeySecretRef to allow that"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use certwright_api::{PrivateKeySecretRef, SECRET_TLS};

    #[test]
    fn the_secret_of_a_certificate_holds_no_account_key() {
        for (secret, expected) in [
            (json!({ "type": "kubernetes.io/tls" }), "is of type kubernetes.io/tls"),
            (annotated(json!({ "certwright.dev/certificate-name": "web" })), "Certificate web"),
            (annotated(json!({ "cert-manager.io/certificate-name": "web" })), "Certificate web"),
            (labelled(SECRET_TLS), "for another purpose"),
        ] {
            let why = of_somebody_else(&of(secret.clone())).unwrap();
            assert!(why.contains(expected), "{secret}: {why}");
        }
        for secret in [json!({}), json!({ "type": "Opaque" }), labelled(SECRET_ACCOUNT_KEY)] {
            assert_eq!(of_somebody_else(&of(secret.clone())), None, "{secret}");
        }
    }

    #[test]
    fn another_key_is_put_only_where_it_is_ours_or_handed_over_by_name() {
        let unnamed = AcmeIssuer::default();
        let reference = PrivateKeySecretRef { name: "mine".to_owned(), key: None };
        let named = AcmeIssuer { private_key_secret_ref: Some(reference), ..AcmeIssuer::default() };
        assert_eq!(must_keep_its_key(&of(labelled(SECRET_ACCOUNT_KEY)), &unnamed), None);
        assert_eq!(must_keep_its_key(&of(json!({})), &named), None);
        let why = must_keep_its_key(&of(json!({})), &unnamed).unwrap();
        assert!(why.contains("was not created by Certwright"), "{why}");
        let kept = json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "vault", "uid": "1", "controller": true },
        ] } });
        let why = must_keep_its_key(&of(kept), &named).unwrap();
        assert!(why.contains("ExternalSecret vault"), "{why}");
    }

    fn annotated(annotations: Value) -> Value {
        json!({ "metadata": { "annotations": annotations } })
    }

    fn labelled(purpose: &str) -> Value {
        json!({ "metadata": { "labels": { "certwright.dev/secret": purpose } } })
    }

    fn of(secret: Value) -> Secret {
        serde_json::from_value(secret).unwrap()
    }
}

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde_json::json;

use super::*;

fn of(outputs: serde_json::Value) -> Outputs {
    let mut spec = json!({ "secretName": "tls", "issuerRef": { "name": "ca" } });
    spec.as_object_mut().unwrap().extend(outputs.as_object().unwrap().clone());
    Outputs::of(&serde_json::from_value(spec).unwrap())
}

#[test]
fn a_format_is_written_if_the_spec_lists_it() {
    for (formats, der, combined_pem) in [
        (json!([]), false, false),
        (json!([{ "type": "DER" }]), true, false),
        (json!([{ "type": "CombinedPEM" }]), false, true),
        (json!([{ "type": "CombinedPEM" }, { "type": "DER" }]), true, true),
    ] {
        let outputs = of(json!({ "additionalOutputFormats": formats }));
        assert_eq!((outputs.der, outputs.combined_pem, outputs.keystores.len()), (der, combined_pem, 0));
    }
}

#[test]
fn a_keystore_is_written_if_it_is_to_be_created_and_has_its_own_data_keys() {
    let outputs = of(json!({ "keystores": {
        "pkcs12": { "create": true, "passwordSecretRef": { "name": "passwords" } },
        "jks": { "create": true, "password": "secret" },
    } }));
    let [pkcs12, jks] = &outputs.keystores[..] else { panic!("{outputs:?}") };
    assert_eq!(pkcs12.format.data_keys(), ("keystore.p12", "truststore.p12"));
    assert_eq!(pkcs12.password, PasswordSource::Secret("passwords".to_owned(), "password".to_owned()));
    assert_eq!(jks.format.data_keys(), ("keystore.jks", "truststore.jks"));
    assert_eq!(jks.format, KeystoreFormat::Jks(ALIAS.to_owned()));
    assert_eq!(jks.password, PasswordSource::Spec(Password("secret".to_owned())));
    assert!(outputs.has_foreign_password());

    let outputs = of(json!({ "keystores": {
        "pkcs12": { "create": false, "passwordSecretRef": { "name": "passwords" } },
        "jks": { "create": true, "password": "secret" },
    } }));
    assert_eq!(outputs.keystores.len(), 1);
    assert!(!outputs.has_foreign_password());
}

#[test]
fn a_password_is_text_that_is_there() {
    let secret = |bytes: &[u8]| Secret {
        data: Some(BTreeMap::from([("password".to_owned(), ByteString(bytes.to_vec()))])),
        ..Secret::default()
    };
    let found =
        |secret: Option<&Secret>, key| password("keystore.p12", "store", key, secret).map(str::to_owned);
    assert_eq!(found(Some(&secret(b"changeit")), "password"), Ok("changeit".to_owned()));
    for (secret, key, expected) in [
        (None, "password", "Secret store with the password of keystore.p12 does not exist; create it"),
        (
            Some(secret(b"changeit")),
            "other",
            "Secret store has no key other for the password of keystore.p12",
        ),
        (Some(secret(b"")), "password", "has an empty value for key password"),
        (Some(secret(b"\xff")), "password", "has no text as the value of key password"),
    ] {
        let why = found(secret.as_ref(), key).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}

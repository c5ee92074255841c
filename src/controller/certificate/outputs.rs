//! What the TLS Secret contains besides the certificate and its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use zeroize::Zeroizing;

use super::held::Held;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use certwright_core::outputs::{KeystoreFormat, Outputs, PasswordSource, encryption, password};
use certwright_core::spec::ValidatedCertificate;
use certwright_pki::keystore::{self, KeystoreError};
use certwright_pki::{Chain, PrivateKey};

/// The passwords of the keystores, in their order; or what is missing, and what to do about it.
pub(super) type Passwords = Result<Arc<Vec<Zeroizing<String>>>, String>;

/// Reads the passwords.
pub(super) async fn read_passwords(
    outputs: &Outputs,
    namespace: &str,
    context: &Context,
) -> Result<Passwords, Error> {
    let mut passwords = Vec::new();
    for store in &outputs.keystores {
        let (name, key) = match &store.password {
            PasswordSource::Spec(set) => {
                passwords.push(Zeroizing::new(set.0.clone()));
                continue;
            }
            PasswordSource::Secret(name, key) => (name, key),
        };
        let secret = secrets::read(&context.client, namespace, name).await?;
        match password(store.format.data_keys().0, name, key, secret.as_ref()) {
            Ok(password) => passwords.push(Zeroizing::new(password.to_owned())),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(Arc::new(passwords)))
}

/// The annotation that describes the keystores of a Secret, if it has any and `key` is their key; an error if it cannot be
/// computed.
pub(super) fn keystores_mark(
    outputs: &Outputs,
    passwords: &Passwords,
    key: &PrivateKey,
) -> Result<Option<String>, Error> {
    let (Ok(passwords), false) = (passwords, outputs.keystores.is_empty()) else { return Ok(None) };
    let parts = outputs.keystores.iter().zip(passwords.iter());
    let parts: Vec<Zeroizing<String>> = parts
        .map(|(store, password)| Zeroizing::new(format!("{:?}/{}", store.format, password.as_str())))
        .collect();
    let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
    Ok(Some(keystore::mark(key, &parts)?))
}

/// The additional data of the Secret.
pub(super) async fn more_data(
    wanted: &ValidatedCertificate,
    passwords: Passwords,
    held: &Held,
    key: &PrivateKey,
) -> Result<BTreeMap<String, ByteString>, Error> {
    let mut data = BTreeMap::new();
    let pem = key.to_pem(wanted.encoding)?;
    if wanted.outputs.der
        && let Ok(block) = pem::parse(pem.as_bytes())
    {
        data.insert(certwright_api::SECRET_KEY_DER.to_owned(), ByteString(block.into_contents()));
    }
    if wanted.outputs.combined_pem {
        let combined = [pem.as_bytes(), b"\n", &held.chain].concat();
        data.insert(certwright_api::SECRET_KEY_COMBINED_PEM.to_owned(), ByteString(combined));
    }
    let (Ok(passwords), false) = (passwords, wanted.outputs.keystores.is_empty()) else {
        return Ok(data);
    };
    let (outputs, held, key) = (wanted.outputs.clone(), held.clone(), key.clone());
    // Each keystore takes thousands of digest rounds.
    let made = tokio::task::spawn_blocking(move || keystores(&outputs, &passwords, &held, &key)).await;
    data.extend(made.map_err(|_| Error::Keystore(KeystoreError::Interrupted))??);
    Ok(data)
}

fn keystores(
    outputs: &Outputs,
    passwords: &[Zeroizing<String>],
    held: &Held,
    key: &PrivateKey,
) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
    let chain = Chain::parse_pem(&held.chain)?;
    let ca = held.ca.as_deref().and_then(|ca| pem::parse(ca).ok()).map(pem::Pem::into_contents);
    let mut data = BTreeMap::new();
    for (store, password) in outputs.keystores.iter().zip(passwords) {
        let (file, trusting_file) = store.format.data_keys();
        let (with_key, trusting) = match &store.format {
            KeystoreFormat::Pkcs12(profile) => {
                let encryption = encryption(*profile);
                (
                    keystore::pkcs12(key, &chain, password, encryption)?,
                    ca.as_deref().map(|ca| keystore::pkcs12_trusting(ca, password, encryption)),
                )
            }
            KeystoreFormat::Jks(alias) => (
                keystore::jks(key, &chain, alias, password)?,
                ca.as_deref().map(|ca| keystore::jks_trusting(ca, &chain, password)),
            ),
        };
        data.insert(file.to_owned(), ByteString(with_key));
        if let Some(trusting) = trusting {
            data.insert(trusting_file.to_owned(), ByteString(trusting?));
        }
    }
    Ok(data)
}

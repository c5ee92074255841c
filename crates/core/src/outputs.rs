//! What the TLS Secret contains besides the certificate and its key.

use k8s_openapi::api::core::v1::Secret;

use crate::secret::data;
use certwright_api::{
    CertificateSpec, JksKeystore, OutputFormat, Password, PasswordSecretRef, Pkcs12Keystore, Pkcs12Profile,
};
use certwright_pki::keystore::{ALIAS, Pkcs12Encryption};

/// What the TLS Secret contains besides the certificate and its key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The private key in DER.
    pub der: bool,
    /// The private key and the chain in one PEM file.
    pub combined_pem: bool,
    /// Keystores.
    pub keystores: Vec<Keystore>,
}

/// A keystore.
#[derive(Clone, Debug, PartialEq)]
pub struct Keystore {
    /// Its format.
    pub format: KeystoreFormat,
    /// Where its password comes from.
    pub password: PasswordSource,
}

/// The format of a keystore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeystoreFormat {
    /// PKCS#12.
    Pkcs12(Pkcs12Profile),
    /// Java's own, with the alias of the key.
    Jks(String),
}

impl KeystoreFormat {
    /// Data keys of the Secret: of the keystore, and of the truststore.
    pub fn data_keys(&self) -> (&'static str, &'static str) {
        match self {
            Self::Pkcs12(_) => ("keystore.p12", "truststore.p12"),
            Self::Jks(_) => ("keystore.jks", "truststore.jks"),
        }
    }
}

/// The password of the keystore `file` that `secret`, named `name`, holds under `key`; or what is missing, and what to do about
/// it.
///
/// # Errors
/// What is missing.
pub fn password<'a>(
    file: &str,
    name: &str,
    key: &str,
    secret: Option<&'a Secret>,
) -> Result<&'a str, String> {
    let Some(secret) = secret else {
        return Err(format!(
            "Secret {name} with the password of {file} does not exist; create it, or remove the keystore from the spec"
        ));
    };
    let what = match data(secret, key).map(std::str::from_utf8) {
        Some(Ok(text)) if !text.is_empty() => return Ok(text),
        None => format!("has no key {key}"),
        Some(Ok(_)) => format!("has an empty value for key {key}"),
        Some(Err(_)) => format!("has no text as the value of key {key}"),
    };
    Err(format!("Secret {name} {what} for the password of {file}; put the password there"))
}

/// How a PKCS#12 keystore of this profile is encrypted.
pub fn encryption(profile: Pkcs12Profile) -> Pkcs12Encryption {
    match profile {
        Pkcs12Profile::Modern2023 => Pkcs12Encryption::Aes256,
        Pkcs12Profile::Modern2026 => Pkcs12Encryption::Aes256Pbmac1,
        Pkcs12Profile::LegacyDes => Pkcs12Encryption::TripleDes,
        Pkcs12Profile::LegacyRc2 => Pkcs12Encryption::Rc2,
    }
}

/// Where a password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// The spec.
    Spec(Password),
    /// A Secret: its name, and the key in its data.
    Secret(String, String),
}

impl Outputs {
    /// What the spec requests.
    pub fn of(spec: &CertificateSpec) -> Self {
        let has = |wanted| spec.additional_output_formats.iter().any(|format| format.type_ == wanted);
        let stores = spec.keystores.clone().unwrap_or_default();
        let pkcs12 = stores.pkcs12.filter(|store| store.create).map(
            |Pkcs12Keystore { profile, password_secret_ref, password, .. }| Keystore {
                format: KeystoreFormat::Pkcs12(profile.unwrap_or_default()),
                password: source(password_secret_ref, password),
            },
        );
        let jks = stores.jks.filter(|store| store.create).map(
            |JksKeystore { alias, password_secret_ref, password, .. }| Keystore {
                format: KeystoreFormat::Jks(alias.unwrap_or_else(|| ALIAS.to_owned())),
                password: source(password_secret_ref, password),
            },
        );
        Self {
            der: has(OutputFormat::Der),
            combined_pem: has(OutputFormat::CombinedPem),
            keystores: pkcs12.into_iter().chain(jks).collect(),
        }
    }

    /// Whether a password comes from a Secret, which is not watched.
    pub fn has_foreign_password(&self) -> bool {
        self.keystores.iter().any(|store| matches!(store.password, PasswordSource::Secret(..)))
    }
}

/// The CRD allows only one of the two.
fn source(secret: Option<PasswordSecretRef>, password: Option<Password>) -> PasswordSource {
    match (secret, password) {
        (Some(secret), _) => {
            PasswordSource::Secret(secret.name, secret.key.unwrap_or_else(|| "password".to_owned()))
        }
        (None, password) => PasswordSource::Spec(password.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;

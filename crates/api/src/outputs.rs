//! What the TLS Secret contains in addition to `tls.crt`, `tls.key` and `ca.crt`.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{bounds, schema};

/// An additional format in which the certificate or its key is written to the Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalOutputFormat {
    /// `DER`: the private key in binary PKCS#1, SEC 1 or PKCS#8, in `key.der`. `CombinedPEM`: the private key and the chain in
    /// one PEM file, in `tls-combined.pem`.
    #[serde(rename = "type")]
    pub type_: OutputFormat,
}

/// Format of a certificate and its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum OutputFormat {
    /// The private key in binary.
    #[serde(rename = "DER")]
    Der,
    /// The private key and the chain in one PEM file.
    #[serde(rename = "CombinedPEM")]
    CombinedPem,
}

/// Keystores, each protected by its own password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keystores {
    /// PKCS#12 keystore: `keystore.p12` with the key and the chain and, if `ca.crt` is known, `truststore.p12` with that
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs12: Option<Pkcs12Keystore>,
    /// Java keystore (JKS): `keystore.jks` with the key and the chain and, if `ca.crt` is known, `truststore.jks` with that
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jks: Option<JksKeystore>,
}

/// A PKCS#12 keystore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.create || (has(self.passwordSecretRef) != has(self.password))")
        .message("keystores.pkcs12: set either passwordSecretRef or password")
)]
pub struct Pkcs12Keystore {
    /// Whether to create the keystore.
    pub create: bool,
    /// Encryption of the keystore. `Modern2023` (the default): AES-256 and SHA-256, for OpenSSL 3 and Java 8u301 or later.
    /// `Modern2026`: the same with PBMAC1 (RFC 9579), for OpenSSL 3.4 and Java 26 or later, as FIPS 140-3 requires.
    /// `LegacyDES`: Triple DES and SHA-1. `LegacyRC2`: 40-bit RC2 and SHA-1. The legacy profiles provide no protection; use
    /// them only for programs that support nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Pkcs12Profile>,
    /// Secret with the password, in the Certificate's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<PasswordSecretRef>,
    /// The password in plain text. Anyone who can read the Certificate can read it. For programs that require a password even
    /// if it is not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// Encryption of a PKCS#12 keystore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum Pkcs12Profile {
    /// 40-bit RC2 and SHA-1.
    #[serde(rename = "LegacyRC2")]
    LegacyRc2,
    /// Triple DES and SHA-1.
    #[serde(rename = "LegacyDES")]
    LegacyDes,
    /// AES-256 and SHA-256.
    #[default]
    Modern2023,
    /// AES-256, and PBMAC1 with SHA-256.
    Modern2026,
}

/// A Java keystore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.create || (has(self.passwordSecretRef) != has(self.password))")
        .message("keystores.jks: set either passwordSecretRef or password")
)]
pub struct JksKeystore {
    /// Whether to create the keystore.
    pub create: bool,
    /// Alias of the key in the keystore, in printable ASCII. Defaults to `certificate`. Java converts aliases to lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[ -~]+$')").message("keystores.jks.alias: must consist of printable ASCII characters"))]
    pub alias: Option<String>,
    /// Secret with the password, in the Certificate's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<PasswordSecretRef>,
    /// The password in plain text. Anyone who can read the Certificate can read it. For programs that require a password even
    /// if it is not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// Reference to a password in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSecretRef {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("passwordSecretRef.name: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit"))]
    pub name: String,
    /// Key in the Secret's data. Defaults to `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("passwordSecretRef.key: must consist of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// A password in a spec. It is never logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transform = schema::without_description)]
pub struct Password(#[schemars(length(min = 1, max = 1024))] pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

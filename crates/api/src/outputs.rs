//! What the TLS Secret holds besides `tls.crt`, `tls.key` and `ca.crt`.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{bounds, schema};

/// One more way to write the certificate or its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalOutputFormat {
    /// `DER`: the private key in `key.der`, as PKCS#1, SEC 1 or PKCS#8 in binary. `CombinedPEM`: the private key and the
    /// chain in `tls-combined.pem`.
    #[serde(rename = "type")]
    pub type_: OutputFormat,
}

/// Ways to write a certificate and its key.
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

/// Keystores, each protected by a password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keystores {
    /// PKCS#12: `keystore.p12` with the key and the chain and, if `ca.crt` is known, `truststore.p12` with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs12: Option<Pkcs12Keystore>,
    /// The older format of Java: `keystore.jks` with the key and the chain and, if `ca.crt` is known, `truststore.jks` with
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jks: Option<JksKeystore>,
}

/// A PKCS#12 keystore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.create || (has(self.passwordSecretRef) != has(self.password))")
        .message("keystores.pkcs12: a keystore has a password: set either passwordSecretRef or password")
)]
pub struct Pkcs12Keystore {
    /// Whether to make it.
    pub create: bool,
    /// How it is encrypted. `Modern2023` (the default): AES-256 and SHA-256, for OpenSSL 3 and Java 8u301 or later.
    /// `LegacyDES`: Triple DES and SHA-1. `LegacyRC2`: RC2 of 40 bits and SHA-1. The legacy ones protect nothing; they are
    /// for programs that read nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Pkcs12Profile>,
    /// The Secret with the password, in the Certificate's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<PasswordSecretRef>,
    /// The password itself; whoever may read the Certificate may read it. Some programs ask for one that is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// How a PKCS#12 keystore is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum Pkcs12Profile {
    /// RC2 of 40 bits and SHA-1.
    #[serde(rename = "LegacyRC2")]
    LegacyRc2,
    /// Triple DES and SHA-1.
    #[serde(rename = "LegacyDES")]
    LegacyDes,
    /// AES-256 and SHA-256.
    #[default]
    Modern2023,
}

/// A Java keystore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.create || (has(self.passwordSecretRef) != has(self.password))")
        .message("keystores.jks: a keystore has a password: set either passwordSecretRef or password")
)]
pub struct JksKeystore {
    /// Whether to make it.
    pub create: bool,
    /// Alias of the key in it; `certificate` by default. Java takes aliases in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[ -~]+$')").message("keystores.jks.alias: printable characters of ASCII"))]
    pub alias: Option<String>,
    /// The Secret with the password, in the Certificate's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<PasswordSecretRef>,
    /// The password itself; whoever may read the Certificate may read it. Some programs ask for one that is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// A password in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSecretRef {
    /// Name of the Secret.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("passwordSecretRef.name: a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends"))]
    pub name: String,
    /// Key in its data; `password` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("passwordSecretRef.key: a key of letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

/// A password in a spec; it is not written into logs.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transform = schema::without_description)]
pub struct Password(#[schemars(length(min = 1, max = 1024))] pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

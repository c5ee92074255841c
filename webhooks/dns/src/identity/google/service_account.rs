//! A service account's key, and the assertions that it signs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::error::ServiceError;

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// What the file of an old key has.
const OLD_TOKEN_URI: &str = "https://accounts.google.com/o/oauth2/token";

/// A service account that has a key.
pub(super) struct ServiceAccount {
    file: KeyFile,
    key: RsaKeyPair,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: String,
    token_uri: String,
}

impl ServiceAccount {
    /// The key in a file that Google has made.
    pub fn parse(text: &SecretString) -> Result<Self, ServiceError> {
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        let invalid =
            |why: &str| ServiceError::new(format!("the service account's key cannot be used: {why}"));
        let kind: Kind = serde_json::from_str(text.expose_secret())
            .map_err(|_| invalid("it is not the JSON file that Google has made"))?;
        if kind.r#type != "service_account" {
            return Err(invalid("its type is not service_account"));
        }
        let file: KeyFile = serde_json::from_str(text.expose_secret())
            .map_err(|_| invalid("client_email, private_key, private_key_id or token_uri is missing"))?;
        // A tenant could name any host here.
        if file.token_uri != TOKEN_URI && file.token_uri != OLD_TOKEN_URI {
            return Err(invalid("its token_uri is not https://oauth2.googleapis.com/token"));
        }
        let key = pem::parse(&file.private_key).ok();
        let key = key.and_then(|pem| RsaKeyPair::from_pkcs8(pem.contents()).ok());
        let key = key.ok_or_else(|| invalid("its private_key is not an RSA key in PEM"))?;
        Ok(Self { file, key })
    }

    /// A JWT that claims to be the service account, for an hour (RFC 7523 section 3).
    pub fn assertion(&self, scope: &str, now: Timestamp) -> Result<SecretString, ServiceError> {
        let KeyFile { client_email, private_key_id, .. } = &self.file;
        let now = now.as_second();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": private_key_id});
        let claims =
            json!({"iss": client_email, "scope": scope, "aud": TOKEN_URI, "iat": now, "exp": now + 3600});
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| ServiceError::new("signing with the service account's key failed"))?;
        Ok(format!("{signed}.{}", encode(&signature)).into())
    }
}

use aws_lc_rs::digest::{SHA256, digest};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::ExternalAccountKey;
use certwright_pki::{Curve, KeyError, PrivateKey, PublicNumbers};

/// The key of an account, with data derived from its public key.
#[derive(Clone, Debug)]
pub(super) struct AccountKey {
    key: PrivateKey,
    jwk: Jwk,
    thumbprint: String,
    algorithm: &'static str,
}

impl AccountKey {
    pub(super) fn new(key: PrivateKey) -> Self {
        let numbers = key.public_numbers();
        let jwk = Jwk::new(&numbers);
        Self { key, thumbprint: jwk.thumbprint(), jwk, algorithm: algorithm(&numbers) }
    }

    /// The RFC 7638 thumbprint with SHA-256, in base64url.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// A request body (RFC 8555 section 6.2): a JWS in flattened JSON form. An empty payload makes it a POST-as-GET.
    pub(super) fn sign(
        &self,
        name: &KeyName,
        nonce: &str,
        url: &str,
        payload: &str,
    ) -> Result<String, KeyError> {
        let mut header = json!({ "nonce": nonce, "url": url });
        match name {
            KeyName::Jwk => header["jwk"] = self.jwk.to_value(),
            KeyName::Kid(account_url) => header["kid"] = Value::from(account_url.as_str()),
        }
        Ok(self.sign_with(header, payload)?.to_string())
    }

    /// The inner JWS of a key rollover from `current` to this key (RFC 8555 section 7.3.5). It is the payload of another JWS,
    /// signed by `current`, and has no nonce.
    pub(super) fn succeed(&self, current: &Self, account_url: &str, url: &str) -> Result<String, KeyError> {
        let header = json!({ "jwk": self.jwk.to_value(), "url": url });
        let payload = json!({ "account": account_url, "oldKey": current.jwk.to_value() });
        Ok(self.sign_with(header, &payload.to_string())?.to_string())
    }

    fn sign_with(&self, mut header: Value, payload: &str) -> Result<Value, KeyError> {
        header["alg"] = Value::from(self.algorithm);
        let (protected, payload) = (encode(header.to_string()), encode(payload));
        let signature = self.key.sign(format!("{protected}.{payload}").as_bytes())?;
        Ok(flattened(&protected, &payload, &signature))
    }

    /// The external account binding (RFC 8555 section 7.3.4): our public key, signed with the CA's MAC key.
    pub(super) fn bind(&self, external: &ExternalAccountKey, new_account_url: &str) -> Value {
        let header =
            json!({ "alg": external.algorithm.to_string(), "kid": external.key_id, "url": new_account_url });
        let (protected, payload) = (encode(header.to_string()), encode(self.jwk.canonical()));
        let mac = external.sign(format!("{protected}.{payload}").as_bytes());
        flattened(&protected, &payload, mac.as_ref())
    }
}

/// How a request identifies the key that signed it (RFC 8555 section 6.2).
#[derive(Clone, Debug)]
pub(super) enum KeyName {
    /// By the key itself, for newAccount, because there is no account URL yet.
    Jwk,
    /// By the account's URL.
    Kid(String),
}

/// A public key as JSON (RFC 7517), with its required members only.
#[derive(Clone, Debug)]
enum Jwk {
    Ec { curve: Curve, x: String, y: String },
    Rsa { n: String, e: String },
    Ed25519 { x: String },
}

impl Jwk {
    fn new(numbers: &PublicNumbers) -> Self {
        match numbers {
            PublicNumbers::Ec { curve, x, y } => Self::Ec { curve: *curve, x: encode(x), y: encode(y) },
            PublicNumbers::Rsa { n, e } => Self::Rsa { n: encode(n), e: encode(e) },
            PublicNumbers::Ed25519 { x } => Self::Ed25519 { x: encode(x) },
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Ec { curve, x, y } => json!({ "kty": "EC", "crv": curve.to_string(), "x": x, "y": y }),
            Self::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
            Self::Ed25519 { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
        }
    }

    /// The form that is hashed (RFC 7638 section 3): sorted, without white space. Nothing in it needs
    /// escaping.
    fn canonical(&self) -> String {
        match self {
            Self::Ec { curve, x, y } => format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        }
    }

    fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.canonical().as_bytes()))
    }
}

/// The thumbprint of an account key (RFC 7638), in base64url. Its key authorizations end with it.
#[must_use]
pub fn jwk_thumbprint(key: &PrivateKey) -> String {
    AccountKey::new(key.clone()).thumbprint
}

/// RFC 7518 section 3.1, RFC 8037 section 3.1.
fn algorithm(numbers: &PublicNumbers) -> &'static str {
    match numbers {
        PublicNumbers::Ec { curve: Curve::P256, .. } => "ES256",
        PublicNumbers::Ec { curve: Curve::P384, .. } => "ES384",
        PublicNumbers::Ec { curve: Curve::P521, .. } => "ES512",
        PublicNumbers::Rsa { .. } => "RS256",
        PublicNumbers::Ed25519 { .. } => "EdDSA",
    }
}

fn flattened(protected: &str, payload: &str, signature: &[u8]) -> Value {
    json!({ "protected": protected, "payload": payload, "signature": encode(signature) })
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use base64::engine::Engine;

    use super::*;
    use certwright_pki::KeyAlgorithm;

    #[test]
    fn the_thumbprint_of_an_ed25519_key_is_that_of_rfc_8037() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let jwk = Jwk::new(&PublicNumbers::Ed25519 { x: decode(x) });
        assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn the_thumbprint_of_an_rsa_key_is_that_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP\
            ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368Q\
            QMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2Nc\
            Rwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = Jwk::new(&PublicNumbers::Rsa { n: decode(n), e: decode("AQAB") });
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    /// The key of RFC 7517 appendix A.1. The hash was computed with OpenSSL over the text required by RFC 7638 section 3.2.
    #[test]
    fn the_thumbprint_of_an_ec_key_covers_its_required_members_in_order() {
        let (x, y) =
            ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        let jwk = Jwk::new(&PublicNumbers::Ec { curve: Curve::P256, x: decode(x), y: decode(y) });
        assert_eq!(jwk.canonical(), format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        assert_eq!(jwk.thumbprint(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }

    #[test]
    fn the_key_in_the_header_is_the_key_of_the_thumbprint() {
        for algorithm in [KeyAlgorithm::ECDSA_P384, KeyAlgorithm::ECDSA_P521, KeyAlgorithm::Rsa(2048)] {
            let jwk = Jwk::new(&PrivateKey::generate(algorithm).unwrap().public_numbers());
            assert_eq!(serde_json::from_str::<Value>(&jwk.canonical()).unwrap(), jwk.to_value());
        }
    }

    fn decode(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }
}

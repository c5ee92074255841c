//! Secrets of a test, and whether one of them is visible where nobody should see it.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, bail, ensure};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use certwright_cluster::TestNamespace;
use certwright_pki::{Curve, KeyAlgorithm, KeyEncoding, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;

/// The data of Secrets that everybody may see.
const PUBLIC: &[&str] = &["tls.crt", "ca.crt"];
/// A secret is searched for in pieces of this many bytes. Smaller ones could be found by chance.
const PIECE: usize = 16;

/// Secrets, in all forms in which they could be visible.
#[derive(Default)]
pub struct Secrets {
    /// Each form, with the name of the secret.
    forms: BTreeMap<String, String>,
}

impl Secrets {
    /// Adds all values of all Secrets in the namespace. Returns their names, such as `web-tls/tls.key`.
    pub async fn add_all(&mut self, ns: &TestNamespace) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for secret in ns.api::<Secret>().list(&ListParams::default()).await? {
            for (key, value) in secret.data.iter().flatten() {
                if !PUBLIC.contains(&key.as_str()) {
                    let name = format!("{}/{key}", secret.name_any());
                    self.add(&name, &value.0)?;
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// Adds a secret: a private key as PEM, or any other value, which may itself be base64.
    pub fn add(&mut self, name: &str, secret: &[u8]) -> Result<()> {
        let blocks = pem::parse_many(secret).unwrap_or_default();
        for block in &blocks {
            self.add_key(name, block.contents())?;
        }
        if blocks.is_empty() {
            self.add_bytes(name, secret)?;
            let text = std::str::from_utf8(secret).unwrap_or_default().trim().trim_end_matches('=');
            let decoded =
                BASE64_STANDARD_NO_PAD.decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text));
            if let Some(decoded) = decoded.ok().filter(|decoded| decoded.len() >= PIECE) {
                self.add_bytes(name, &decoded)?;
            }
        }
        Ok(())
    }

    /// Adds a text that must not be visible as a whole, although its parts may be.
    pub fn add_whole(&mut self, name: &str, secret: &str) {
        for form in [secret.to_owned(), super::base64(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)] {
            self.forms.insert(form, name.to_owned());
        }
    }

    /// Fails if `text` contains any of the secrets. `place` says where `text` is from.
    pub fn check(&self, place: &str, text: &str) -> Result<()> {
        for (form, name) in &self.forms {
            if let Some((before, _)) = text.split_once(form.as_str()) {
                let before: Vec<char> = before.chars().rev().take(200).collect();
                bail!(
                    "{place} shows {form:?} of {name}, after {:?}",
                    before.iter().rev().collect::<String>()
                );
            }
        }
        Ok(())
    }

    fn add_key(&mut self, name: &str, der: &[u8]) -> Result<()> {
        let private = private_part(der);
        self.add_bytes(name, &der[private.clone()])?;
        // The lines of the PEM, unless they contain something public. Three bytes make four characters.
        let text = BASE64_STANDARD_NO_PAD.encode(der);
        let private = private.start.div_ceil(3) * 4..private.end / 3 * 4;
        for line in (0..text.len()).step_by(64) {
            let shared = private.start.max(line)..private.end.min(line + 64);
            if shared.len() >= PIECE {
                self.add_bytes(name, &text.as_bytes()[shared])?;
            }
        }
        Ok(())
    }

    /// Adds each piece as text, as numbers, in base 16 and in base 64.
    fn add_bytes(&mut self, name: &str, secret: &[u8]) -> Result<()> {
        ensure!(secret.len() >= PIECE, "{name} is too short to be searched for");
        let last = &secret[secret.len() - PIECE..];
        for piece in secret.chunks_exact(PIECE).chain([last]) {
            let mut forms = vec![
                format!("{piece:?}").trim_matches(['[', ']']).to_owned(),
                piece.iter().map(|byte| format!("{byte:02x}")).collect(),
                piece.iter().map(|byte| format!("{byte:02X}")).collect(),
            ];
            forms.extend(std::str::from_utf8(piece).map(str::to_owned));
            // The position of a piece determines where its groups of base64 begin.
            for begin in 0..3 {
                let groups = &piece[begin..begin + (PIECE - begin) / 3 * 3];
                forms.extend(
                    [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD].map(|engine| engine.encode(groups)),
                );
            }
            self.forms.extend(forms.into_iter().map(|form| (form, name.to_owned())));
        }
        Ok(())
    }
}

/// The part of a private key, in DER, that nobody may see: the key also contains the public key.
fn private_part(der: &[u8]) -> Range<usize> {
    // The private key of an elliptic curve is one OCTET STRING of 32 or 48 bytes. An RSA key begins with the modulus.
    let small = der.len() < 300;
    let number = der.windows(2).position(|bytes| small && matches!(bytes, [0x04, 32 | 48]));
    match number.map(|at| at + 2..at + 2 + usize::from(der[at + 1])) {
        Some(number) if number.end <= der.len() => number,
        _ => der.len() / 2..der.len(),
    }
}

#[test]
fn a_secret_is_found_in_each_of_its_forms_and_what_is_public_is_not() -> Result<()> {
    for algorithm in
        [KeyAlgorithm::Ecdsa(Curve::P256), KeyAlgorithm::Ecdsa(Curve::P384), KeyAlgorithm::Ed25519]
    {
        let key = PrivateKey::generate(algorithm)?;
        for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
            let text = key.to_pem(encoding)?;
            let mut secrets = Secrets::default();
            secrets.add("key", text.as_bytes())?;
            let der = pem::parse(text.as_bytes())?.into_contents();
            let number = &der[private_part(&der)];
            let shown = [
                text.to_string(),
                text.replace('\n', "\\n"),
                super::base64(&text),
                super::base64(&format!("x{}", *text)),
                format!("{der:?}"),
                format!("{number:02x?}").replace(", ", ""),
                BASE64_URL_SAFE_NO_PAD.encode(number),
            ];
            for shown in shown {
                assert!(
                    secrets.check("it", &format!("before {shown} after")).is_err(),
                    "{algorithm}: {shown}"
                );
            }
            let other = PrivateKey::generate(algorithm)?.to_pem(encoding)?;
            secrets.check("another key", &other)?;
            let public = BASE64_STANDARD_NO_PAD.encode(&der[private_part(&der).end..]);
            secrets.check("the public key", &public)?;
        }
    }
    let mut secrets = Secrets::default();
    let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    secrets.add("mac", mac_key.as_bytes())?;
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(mac_key)?;
    for shown in
        [mac_key.to_owned(), super::base64(mac_key), format!("{decoded:?}"), mac_key[20..52].to_owned()]
    {
        assert!(secrets.check("it", &shown).is_err(), "{shown}");
    }
    assert!(secrets.add("short", b"password").is_err(), "it would be found everywhere");
    Ok(())
}

//! Secrets do not reach messages, whatever a service sends back.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// What is shown in place of a secret.
const REDACTED: &str = "<redacted>";
/// The shortest line of a document that is a secret of its own.
const SHORTEST_LINE: usize = 16;
/// What need not be escaped in URLs (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Removes secrets from texts.
pub struct Redactor {
    /// All forms of the secrets, the longest first.
    forms: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Knows these secrets.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        let mut forms: Vec<_> = secrets.flat_map(|secret| forms(secret.expose_secret())).collect();
        forms.retain(|form| !form.is_empty());
        forms.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        Self { forms }
    }

    /// The text without the secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let replace = |text: String, form: &Zeroizing<String>| text.replace(form.as_str(), REDACTED);
        self.forms.iter().fold(text.to_owned(), replace)
    }
}

/// The secret as it may appear in a message.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let mut forms = encodings(secret);
    // The lines of a private key, also where a JSON document contains it.
    let lines = secret.split(['\n', '\r']).flat_map(|line| line.split("\\n")).map(str::trim);
    for line in lines.filter(|line| line.len() >= SHORTEST_LINE && line.len() < secret.len()) {
        forms.push(Zeroizing::new(line.to_owned()));
    }
    forms
}

fn encodings(secret: &str) -> Vec<Zeroizing<String>> {
    let escaped = |set| utf8_percent_encode(secret, set).to_string();
    let (url, all) = (escaped(RESERVED), escaped(NON_ALPHANUMERIC));
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let mut forms =
        vec![secret.to_owned(), url.replace("%20", "+"), all.to_ascii_lowercase(), url, all, json];
    for engine in [&STANDARD, &URL_SAFE] {
        // Within the encoding of a longer text, such as `user:password`, it depends on the position.
        for offset in 0..3 {
            let mut bytes = vec![0; offset];
            bytes.extend_from_slice(secret.as_bytes());
            let encoded = engine.encode(&bytes);
            // The first and the last characters depend on what is around it.
            let first = [0, 2, 3][offset];
            let last = bytes.len() * 8 / 6;
            if last > first && secret.len() > 2 {
                forms.push(encoded.get(first..last).unwrap_or_default().to_owned());
            }
        }
    }
    forms.into_iter().map(Zeroizing::new).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_removed_in_every_form() {
        let secret = "s3cr+t/ with\"%ü";
        for text in [
            secret.to_owned(),
            format!("https://a.example/?token={}&x=1", utf8_percent_encode(secret, NON_ALPHANUMERIC)),
            "token=s3cr%2Bt%2F+with%22%25%C3%BC".to_owned(),
            format!("Basic {}", STANDARD.encode(format!("user:{secret}"))),
            format!("Basic {}", STANDARD.encode(format!("users:{secret}:"))),
            format!("Basic {}", URL_SAFE.encode(format!("user22:{secret}"))),
            serde_json::json!({ "error": secret }).to_string(),
        ] {
            let shown = redactor(&[secret]).redact(&text);
            assert!(shown.contains(REDACTED), "{text} became {shown}");
            assert!(!shown.contains("s3cr"), "{text} became {shown}");
        }
    }

    #[test]
    fn the_lines_of_a_private_key_are_removed_too() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0\nAQEFAASCBKgwggSk\n";
        let json = serde_json::json!({ "private_key": key }).to_string();
        for secret in [key, json.as_str()] {
            let shown = redactor(&[secret]).redact("near MIIEvgIBADANBgkqhkiG9w0 there is an error");
            assert_eq!(shown, "near <redacted> there is an error");
        }
    }

    #[test]
    fn other_text_stays() {
        let redactor = redactor(&["secret-one", "secret-two", "secret"]);
        assert_eq!(redactor.redact("a secret-one, a zone"), "a <redacted>, a zone");
        assert_eq!(redactor.redact("no such zone"), "no such zone");
    }

    proptest! {
        #[test]
        fn no_secret_remains(secret in "[ -~]{4,40}", before in "[a-z]{0,5}", after in "[a-z]{0,5}") {
            let shown = redactor(&[&secret]).redact(&format!("{before}{secret}{after}"));
            prop_assert!(!shown.replace(REDACTED, "").contains(&secret));
            let basic = STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(redactor(&[&secret]).redact(&basic).contains(REDACTED));
        }
    }

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        Redactor::new(secrets.iter())
    }
}

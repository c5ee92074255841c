//! A CA's answers are bounded before they are read, and checked before they are used.

use crate::limits::{MAX_CHAIN, MAX_CHAIN_CERTIFICATES, MAX_CHALLENGES, MAX_JSON, MAX_URL, TOKEN};
use crate::{Authorization, AuthorizationStatus, Challenge, ChallengeType, Directory, Operation, Order};

/// The maximum size of a successful answer's body, as a number and as text.
pub(super) fn max_body(operation: Operation) -> (usize, &'static str) {
    match operation {
        Operation::Certificate => (MAX_CHAIN, "128 KiB"),
        _ => (MAX_JSON, "64 KiB"),
    }
}

/// An object in an answer that is checked before it is used. The error continues a sentence about the answer.
pub(super) trait Bounded {
    /// Whether it is within its bounds.
    fn check(&self) -> Result<(), String>;
}

impl Bounded for Directory {
    fn check(&self) -> Result<(), String> {
        let required = [
            ("newNonce", Some(&self.new_nonce)),
            ("newAccount", Some(&self.new_account)),
            ("newOrder", Some(&self.new_order)),
        ];
        let optional = [
            ("newAuthz", self.new_authz.as_ref()),
            ("keyChange", self.key_change.as_ref()),
            ("revokeCert", self.revoke_cert.as_ref()),
            ("renewalInfo", self.renewal_info.as_ref()),
        ];
        let links = [("termsOfService", &self.meta.terms_of_service), ("website", &self.meta.website)];
        for (entry, url) in required.into_iter().chain(optional) {
            url.map_or(Ok(()), |url| check_url(entry, url))?;
        }
        links.into_iter().try_for_each(|(entry, link)| match link {
            Some(link) if link.len() > MAX_URL => Err(too_long(entry)),
            _ => Ok(()),
        })
    }
}

impl Bounded for Order {
    fn check(&self) -> Result<(), String> {
        check_url("finalize", &self.finalize)?;
        self.certificate.as_ref().map_or(Ok(()), |url| check_url("certificate", url))?;
        self.authorizations.iter().try_for_each(|url| check_url("authorization", url))
    }
}

impl Bounded for Authorization {
    fn check(&self) -> Result<(), String> {
        let count = self.challenges.len();
        if count > MAX_CHALLENGES {
            return Err(format!("it has {count} challenges, but at most {MAX_CHALLENGES} are accepted"));
        }
        match self.status {
            AuthorizationStatus::Pending => self.challenges.iter().try_for_each(Challenge::check),
            // Its challenges are not used.
            _ => Ok(()),
        }
    }
}

impl Challenge {
    fn check(&self) -> Result<(), String> {
        match self.typ {
            ChallengeType::Http01
            | ChallengeType::Dns01
            | ChallengeType::DnsAccount01
            | ChallengeType::TlsAlpn01 => {}
            // It has no token.
            ChallengeType::DnsPersist01 => return check_url("challenge", &self.url),
            // Challenges of other types are not used.
            ChallengeType::Other(_) => return Ok(()),
        }
        check_url("challenge", &self.url)?;
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if TOKEN.contains(&self.token.len()) && self.token.bytes().all(base64url) {
            return Ok(());
        }
        Err(format!(
            "the token of its {} challenge is not {} to {} characters of the base64url alphabet (RFC 8555 section 8.3)",
            self.typ,
            TOKEN.start(),
            TOKEN.end()
        ))
    }
}

/// Checks that a request can be sent to `url`, which the error calls `what`.
pub(super) fn check_url(what: &str, url: &str) -> Result<(), String> {
    if url.len() > MAX_URL {
        return Err(too_long(what));
    }
    // The parser ignores tabs and line breaks, but the URL is kept as it was sent.
    let parsed = reqwest::Url::parse(url).ok().filter(|_| !url.contains(char::is_control));
    match parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        Some(_) => Ok(()),
        None => Err(format!("its {what} URL is not an http or https URL")),
    }
}

/// Checks that a downloaded chain does not have too many certificates.
pub(super) fn check_chain(pem: &str) -> Result<(), String> {
    let count = pem.matches("-----BEGIN CERTIFICATE-----").count();
    if count <= MAX_CHAIN_CERTIFICATES {
        return Ok(());
    }
    Err(format!("its chain has {count} certificates, but at most {MAX_CHAIN_CERTIFICATES} are accepted"))
}

fn too_long(what: &str) -> String {
    format!("its {what} URL is longer than {MAX_URL} characters")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_of_the_base64url_alphabet_and_has_128_bits() {
        let check = |token: &str| challenge("http-01", "https://ca.example/c/1", token).check();
        for good in ["evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA", &"a".repeat(22), &"a".repeat(256)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let dots = format!("../../{}", "a".repeat(30));
        for bad in
            ["", "short", &"a".repeat(21), &"a".repeat(257), &dots, &"a b".repeat(10), &"aaa=".repeat(10)]
        {
            let refusal = check(bad).unwrap_err();
            assert!(refusal.contains("22 to 256 characters of the base64url alphabet"), "{bad}: {refusal}");
        }
        assert!(challenge("dns-01", "https://ca.example/c/1", "x").check().is_err());
        assert!(challenge("tls-alpn-01", "https://ca.example/c/1", "x").check().is_err());
        assert_eq!(challenge("vendor-01", "", "").check(), Ok(()), "of another type nothing is used");
        assert_eq!(challenge("dns-persist-01", "https://ca.example/c/1", "").check(), Ok(()));
        assert!(challenge("dns-persist-01", "", "").check().is_err());
    }

    #[test]
    fn a_url_is_of_http_and_bounded() {
        for hidden in ["https://ca.example/a\tb", "https://ca.example/a\nb", "https://ca.example/\u{7f}"] {
            assert!(check_url("order", hidden).is_err(), "{hidden:?}");
        }
        assert_eq!(check_url("finalize", "https://ca.example/f/1"), Ok(()));
        for bad in ["", "/f/1", "ftp://ca.example/f", "file:///etc/passwd", "https://"] {
            assert_eq!(
                check_url("finalize", bad).unwrap_err(),
                "its finalize URL is not an http or https URL",
                "{bad}"
            );
        }
        let long = format!("https://ca.example/{}", "f".repeat(MAX_URL));
        assert_eq!(
            check_url("finalize", &long).unwrap_err(),
            "its finalize URL is longer than 1024 characters"
        );
    }

    #[test]
    fn every_url_of_an_order_and_a_directory_is_checked() {
        let order = |key: &str| {
            let mut order = json!({ "status": "pending", "finalize": "https://ca.example/f",
                "authorizations": ["https://ca.example/a"], "certificate": "https://ca.example/c" });
            order[key] =
                if key == "authorizations" { json!(["https://ca.example/a", "a"]) } else { json!("c") };
            serde_json::from_value::<Order>(order).unwrap().check()
        };
        for key in ["finalize", "authorizations", "certificate"] {
            assert!(order(key).unwrap_err().contains("is not an http or https URL"), "{key}");
        }
        let directory = |key: &str| {
            let url = "https://ca.example/x";
            let mut directory = json!({ "newNonce": url, "newAccount": url, "newOrder": url, "keyChange": url,
                "revokeCert": url, "renewalInfo": url });
            directory[key] = json!("gopher://ca.example/");
            serde_json::from_value::<Directory>(directory).unwrap().check()
        };
        for key in ["newNonce", "newAccount", "newOrder", "keyChange", "revokeCert", "renewalInfo"] {
            assert_eq!(directory(key).unwrap_err(), format!("its {key} URL is not an http or https URL"));
        }
    }

    #[test]
    fn an_authorization_has_no_more_challenges_than_a_ca_knows_types() {
        let challenges = vec![json!({ "type": "vendor-01" }); MAX_CHALLENGES + 1];
        let authorization = json!({ "status": "pending", "identifier": { "type": "dns", "value": "a.example" },
            "challenges": challenges });
        let refusal = serde_json::from_value::<Authorization>(authorization).unwrap().check().unwrap_err();
        assert_eq!(refusal, "it has 21 challenges, but at most 20 are accepted");
    }

    #[test]
    fn a_chain_has_no_more_certificates_than_one_needs() {
        let chain =
            |count: usize| "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n".repeat(count);
        assert_eq!(check_chain(&chain(MAX_CHAIN_CERTIFICATES)), Ok(()));
        assert!(check_chain(&chain(MAX_CHAIN_CERTIFICATES + 1)).unwrap_err().contains("11 certificates"));
    }

    fn challenge(typ: &str, url: &str, token: &str) -> Challenge {
        serde_json::from_value(json!({ "type": typ, "url": url, "status": "pending", "token": token }))
            .unwrap()
    }
}

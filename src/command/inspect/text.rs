//! The text of `certwright inspect`.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::revocation::Revocation;
use crate::command::check::{self, Finding};
use crate::command::outlook;
use crate::command::output::{BAD, BOLD, GOOD, moment, plain, styled};
use crate::command::status::field;
use certwright_api::{
    ANNOTATION_CERT_MANAGER_CERTIFICATE, ANNOTATION_CERTIFICATE, Certificate, SECRET_KEY_TLS_KEY,
};
use certwright_core::secret::{annotation, data};
use certwright_pki::{Chain, ChainError, Leaf, PrivateKey, Subject};

/// A Secret, and what is known about it.
pub(super) struct Inspected<'a> {
    pub(super) called: &'a str,
    pub(super) secret: &'a Secret,
    /// Its chain, if it has one.
    pub(super) chain: Option<&'a Result<Chain, ChainError>>,
    pub(super) revocation: &'a Revocation,
    /// The Certificate that it belongs to.
    pub(super) certificate: Option<&'a Certificate>,
    pub(super) users: &'a [String],
    /// What servers show, if that was looked at.
    pub(super) served: Option<&'a [Finding]>,
}

/// The text, and whether nothing is wrong.
pub(super) fn rendered(inspected: &Inspected<'_>, now: Timestamp) -> (String, bool) {
    let mut problems = Vec::new();
    let mut facts = String::new();
    match inspected.chain {
        None => problems.push("it has no tls.crt".to_owned()),
        Some(Err(error)) => problems.push(error.to_string()),
        Some(Ok(chain)) => {
            let leaf = chain.leaf();
            facts.push_str(&names(leaf));
            facts.push_str(&field("Serial", &leaf.serial_number));
            facts.push_str(&field("Issued by", &plain(&leaf.issuer_name)));
            facts.push_str(&field(
                "Valid",
                &format!("from {} to {}", leaf.not_before, moment(leaf.not_after, now)),
            ));
            problems.extend(leaf.check_validity(now).err().map(|error| error.to_string()));
            facts.push_str(&key(inspected.secret, leaf, &mut problems));
            facts.push_str(&of_chain(chain, &mut problems));
            facts.push_str(&revoked(inspected.revocation, &mut problems));
            facts.push_str(&field("SHA-256", &fingerprint(&leaf.der)));
        }
    }
    facts.push_str(&field("Written by", &owner(inspected, now)));
    let keys =
        inspected.secret.data.iter().flatten().map(|(key, _)| plain(key)).collect::<Vec<_>>().join(", ");
    facts.push_str(&field("Keys", if keys.is_empty() { "none" } else { &keys }));
    let mut users = inspected.users.iter();
    facts.push_str(&field(
        "Used by",
        &users.next().map_or("nothing in its namespace".to_owned(), |user| plain(user)),
    ));
    users.for_each(|user| facts.push_str(&field("", &plain(user))));
    if let Some(findings) = inspected.served {
        facts.push_str("\nServed, as seen from this machine\n");
        findings.iter().for_each(|finding| facts.push_str(&check::rendered(finding)));
        if findings.iter().any(Finding::is_failure) {
            problems.push("it is not served everywhere as it should be: see below".to_owned());
        }
    }
    let word = match problems.is_empty() {
        true => styled(GOOD, "has no problem"),
        false => styled(BAD, "has a problem"),
    };
    let problems: String = problems.iter().map(|problem| field("Problem", &plain(problem))).collect();
    let is_well = problems.is_empty();
    (format!("{} {word}\n\n{problems}{facts}", styled(BOLD, inspected.called)), is_well)
}

fn names(leaf: &Leaf) -> String {
    let names = leaf
        .dns_names
        .iter()
        .map(|name| plain(name))
        .chain(leaf.ip_addresses.iter().map(ToString::to_string));
    let names = names.collect::<Vec<_>>().join(", ");
    field("Names", if names.is_empty() { "none" } else { &names })
}

fn key(secret: &Secret, leaf: &Leaf, problems: &mut Vec<String>) -> String {
    let Some(pem) = data(secret, SECRET_KEY_TLS_KEY) else {
        // As with spec.csr, whose key is elsewhere.
        return field("Key", "not in the Secret");
    };
    match PrivateKey::from_pem(pem) {
        Err(error) => {
            problems.push(format!("the private key cannot be used: {error}"));
            field("Key", "cannot be used")
        }
        Ok(key) => match leaf.check_key(&key) {
            Ok(()) => field("Key", &format!("{}, matches the certificate", key.algorithm())),
            Err(error) => {
                problems.push(error.to_string());
                field("Key", &format!("{}, does not match the certificate", key.algorithm()))
            }
        },
    }
}

fn of_chain(chain: &Chain, problems: &mut Vec<String>) -> String {
    let leaf = chain.leaf();
    // At this time the certificate is valid, whatever the time is now.
    let signed = chain.check_for(&leaf.public_key_der, &Subject::default(), leaf.not_before);
    let count = chain.certificates().len();
    let top = chain.issuers().last().map_or(String::new(), |issuer| format!(", up to {}", plain(issuer)));
    match signed {
        Ok(()) => field("Chain", &format!("{count} certificates, each signed by the next{top}")),
        Err(error) => {
            problems.push(error.to_string());
            field("Chain", &format!("{count} certificate{}, not complete", if count == 1 { "" } else { "s" }))
        }
    }
}

fn revoked(revocation: &Revocation, problems: &mut Vec<String>) -> String {
    match revocation {
        Revocation::No { url } => field("Revoked", &format!("no, according to {}", plain(url))),
        Revocation::NotChecked(why) => field("Revoked", &format!("not known: {}", plain(why))),
        Revocation::Yes { url, time, reason } => {
            problems.push(format!("the CA revoked the certificate at {time}: {reason}"));
            field("Revoked", &format!("yes, according to {}", plain(url)))
        }
    }
}

/// As browsers and `openssl x509 -fingerprint -sha256` show it.
fn fingerprint(der: &[u8]) -> String {
    let digest = digest(&SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn owner(inspected: &Inspected<'_>, now: Timestamp) -> String {
    let namespace = inspected.secret.metadata.namespace.as_deref();
    match (annotation(inspected.secret, ANNOTATION_CERTIFICATE), inspected.certificate) {
        (Some(name), Some(certificate)) => {
            let next = outlook::of_certificate(certificate, now).next.sentence(now);
            plain(&format!("{}: {next}", outlook::named("Certificate", namespace, name)))
        }
        (Some(name), None) => {
            plain(&format!("{}, which cannot be read", outlook::named("Certificate", namespace, name)))
        }
        (None, _) => match annotation(inspected.secret, ANNOTATION_CERT_MANAGER_CERTIFICATE) {
            Some(name) => {
                plain(&format!("cert-manager, for its {}", outlook::named("Certificate", namespace, name)))
            }
            None => "not by Certwright".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-06-01T00:00:00Z";

    /// A chain for www.example.com, and the key.
    fn issued() -> (String, String) {
        let of = |names: &[&str]| {
            let mut params =
                CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
                    .unwrap();
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(2026, 7, 1);
            params
        };
        let mut ca = of(&[]);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(rcgen::DnType::CommonName, "Test CA");
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = of(&["www.example.com"]).signed_by(&key, &ca).unwrap();
        (format!("{}{}", leaf.pem(), ca.pem()), key.serialize_pem())
    }

    fn shown(chain: &str, key: Option<&str>, revocation: &Revocation, at: &str) -> (String, bool) {
        let mut secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": "www-tls", "namespace": "shop", "annotations": { ANNOTATION_CERTIFICATE: "www" } },
        }))
        .unwrap();
        let key = key.map(|key| ("tls.key".to_owned(), ByteString(key.as_bytes().to_vec())));
        let chain_data = ("tls.crt".to_owned(), ByteString(chain.as_bytes().to_vec()));
        secret.data = Some([chain_data].into_iter().chain(key).collect());
        let chain = Chain::parse_pem(chain.as_bytes());
        let inspected = Inspected {
            called: "Secret shop/www-tls",
            secret: &secret,
            chain: Some(&chain),
            revocation,
            certificate: None,
            users: &["Ingress www (www.example.com)".to_owned(), "Pod p, which mounts it".to_owned()],
            served: None,
        };
        let (text, is_well) = rendered(&inspected, at.parse().unwrap());
        (anstream::adapter::strip_str(&text).to_string(), is_well)
    }

    fn no() -> Revocation {
        Revocation::No { url: "http://crl.example/1".to_owned() }
    }

    #[test]
    fn a_secret_that_can_be_served_has_no_problem() {
        let (chain, key) = issued();
        let (text, is_well) = shown(&chain, Some(&key), &no(), NOW);
        assert!(is_well, "{text}");
        for words in [
            "Secret shop/www-tls has no problem\n\nNames         www.example.com\n",
            "Issued by     Test CA\n",
            "Valid         from 2026-01-01T00:00:00Z to 2026-07-01T00:00:00Z (in 30d)\n",
            "Key           ECDSA P-256, matches the certificate\n",
            "Chain         2 certificates, each signed by the next, up to Test CA\n",
            "Revoked       no, according to http://crl.example/1\n",
            "Written by    Certificate shop/www, which cannot be read\n",
            "Keys          tls.crt, tls.key\n",
            "Used by       Ingress www (www.example.com)\n              Pod p, which mounts it\n",
        ] {
            assert!(text.contains(words), "it lacks {words:?}: {text}");
        }
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }

    #[test]
    fn each_problem_is_named() {
        let (chain, key) = issued();
        let (_, other_key) = issued();
        let leaf = chain.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
        let revoked = Revocation::Yes {
            url: "http://crl.example/1".to_owned(),
            time: NOW.parse().unwrap(),
            reason: "keyCompromise".to_owned(),
        };
        let problem = |(text, is_well): (String, bool), words: &str| {
            assert!(
                !is_well && text.contains(&format!("Problem       {words}")),
                "it lacks {words:?}: {text}"
            );
        };
        problem(shown(&chain, Some(&other_key), &no(), NOW), "the certificate is for another private key");
        problem(shown(&chain, Some("x"), &no(), NOW), "the private key cannot be used: ");
        problem(
            shown(leaf, Some(&key), &no(), NOW),
            "the chain contains only the certificate, without its issuers",
        );
        problem(
            shown(&chain, Some(&key), &no(), "2026-08-01T00:00:00Z"),
            "the certificate expired at 2026-07-01T00:00:00Z",
        );
        problem(
            shown(&chain, Some(&key), &revoked, NOW),
            "the CA revoked the certificate at 2026-06-01T00:00:00Z: keyCompromise",
        );
        problem(shown("x", Some(&key), &no(), NOW), "the PEM text contains no certificate");
    }
}

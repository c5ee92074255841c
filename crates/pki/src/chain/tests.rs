use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};

use super::*;
use crate::KeyEncoding;

#[test]
fn a_chain_that_fits_is_accepted() {
    let ca = Authority::new();
    let chain = ca.chain(&ca.params());
    assert_eq!(chain.check(&ca.key, &wanted(), now()), Ok(()));
    assert_eq!(chain.certificates().len(), 2);
}

#[test]
fn a_leaf_is_described() {
    let ca = Authority::new();
    let leaf = ca.chain(&ca.params()).leaf().clone();
    assert_eq!(leaf.not_before, now());
    assert_eq!(leaf.not_after, "2026-06-30T00:00:00Z".parse().unwrap());
    assert_eq!(leaf.serial_number, "0a80ff");
    assert_eq!(leaf.common_name.as_deref(), Some("example.com"));
    assert_eq!(leaf.dns_names, BTreeSet::from(["*.example.com".into(), "example.com".into()]));
    assert_eq!(leaf.ip_addresses, ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).into());
    assert_eq!(leaf.public_key_der, ca.key.public_key_der());
    assert_eq!(leaf.public_key_algorithm, Some(KeyAlgorithm::ECDSA_P256));
    assert_eq!(leaf.issuer_name, "Intermediate");
}

/// The example of RFC 9773 appendix A.
#[test]
fn a_certificate_has_the_id_that_the_rfc_gives_it() {
    let pem = "-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
";
    let chain = Chain::parse_pem(pem.as_bytes()).unwrap();
    assert_eq!(chain.leaf().certificate_id.as_deref(), Some("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"));
}

#[test]
fn every_algorithm_of_a_public_key_is_recognised() {
    for algorithm in
        [KeyAlgorithm::ECDSA_P384, KeyAlgorithm::ECDSA_P521, KeyAlgorithm::Rsa(2048), KeyAlgorithm::Ed25519]
    {
        let ca = Authority::with_key(PrivateKey::generate(algorithm).unwrap());
        let chain = ca.chain(&ca.params());
        assert_eq!(chain.leaf().public_key_algorithm, Some(algorithm));
        assert_eq!(chain.check(&ca.key, &wanted(), now()), Ok(()));
    }
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let ca = Authority::new();
    let other = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let refused = ca.chain(&ca.params()).check(&other, &wanted(), now()).unwrap_err();
    assert_eq!(refused, ChainError::OtherKey);
    assert_eq!(refused.to_string(), "the certificate is for another private key");
}

#[test]
fn every_missing_name_is_named() {
    let ca = Authority::new();
    let mut wanted = wanted();
    wanted.dns_names.extend(["www.example.com".into(), "api.example.com".into()]);
    wanted.ip_addresses.push("192.0.2.2".parse().unwrap());
    assert_eq!(
        ca.chain(&ca.params()).check(&ca.key, &wanted, now()).unwrap_err().to_string(),
        "the certificate lacks www.example.com, api.example.com, 192.0.2.2"
    );
}

#[test]
fn a_wildcard_does_not_replace_a_requested_name() {
    let ca = Authority::new();
    let wanted = Subject { dns_names: vec!["www.example.com".into()], ..Subject::default() };
    let refused = ca.chain(&ca.params()).check(&ca.key, &wanted, now());
    assert_eq!(refused, Err(ChainError::MissingNames(vec!["www.example.com".into()])));
}

#[test]
fn case_does_not_matter_and_extra_names_do_no_harm() {
    let ca = Authority::new();
    let wanted = Subject { dns_names: vec!["EXAMPLE.com".into()], ..Subject::default() };
    let mut params = ca.params();
    params.subject_alt_names = vec![dns("Example.COM"), dns("www.example.com")];
    assert_eq!(ca.chain(&params).check(&ca.key, &wanted, now()), Ok(()));
}

#[test]
fn a_clock_may_lag_an_hour_and_no_more() {
    let ca = Authority::new();
    let chain = ca.chain(&ca.params());
    let hour_before = now() - SignedDuration::from_hours(1);
    assert_eq!(chain.check(&ca.key, &wanted(), hour_before), Ok(()));
    assert_eq!(
        chain.check(&ca.key, &wanted(), hour_before - SignedDuration::from_secs(1)).unwrap_err().to_string(),
        "the certificate is not valid before 2026-04-01T00:00:00Z"
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    let ca = Authority::new();
    let chain = ca.chain(&ca.params());
    let not_after = chain.leaf().not_after;
    assert_eq!(chain.check(&ca.key, &wanted(), not_after), Ok(()));
    assert_eq!(
        chain.check(&ca.key, &wanted(), not_after + SignedDuration::from_secs(1)).unwrap_err().to_string(),
        "the certificate expired at 2026-06-30T00:00:00Z"
    );
}

#[test]
fn a_leaf_without_a_chain_is_refused() {
    let ca = Authority::new();
    let leaf = ca.leaf(&ca.params());
    let refused = Chain::parse_pem(leaf.as_bytes()).unwrap().check(&ca.key, &wanted(), now());
    assert_eq!(refused, Err(ChainError::NoChain));
}

#[test]
fn a_chain_in_which_an_issuer_is_left_out_is_refused() {
    let ca = Authority::new();
    let text = ca.leaf(&ca.params()) + &ca.root.pem();
    assert_eq!(
        Chain::parse_pem(text.as_bytes()).unwrap().check(&ca.key, &wanted(), now()).unwrap_err().to_string(),
        "certificate 1 of the chain was issued by Intermediate, but the next one is for Root"
    );
}

#[test]
fn an_issuer_of_the_same_name_that_did_not_sign_is_refused() {
    let (ca, impostor) = (Authority::new(), Authority::new());
    let text = ca.leaf(&ca.params()) + &ca.intermediate.pem() + &impostor.root.pem();
    assert_eq!(
        Chain::parse_pem(text.as_bytes()).unwrap().check(&ca.key, &wanted(), now()).unwrap_err().to_string(),
        "certificate 2 of the chain was not signed with the key of the next one, Root"
    );
}

#[test]
fn a_chain_may_reach_its_root() {
    let ca = Authority::new();
    let text = ca.leaf(&ca.params()) + &ca.intermediate.pem() + &ca.root.pem();
    let chain = Chain::parse_pem(text.as_bytes()).unwrap();
    assert_eq!(chain.check(&ca.key, &wanted(), now()), Ok(()));
    assert_eq!(chain.issuers(), ["Intermediate", "Root", "Root"]);
}

#[test]
fn a_preferred_chain_is_known_by_any_of_its_issuers() {
    let ca = Authority::new();
    let chain = ca.chain(&ca.params());
    assert!(chain.issued_by("Root") && chain.issued_by("Intermediate"));
    assert!(!chain.issued_by("example.com") && !chain.issued_by("root"));
}

#[test]
fn the_chain_is_written_as_plain_pem() {
    let ca = Authority::new();
    let plain = ca.chain(&ca.params()).pem();
    let noisy = format!("subject=example.com\n{}\nbye", plain.replace('\n', "\r\n"));
    assert_eq!(Chain::parse_pem(noisy.as_bytes()).unwrap().pem(), plain);
    assert!(
        plain.starts_with("-----BEGIN CERTIFICATE-----\n") && plain.ends_with("-----END CERTIFICATE-----\n")
    );
}

#[test]
fn a_text_that_is_not_a_chain_is_rejected_with_the_reason() {
    let ca = Authority::new();
    let refused = |text: String| Chain::parse_pem(text.as_bytes()).unwrap_err();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(refused(String::new()), ChainError::Empty);
    assert_eq!(refused(broken.replace("AAAA", "!")), ChainError::Pem);
    assert_eq!(refused(ca.leaf(&ca.params()) + broken), ChainError::Malformed { position: 2 });
    assert_eq!(refused(ca.key.to_pem(KeyEncoding::Pkcs8).unwrap().to_string()), ChainError::Empty);
}

#[test]
fn a_certificate_without_a_common_name_is_read() {
    let ca = Authority::new();
    let mut params = ca.params();
    params.distinguished_name = DistinguishedName::new();
    let chain = ca.chain(&params);
    assert_eq!(chain.leaf().common_name, None);
    assert_eq!(chain.check(&ca.key, &wanted(), now()), Ok(()));
}

#[test]
fn the_names_in_a_certificate_are_safe_in_a_message() {
    let ca = Authority::new();
    let mut params = ca.params();
    params.distinguished_name.push(DnType::CommonName, "two\nlines\u{1b}[2J");
    assert_eq!(ca.chain(&params).leaf().common_name.as_deref(), Some("two lines [2J"));
    params.distinguished_name.push(DnType::CommonName, "a".repeat(10_000));
    assert_eq!(
        ca.chain(&params).leaf().common_name.as_ref().map(|name| name.chars().count()),
        Some(LONGEST_NAME + 1)
    );
}

/// A chain for this key.
pub fn chain_for(key: &PrivateKey) -> Chain {
    let ca = Authority::with_key(key.clone());
    ca.chain(&ca.params())
}

fn wanted() -> Subject {
    Subject {
        common_name: Some("example.com".into()),
        dns_names: vec!["example.com".into(), "*.example.com".into()],
        ip_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
    }
}

fn now() -> Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A root, an intermediate, and the key of the leaves.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    key: PrivateKey,
}

impl Authority {
    fn new() -> Self {
        Self::with_key(PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap())
    }

    fn with_key(key: PrivateKey) -> Self {
        let root = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        let root = CertifiedIssuer::self_signed(issuer("Root"), root).unwrap();
        let intermediate =
            CertifiedIssuer::signed_by(issuer("Intermediate"), KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, intermediate, key }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "example.com");
        params.not_before = rcgen::date_time_ymd(2026, 4, 1);
        params.not_after = rcgen::date_time_ymd(2026, 6, 30);
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0x80, 0xff]));
        params.subject_alt_names = wanted().dns_names.iter().map(|name| dns(name)).collect();
        params.subject_alt_names.extend(wanted().ip_addresses.into_iter().map(SanType::IpAddress));
        params
    }

    fn leaf(&self, params: &CertificateParams) -> String {
        let pem = self.key.to_pem(KeyEncoding::Pkcs8).unwrap();
        params.signed_by(&KeyPair::from_pem(&pem).unwrap(), &self.intermediate).unwrap().pem()
    }

    fn chain(&self, params: &CertificateParams) -> Chain {
        let text = self.leaf(params) + &self.intermediate.pem();
        Chain::parse_pem(text.as_bytes()).unwrap()
    }
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

//! The certificates that the CA makes.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CrlDistributionPoint, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};

use super::Flaw;
use certwright_acme::Identifier;
use certwright_pki::{KeyEncoding, PrivateKey};

pub(super) fn certificate(
    key: &PrivateKey,
    names: &[Identifier],
    flaw: Option<Flaw>,
    now: Timestamp,
    lifetime: SignedDuration,
) -> String {
    let names = if flaw == Some(Flaw::NameMissing) { &names[1..] } else { names };
    let san = |name: &Identifier| match name.value.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.value.as_str().try_into().unwrap()),
    };
    let mut params = CertificateParams::default();
    if flaw != Some(Flaw::SerialRepeated) {
        // Otherwise, it is derived from the key.
        params.serial_number = Some(next_serial_number());
    }
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points =
        vec![CrlDistributionPoint { uris: vec!["http://crl.test/1".to_owned()] }];
    params.subject_alt_names = names.iter().map(san).collect();
    if flaw == Some(Flaw::NameAdded) {
        params.subject_alt_names.push(SanType::DnsName("www.added.test".try_into().unwrap()));
    }
    let begin = match flaw {
        Some(Flaw::Expired) => now - lifetime - SignedDuration::from_hours(1),
        Some(Flaw::DueAlready) => now - lifetime * 9 / 10,
        _ => now,
    };
    let at = |time: Timestamp| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(time.as_second()).unwrap())
    };
    params.not_before = at(begin);
    params.not_after = at(begin + lifetime);
    let other = PrivateKey::generate(key.algorithm()).unwrap();
    let key = if flaw == Some(Flaw::OtherKey) { &other } else { key };
    let key = KeyPair::from_pem(&key.to_pem(KeyEncoding::Pkcs8).unwrap()).unwrap();
    let leaf = params.signed_by(&key, intermediate()).unwrap().pem();
    if flaw == Some(Flaw::NoChain) { leaf } else { leaf + &intermediate().pem() }
}

fn next_serial_number() -> SerialNumber {
    static LAST: AtomicU64 = AtomicU64::new(0);
    SerialNumber::from(1 + LAST.fetch_add(1, Ordering::Relaxed))
}

fn intermediate() -> &'static CertifiedIssuer<'static, KeyPair> {
    static INTERMEDIATE: OnceLock<CertifiedIssuer<'static, KeyPair>> = OnceLock::new();
    INTERMEDIATE.get_or_init(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    })
}

/// When the validations expire that a new order finds.
pub const VALID_UNTIL: &str = "2026-06-01T00:00:00Z";

/// A name of an order as the certificate has it.
pub(super) fn without_ancestor(name: Identifier) -> Identifier {
    Identifier { ancestor_domain: None, ..name }
}

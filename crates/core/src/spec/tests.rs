use std::time::Duration;

use super::*;
use certwright_api::{IssuerRef, RenewBefore, SecretTemplate};

#[test]
fn what_is_left_out_has_a_default() {
    let validated = ValidatedCertificate::new(&named(&["example.com"]), None).unwrap();
    let subject = Subject { dns_names: vec!["example.com".to_owned()], ..Subject::default() };
    assert_eq!(
        validated,
        ValidatedCertificate {
            csr: None,
            secret_name: "tls".to_owned(),
            subject,
            key: KeyAlgorithm::Rsa(2048),
            stated_key: StatedKey::Nothing,
            encoding: KeyEncoding::Pkcs1,
            rotation: RotationPolicy::Always,
            issuer_kind: IssuerKind::Issuer,
            issuer_name: "ca".to_owned(),
            first_issuer: named(&[]).issuer_ref,
            tried_issuer: named(&[]).issuer_ref,
            rehearsal_issuer: None,
            rehearses: false,
            issued_by: None,
            fallback: None,
            renewal: RenewalRule::Default,
            outputs: Outputs::default(),
            profile: None,
            duration: None,
            renews: true,
            windows: Ok(Windows::default()),
            on_revoked: RevokedPolicy::Reissue,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            owner: None,
            ignored: None,
        }
    );
}

#[test]
fn names_are_lower_case_sorted_and_there_once() {
    let spec = CertificateSpec {
        ip_addresses: strings(&["2001:db8::1", "192.0.2.1", "2001:DB8:0::1"]),
        common_name: Some("B.example.com".to_owned()),
        ..named(&["c.example.com", "A.Example.com", "a.example.COM", "*.example.com"])
    };
    let subject = ValidatedCertificate::new(&spec, None).unwrap().subject;
    assert_eq!(subject.dns_names, ["*.example.com", "a.example.com", "b.example.com", "c.example.com"]);
    assert_eq!(
        subject.ip_addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
        ["192.0.2.1", "2001:db8::1"]
    );
}

#[test]
fn the_common_name_is_spelled_as_among_the_names() {
    for (common_name, expected) in [
        ("Example.COM", Identifier::dns("example.com")),
        ("*.Example.com", Identifier::dns("*.example.com")),
        ("192.0.2.7", Identifier::ip("192.0.2.7".parse().unwrap())),
        ("2001:DB8::7", Identifier::ip("2001:db8::7".parse().unwrap())),
    ] {
        let spec = CertificateSpec { common_name: Some(common_name.to_owned()), ..named(&[]) };
        let validated = ValidatedCertificate::new(&spec, None).unwrap();
        assert_eq!(validated.identifiers(), std::slice::from_ref(&expected));
        assert_eq!(validated.subject.common_name, Some(expected.value));
    }
}

#[test]
fn an_empty_common_name_is_none() {
    let spec = CertificateSpec { common_name: Some(String::new()), ..named(&["example.com"]) };
    assert_eq!(ValidatedCertificate::new(&spec, None).unwrap().subject.common_name, None);
}

#[test]
fn an_order_asks_for_dns_names_first() {
    let spec = CertificateSpec { ip_addresses: strings(&["192.0.2.1"]), ..named(&["z.test", "a.test"]) };
    let asked: Vec<_> = ValidatedCertificate::new(&spec, None)
        .unwrap()
        .identifiers()
        .into_iter()
        .map(|identifier| (identifier.typ, identifier.value))
        .collect();
    let expected = [("dns", "a.test"), ("dns", "z.test"), ("ip", "192.0.2.1")];
    assert_eq!(asked, expected.map(|(typ, value)| (typ.to_owned(), value.to_owned())));
}

#[test]
fn names_that_cannot_be_asked_for_are_refused() {
    let no_names = ValidatedCertificate::new(&named(&[]), None).unwrap_err();
    assert_eq!(no_names, InvalidSpec::NoNames);
    assert_eq!(no_names.to_string(), "a certificate needs a name: set dnsNames, ipAddresses or commonName");
    let empty = CertificateSpec { common_name: Some(String::new()), ..named(&[]) };
    assert_eq!(ValidatedCertificate::new(&empty, None).unwrap_err(), InvalidSpec::NoNames);
    for text in ["example.com", "192.0.2.256", "192.0.2.0/24", "", " 192.0.2.1"] {
        let spec = CertificateSpec { ip_addresses: strings(&[text]), ..named(&["example.com"]) };
        let refused = ValidatedCertificate::new(&spec, None).unwrap_err();
        assert_eq!(refused, InvalidSpec::IpAddress(text.to_owned()));
        assert_eq!(refused.to_string(), format!("ipAddresses: '{text}' is not an IP address"));
    }
    let long = "a".repeat(64);
    for text in ["My Company", "example.com.", "a..b", "-a.test", "a-.test", "*", "a.*.test", "ü.test", &long]
    {
        let spec = CertificateSpec { common_name: Some(text.to_owned()), ..named(&[]) };
        let refused = ValidatedCertificate::new(&spec, None).unwrap_err();
        assert_eq!(refused, InvalidSpec::CommonName(text.to_owned()));
        assert!(refused.to_string().starts_with(&format!("commonName: '{text}' is not a DNS name")));
    }
}

#[test]
fn every_key_that_can_be_made_can_be_asked_for_and_no_other() {
    use PrivateKeyAlgorithm::{Ecdsa, Rsa};
    let cases = [
        (None, None, Ok(KeyAlgorithm::Rsa(2048))),
        (None, Some(0), Ok(KeyAlgorithm::Rsa(2048))),
        (None, Some(4096), Ok(KeyAlgorithm::Rsa(4096))),
        (Some(Rsa), Some(2048), Ok(KeyAlgorithm::Rsa(2048))),
        (Some(Rsa), Some(3072), Ok(KeyAlgorithm::Rsa(3072))),
        (Some(Rsa), Some(8192), Ok(KeyAlgorithm::Rsa(8192))),
        (Some(Rsa), Some(2049), Err(InvalidSpec::RsaSize(2049))),
        (Some(Rsa), Some(1024), Err(InvalidSpec::RsaSize(1024))),
        (Some(Rsa), Some(-1), Err(InvalidSpec::RsaSize(-1))),
        (Some(Rsa), Some(256), Err(InvalidSpec::RsaSize(256))),
        (Some(Ecdsa), None, Ok(KeyAlgorithm::ECDSA_P256)),
        (Some(Ecdsa), Some(0), Ok(KeyAlgorithm::ECDSA_P256)),
        (Some(Ecdsa), Some(256), Ok(KeyAlgorithm::ECDSA_P256)),
        (Some(Ecdsa), Some(384), Ok(KeyAlgorithm::ECDSA_P384)),
        (Some(Ecdsa), Some(521), Ok(KeyAlgorithm::ECDSA_P521)),
        (Some(Ecdsa), Some(512), Err(InvalidSpec::EcdsaSize(512))),
        (Some(Ecdsa), Some(2048), Err(InvalidSpec::EcdsaSize(2048))),
    ];
    for (algorithm, size, expected) in cases {
        let key = CertificatePrivateKey { algorithm, size, ..CertificatePrivateKey::default() };
        let spec = CertificateSpec { private_key: Some(key), ..named(&["example.com"]) };
        let found = ValidatedCertificate::new(&spec, None).map(|validated| validated.key);
        assert_eq!(found, expected, "{algorithm:?} {size:?}");
    }
    assert_eq!(
        InvalidSpec::RsaSize(1024).to_string(),
        "privateKey.size: RSA keys of 1024 bits are not supported; use 2048, 3072, 4096 or 8192"
    );
    assert_eq!(
        InvalidSpec::EcdsaSize(512).to_string(),
        "privateKey.size: ECDSA keys of 512 bits are not supported; use 256, 384 or 521"
    );
}

#[test]
fn labels_and_annotations_of_ours_are_refused_and_others_taken() {
    let with = |labels: &[&str], annotations: &[&str]| {
        let map = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
        let template = SecretTemplate { labels: map(labels), annotations: map(annotations) };
        ValidatedCertificate::new(
            &CertificateSpec { secret_template: Some(template), ..named(&["a.test"]) },
            None,
        )
    };
    for key in ["certwright.dev/secret", "certwright.dev/anything", "app.kubernetes.io/managed-by"] {
        assert_eq!(with(&[key], &[]), Err(InvalidSpec::ReservedKey(key.to_owned())));
        let refused = with(&[], &[key]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("secretTemplate: '{key}' belongs to Certwright; choose another key")
        );
    }
    for key in
        ["", "a b", "-a", "a-", "a/b/c", "Example.com/a", "*.example.com/a", "/a", "a/", &"a".repeat(64)]
    {
        assert_eq!(with(&[key], &[]), Err(InvalidSpec::LabelKey(key.to_owned())));
        assert_eq!(with(&[], &[key]), Err(InvalidSpec::AnnotationKey(key.to_owned())));
    }
    let taken = with(&["app.kubernetes.io/name"], &["example.com/certwright.dev"]).unwrap();
    assert!(taken.labels.contains_key("app.kubernetes.io/name"));
    assert!(taken.annotations.contains_key("example.com/certwright.dev"));
}

#[test]
fn a_label_value_is_what_kubernetes_takes() {
    let with = |value: &str| {
        let labels = BTreeMap::from([("team".to_owned(), value.to_owned())]);
        let template = SecretTemplate { labels, annotations: BTreeMap::new() };
        let spec = CertificateSpec { secret_template: Some(template), ..named(&["a.test"]) };
        ValidatedCertificate::new(&spec, None).map(|_| ())
    };
    for value in ["", "web", "0.a_B-9", &"a".repeat(63)] {
        assert_eq!(with(value), Ok(()));
    }
    for value in [" ", "a b", "-a", "a.", "ü", "a/b", &"a".repeat(64)] {
        assert_eq!(with(value), Err(InvalidSpec::LabelValue(value.to_owned())));
    }
}

#[test]
fn an_empty_profile_is_that_of_the_issuer() {
    for (given, expected) in [(None, None), (Some(""), None), (Some("short"), Some("short"))] {
        let spec = CertificateSpec { profile: given.map(str::to_owned), ..named(&["a.test"]) };
        assert_eq!(ValidatedCertificate::new(&spec, None).unwrap().profile.as_deref(), expected, "{given:?}");
    }
}

#[test]
fn the_secret_is_written_again_only_for_what_can_change_without_a_certificate() {
    let of = |change: &dyn Fn(&mut CertificateSpec)| {
        let mut spec = named(&["a.test"]);
        change(&mut spec);
        ValidatedCertificate::new(&spec, None).unwrap().written_as()
    };
    let before = of(&|_| {});
    let one = || BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let template = |labels, annotations| Some(SecretTemplate { labels, annotations });
    assert_eq!(of(&|spec| spec.dns_names.push("b.test".to_owned())), before);
    let label = of(&|spec| spec.secret_template = template(one(), BTreeMap::new()));
    let annotation = of(&|spec| spec.secret_template = template(BTreeMap::new(), one()));
    let encoding = of(&|spec| {
        spec.private_key.get_or_insert_default().encoding = Some(PrivateKeyEncoding::Pkcs8);
    });
    assert_eq!(BTreeSet::from([before, label, annotation, encoding]).len(), 4);
}

#[test]
fn the_renewal_rule_is_what_the_spec_gives() {
    let day = Duration::from_secs(86_400);
    let cases = [
        (Some(day), None, RenewalRule::Before(SignedDuration::from_hours(24))),
        (None, Some(25), RenewalRule::BeforePercentage(25)),
        (None, Some(-1), RenewalRule::Default),
        (None, Some(1000), RenewalRule::Default),
        (Some(day), Some(25), RenewalRule::Before(SignedDuration::from_hours(24))),
    ];
    for (before, percentage, expected) in cases {
        let spec = CertificateSpec {
            renew_before: before.map(RenewBefore::clamped),
            renew_before_percentage: percentage,
            ..named(&["example.com"])
        };
        assert_eq!(
            ValidatedCertificate::new(&spec, None).unwrap().renewal,
            expected,
            "{before:?} {percentage:?}"
        );
    }
}

#[test]
fn encoding_rotation_and_issuer_are_taken_over() {
    let key = CertificatePrivateKey {
        encoding: Some(PrivateKeyEncoding::Pkcs8),
        rotation_policy: Some(RotationPolicy::Never),
        ..CertificatePrivateKey::default()
    };
    let issuer_ref =
        IssuerRef { name: "big".to_owned(), kind: IssuerKind::ClusterIssuer, ..IssuerRef::default() };
    let spec = CertificateSpec { private_key: Some(key), issuer_ref, ..named(&["example.com"]) };
    let validated = ValidatedCertificate::new(&spec, None).unwrap();
    assert_eq!(validated.encoding, KeyEncoding::Pkcs8);
    assert_eq!(validated.rotation, RotationPolicy::Never);
    assert_eq!((validated.issuer_kind, validated.issuer_name.as_str()), (IssuerKind::ClusterIssuer, "big"));
}

/// Conditions and events are shown in terminals.
#[test]
fn a_message_about_a_spec_has_no_control_characters() {
    let common_name = CertificateSpec { common_name: Some("x\ny".to_owned()), ..named(&[]) };
    let address = CertificateSpec { ip_addresses: vec!["1.2\t3".to_owned()], ..named(&["a.test"]) };
    for (spec, shown) in
        [(common_name, r"'x\ny'"), (address, r"'1.2\t3'"), (named(&["a\u{7f}b"]), r"'a\u{7f}b'")]
    {
        let message = ValidatedCertificate::new(&spec, None).unwrap_err().to_string();
        assert!(message.contains(shown) && !message.contains(char::is_control), "{message:?}");
    }
}

/// Certigna issues RSA keys with at least 3072 bits, which an issuer can say once for all its Certificates.
#[test]
fn the_issuer_has_defaults_for_what_a_certificate_does_not_set() {
    use PrivateKeyAlgorithm::{Ecdsa, Rsa};
    let hours = |hours: u64| RenewBefore::clamped(Duration::from_secs(hours * 3600));
    let defaults = CertificateDefaults {
        private_key: Some(CertificatePrivateKey {
            algorithm: Some(Rsa),
            size: Some(3072),
            encoding: Some(PrivateKeyEncoding::Pkcs8),
            rotation_policy: Some(RotationPolicy::Never),
        }),
        renew_before: Some(hours(48)),
    };
    for (algorithm, size, expected) in [
        (None, None, KeyAlgorithm::Rsa(3072)),
        (Some(Rsa), None, KeyAlgorithm::Rsa(3072)),
        (Some(Rsa), Some(4096), KeyAlgorithm::Rsa(4096)),
        (None, Some(4096), KeyAlgorithm::Rsa(4096)),
        (Some(Ecdsa), None, KeyAlgorithm::ECDSA_P256),
        (Some(Ecdsa), Some(384), KeyAlgorithm::ECDSA_P384),
    ] {
        let key = CertificatePrivateKey { algorithm, size, ..CertificatePrivateKey::default() };
        let spec = CertificateSpec { private_key: Some(key), ..named(&["example.com"]) };
        let validated = ValidatedCertificate::new(&spec, Some(&defaults)).unwrap();
        assert_eq!(validated.key, expected, "{algorithm:?} {size:?}");
        assert_eq!((validated.encoding, validated.rotation), (KeyEncoding::Pkcs8, RotationPolicy::Never));
    }
    let spec = CertificateSpec {
        private_key: Some(CertificatePrivateKey {
            encoding: Some(PrivateKeyEncoding::Pkcs1),
            rotation_policy: Some(RotationPolicy::Always),
            ..CertificatePrivateKey::default()
        }),
        ..named(&["example.com"])
    };
    let validated = ValidatedCertificate::new(&spec, Some(&defaults)).unwrap();
    assert_eq!((validated.encoding, validated.rotation), (KeyEncoding::Pkcs1, RotationPolicy::Always));
    for (before, percentage, expected) in [
        (None, None, RenewalRule::Before(hours(48).into())),
        (Some(hours(24)), None, RenewalRule::Before(hours(24).into())),
        (None, Some(25), RenewalRule::BeforePercentage(25)),
    ] {
        let spec = CertificateSpec {
            renew_before: before,
            renew_before_percentage: percentage,
            ..named(&["example.com"])
        };
        assert_eq!(ValidatedCertificate::new(&spec, Some(&defaults)).unwrap().renewal, expected);
    }
}

/// Another default of an issuer must not replace all its certificates.
#[test]
fn a_key_is_only_replaced_if_the_certificate_itself_says_so() {
    use PrivateKeyAlgorithm::{Ecdsa, Rsa};
    let found = [
        KeyAlgorithm::Rsa(2048),
        KeyAlgorithm::Rsa(3072),
        KeyAlgorithm::ECDSA_P256,
        KeyAlgorithm::ECDSA_P384,
    ];
    for (algorithm, size, expected) in [
        (None, None, [true, true, true, true]),
        (Some(Rsa), None, [true, true, false, false]),
        (Some(Ecdsa), None, [false, false, true, true]),
        (Some(Rsa), Some(3072), [false, true, false, false]),
        (None, Some(3072), [false, true, false, false]),
        (Some(Ecdsa), Some(384), [false, false, false, true]),
    ] {
        let key = CertificatePrivateKey { algorithm, size, ..CertificatePrivateKey::default() };
        let spec = CertificateSpec { private_key: Some(key), ..named(&["example.com"]) };
        let validated = ValidatedCertificate::new(&spec, None).unwrap();
        assert_eq!(found.map(|key| validated.accepts_key(key)), expected, "{algorithm:?} {size:?}");
    }
}

fn named(dns_names: &[&str]) -> CertificateSpec {
    CertificateSpec {
        secret_name: "tls".to_owned(),
        dns_names: strings(dns_names),
        issuer_ref: IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() },
        ..CertificateSpec::default()
    }
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

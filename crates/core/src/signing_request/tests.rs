use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequestCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;
use crate::reading::Reading;
use certwright_api::{
    AcmeIssuer, Allow, Certificate, CsrSignatureHash, IssuerKind, RenewalPolicy,
    signing_request_reason as reason,
};
use certwright_pki::{
    KeyAlgorithm, KeyEncoding, PrivateKey, SignatureHash, Subject, certificate_signing_request,
};

#[test]
fn a_signer_name_names_an_issuer() {
    let signer = |kind, namespace: Option<&str>, name: &str| {
        Some(Signer { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    };
    for (name, parsed) in [
        ("issuers.certwright.dev/shop.le", signer(IssuerKind::Issuer, Some("shop"), "le")),
        ("issuers.certwright.dev/shop.le.v2", signer(IssuerKind::Issuer, Some("shop"), "le.v2")),
        ("clusterissuers.certwright.dev/le.v2", signer(IssuerKind::ClusterIssuer, None, "le.v2")),
        ("issuers.certwright.dev/le", None),
        ("issuers.certwright.dev/.le", None),
        ("issuers.certwright.dev/shop.", None),
        ("issuers.certwright.dev/shop.le/../x", None),
        ("clusterissuers.certwright.dev/", None),
        ("clusterissuers.certwright.dev/Le", None),
    ] {
        assert_eq!(Signer::parse(name), parsed, "{name}");
        assert!(Signer::is_ours(name), "{name}");
    }
    for name in
        ["", "/", "kubernetes.io/kube-apiserver-client", "issuers.cert-manager.io/a.b", "certwright.dev/a"]
    {
        assert_eq!((Signer::parse(name), Signer::is_ours(name)), (None, false), "{name}");
    }
}

#[test]
fn nothing_happens_before_the_approval() {
    let mut world = World::new("issuers.certwright.dev/shop.le");
    world.request.status = None;
    assert_eq!(world.next(), Step::Rest);
}

#[test]
fn an_approved_request_becomes_a_certificate_once_its_user_may_use_the_issuer() {
    let mut world = World::new("issuers.certwright.dev/shop.le");
    world.request.metadata.labels = Some(BTreeMap::from([("team".to_owned(), "web".to_owned())]));
    world.request.spec.expiration_seconds = Some(86_400);
    assert!(matches!(world.next(), Step::AskReference(signer) if signer.name == "le"));
    world.may_reference = Some(true);
    let certificate = world.created();
    assert_eq!(certificate.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(certificate.metadata.name.as_deref(), Some("csr-uid"));
    let labels = certificate.metadata.labels.clone().unwrap();
    assert_eq!(labels.get("team").map(String::as_str), Some("web"));
    let spec = &certificate.spec;
    assert_eq!((spec.issuer_ref.kind, spec.issuer_ref.name.as_str()), (IssuerKind::Issuer, "le"));
    assert_eq!(spec.secret_name, "csr-uid");
    assert_eq!(spec.csr.as_deref().map(str::as_bytes), Some(world.request.spec.request.0.as_slice()));
    assert_eq!(spec.duration, Some("24h".parse().unwrap()));
    assert_eq!(spec.renewal.clone().unwrap().policy, Some(RenewalPolicy::Disabled));
    assert!(is_for_request(&certificate));
    assert!(crate::spec::ValidatedCertificate::new(spec, None).is_ok());
}

#[test]
fn a_user_who_may_not_use_the_issuer_gets_nothing() {
    let mut world = World::new("issuers.certwright.dev/shop.le");
    world.may_reference = Some(false);
    world.request.spec.username = Some("eve\n".to_owned());
    let message = world.failure(reason::REFERENCE_DENIED);
    assert!(message.starts_with("User 'eve\\n' may not use Issuer shop/le: "), "{message}");
}

#[test]
fn requests_for_a_cluster_issuer_are_in_the_operators_namespace_whose_labels_and_names_must_be_allowed() {
    let mut world = World::new("clusterissuers.certwright.dev/le");
    assert_eq!(world.created().metadata.namespace.as_deref(), Some("certwright"));
    let selector = |value: &str| LabelSelector {
        match_labels: Some(BTreeMap::from([("team".to_owned(), value.to_owned())])),
        ..LabelSelector::default()
    };
    world.allow = Some(Allow { namespace_selector: Some(selector("web")), ..Allow::default() });
    let message = world.failure(reason::NOT_ALLOWED);
    assert!(message.starts_with("ClusterIssuer le does not allow this request: "), "{message}");
    assert!(message.contains("namespace certwright"), "{message}");
    world.labels.insert("team".to_owned(), "web".to_owned());
    world.created();
    world.allow = Some(Allow { dns_names: vec!["*.other.test".to_owned()], ..Allow::default() });
    assert!(world.failure(reason::NOT_ALLOWED).contains("www.example.com"));
}

#[test]
fn what_can_never_be_issued_fails() {
    let approved = || World::new("clusterissuers.certwright.dev/le");
    let mut world = approved();
    world.request.spec.signer_name = "issuers.certwright.dev/le".to_owned();
    assert!(
        world.failure(reason::INVALID_SIGNER_NAME).contains("'issuers.certwright.dev/le' names no issuer")
    );

    let mut world = approved();
    world.request.spec.request = ByteString(b"-----BEGIN NOTHING-----".to_vec());
    assert!(
        world
            .failure(reason::INVALID_REQUEST)
            .starts_with("Request: it is not a certificate signing request")
    );

    let mut world = approved();
    let no_names = pem(&world.key, &Subject::default());
    world.request.spec.request = ByteString(no_names.into_bytes());
    assert!(world.failure(reason::INVALID_REQUEST).starts_with("Request: it has neither a DNS name nor"));

    let mut world = approved();
    world.request.spec.usages = Some(vec!["server auth".to_owned(), "client auth".to_owned()]);
    assert!(world.failure(reason::USAGE_NOT_SUPPORTED).contains("'client auth' is not supported"));

    let mut world = approved();
    world.issuer.as_mut().unwrap().csr_signature_hash = Some(CsrSignatureHash::Sha256);
    world.created();
    world.key = PrivateKey::generate(KeyAlgorithm::ECDSA_P384).unwrap();
    world.request.spec.request = ByteString(pem(&world.key, &names()).into_bytes());
    assert!(world.failure(reason::NOT_ALLOWED).contains("requires SHA-256"));
}

#[test]
fn an_issuer_that_does_not_exist_is_waited_for() {
    let mut world = World::new("clusterissuers.certwright.dev/le");
    world.issuer = None;
    let Step::Wait(Some(event), Some(until)) = world.next() else { panic!("{:?}", world.next()) };
    assert_eq!((event.reason.as_str(), until), (reason::ISSUER_NOT_FOUND, SignedDuration::from_mins(1)));
}

#[test]
fn the_chain_is_issued_when_the_certificate_is_ready_and_then_the_rest_is_removed() {
    let mut world = World::new("clusterissuers.certwright.dev/le");
    world.certificate = Some(world.created());
    assert_eq!(world.next(), Step::Wait(None, None), "its status is not known yet");
    world.ready("True", "Ready", "");
    assert_eq!(world.next(), Step::ReadSecret);
    world.chain = Some(Vec::new());
    assert_eq!(world.next(), Step::Wait(None, None), "the Secret is gone again");
    let other = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    world.chain = Some(chain(&other).into_bytes());
    assert_eq!(world.next(), Step::Wait(None, None), "it is for another key");
    let issued = chain(&world.key);
    world.chain = Some(format!("nonsense\n{issued}").into_bytes());
    assert_eq!(world.next(), Step::Issue(issued.clone()));
    assert_eq!(world.next().event().unwrap().reason, reason::CERTIFICATE_ISSUED);

    world.request.status.as_mut().unwrap().certificate = Some(ByteString(issued.into_bytes()));
    assert_eq!(world.next(), Step::CleanUp);
    world.certificate.as_mut().unwrap().metadata.deletion_timestamp = Some(Time(now()));
    world.has_secret = true;
    assert_eq!(world.next(), Step::CleanUp, "the Secret is still there");
    world.has_secret = false;
    assert_eq!(world.next(), Step::Rest);
    world.certificate = None;
    assert_eq!(world.next(), Step::Rest);
}

#[test]
fn a_request_that_is_denied_or_failed_ends_what_is_under_way() {
    for type_ in ["Denied", "Failed"] {
        let mut world = World::new("clusterissuers.certwright.dev/le");
        world.certificate = Some(world.created());
        world.set(type_);
        assert_eq!(world.next(), Step::CleanUp, "{type_}");
        world.certificate = None;
        assert_eq!(world.next(), Step::Rest, "{type_}");
    }
}

#[test]
fn the_words_of_a_failure_that_may_pass_are_an_event_and_others_are_final() {
    let mut world = World::new("clusterissuers.certwright.dev/le");
    world.certificate = Some(world.created());
    for reason in ["Ordering", "Validating", "Finalizing", "Queued"] {
        world.ready("False", reason, "All goes well");
        assert_eq!(world.next(), Step::Wait(None, None), "{reason}");
    }
    for reason in ["CAUnavailable", "RateLimited", "IssuerNotReady", "WaitingForSelfCheck"] {
        world.ready("False", reason, "The words");
        let event = world.next().event().unwrap();
        assert_eq!((event.reason.as_str(), event.note.as_str()), (reason, "The words"));
        assert!(matches!(world.next(), Step::Wait(Some(_), None)), "{reason}");
    }
    for reason in ["BadCSR", "BadPublicKey", "RejectedIdentifier", "UnsupportedIdentifier", "InvalidSpec"] {
        world.ready("False", reason, "The words");
        assert_eq!(world.failure(reason), "The words");
    }
    world.certificate.as_mut().unwrap().metadata.generation = Some(2);
    assert_eq!(world.next(), Step::Wait(None, None), "that was about another spec");
}

#[test]
fn a_certificate_of_somebody_else_with_its_name_is_left_alone() {
    let mut world = World::new("clusterissuers.certwright.dev/le");
    let mut foreign = world.created();
    foreign.metadata.owner_references = None;
    world.certificate = Some(foreign);
    let Step::Wait(Some(event), None) = world.next() else { panic!("{:?}", world.next()) };
    assert_eq!(event.reason, reason::CERTIFICATE_NOT_WRITTEN);
    world.set("Failed");
    assert_eq!(world.next(), Step::Rest, "nor is it deleted");
}

#[test]
fn of_other_signers_requests_only_the_name_is_kept() {
    let read = |signer: &str| {
        let object = serde_json::json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": { "name": "a", "uid": "uid", "labels": { "a": "b" }, "annotations": { "a": "b" } },
            "spec": { "signerName": signer, "request": "QUJD", "username": "eve" },
            "status": { "certificate": "QUJD" },
        });
        let reading: Reading<CertificateSigningRequest> = serde_json::from_value(object).unwrap();
        let mut object = reading.usable().unwrap();
        object.reduce(&[]);
        object
    };
    let foreign = read("kubernetes.io/kubelet-serving");
    assert_eq!((foreign.spec, foreign.status), (CertificateSigningRequestSpec::default(), None));
    assert_eq!(foreign.metadata.labels, None);
    let own = read("issuers.certwright.dev/shop.le");
    assert_eq!(own.spec.username.as_deref(), Some("eve"));
    assert!(own.status.is_some() && own.metadata.labels.is_some());
}

/// A request, and what there is in the cluster.
struct World {
    key: PrivateKey,
    request: CertificateSigningRequest,
    issuer: Option<AcmeIssuer>,
    allow: Option<Allow>,
    labels: BTreeMap<String, String>,
    may_reference: Option<bool>,
    certificate: Option<Certificate>,
    has_secret: bool,
    chain: Option<Vec<u8>>,
}

impl World {
    fn new(signer: &str) -> Self {
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
        let mut request = CertificateSigningRequest::default();
        request.metadata.name = Some("web".to_owned());
        request.metadata.uid = Some("uid".to_owned());
        request.spec = CertificateSigningRequestSpec {
            signer_name: signer.to_owned(),
            request: ByteString(pem(&key, &names()).into_bytes()),
            usages: Some(vec!["digital signature".to_owned(), "server auth".to_owned()]),
            ..CertificateSigningRequestSpec::default()
        };
        let mut world = Self {
            key,
            request,
            issuer: Some(AcmeIssuer::default()),
            allow: None,
            labels: BTreeMap::new(),
            may_reference: None,
            certificate: None,
            has_secret: false,
            chain: None,
        };
        world.set("Approved");
        world
    }

    fn next(&self) -> Step {
        let seen = Seen {
            request: &self.request,
            issuer: self.issuer.as_ref().map(|spec| IssuerTerms { spec, allow: self.allow.as_ref() }),
            own_namespace: "certwright",
            own_labels: &self.labels,
            may_reference: self.may_reference,
            certificate: self.certificate.as_ref(),
            has_secret: self.has_secret,
            chain: self.chain.as_deref(),
        };
        next_step(&seen)
    }

    fn created(&self) -> Certificate {
        match self.next() {
            Step::Create(certificate) => *certificate,
            other => panic!("{other:?}"),
        }
    }

    fn failure(&self, why: &str) -> String {
        match self.next() {
            Step::Fail { reason, message } if reason == why => message,
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, type_: &str) {
        let condition = CertificateSigningRequestCondition {
            type_: type_.to_owned(),
            status: "True".to_owned(),
            ..CertificateSigningRequestCondition::default()
        };
        let status = self.request.status.get_or_insert_default();
        status.conditions.get_or_insert_default().push(condition);
    }

    /// The condition of the Certificate.
    fn ready(&mut self, status: &str, reason: &str, message: &str) {
        let certificate = self.certificate.as_mut().unwrap();
        certificate.metadata.generation = Some(1);
        certificate.status.get_or_insert_default().conditions = vec![Condition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(now()),
        }];
    }
}

fn names() -> Subject {
    Subject { dns_names: vec!["www.example.com".to_owned()], ..Subject::default() }
}

fn pem(key: &PrivateKey, subject: &Subject) -> String {
    let der = certificate_signing_request(key, subject, SignatureHash::MatchKey).unwrap();
    match certwright_pki::SigningRequest::from_der(&der) {
        Ok(request) => request.pem(),
        Err(error) => panic!("{error}"),
    }
}

fn chain(key: &PrivateKey) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::from_pem(&key.to_pem(KeyEncoding::Pkcs8).unwrap()).unwrap();
    let leaf =
        CertificateParams::new(vec!["www.example.com".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let text = leaf.pem() + &ca.pem();
    certwright_pki::Chain::parse_pem(text.as_bytes()).unwrap().pem()
}

fn now() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

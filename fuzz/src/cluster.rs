//! Objects in the cluster, which whoever may write them wrote: specs, annotations, and status read back.

mod annotated;
mod authorizations;
mod issuer;
mod signing_request;

use std::collections::BTreeMap;
use std::time::Duration;

use certwright_acme::{AcmeError, Authorization, Operation, Order, Problem};
use certwright_api::{
    ANNOTATION_RENEW, ANNOTATION_REVOKE, Certificate, CertificateSpec, ClusterIssuer, DnsRecordStatus,
    FINALIZER, IssuerRef, RenewalWindow, Solver,
};
use certwright_core::account::{self, KeyId, KeySecret, MacKey, Recorded, rollover};
use certwright_core::backoff::Backoff;
use certwright_core::deletion::Deletion;
use certwright_core::http01_overrides::Http01Overrides;
use certwright_core::issuance::{IssuanceStep, IssuerView, Snapshot, State, challenges, next_step};
use certwright_core::ledger::{KEY_LENGTH, LedgerKeys, Owner};
use certwright_core::reading::{Readable, Reading};
use certwright_core::reissue::SecretView;
use certwright_core::renewal::{RenewalInfoPolling, Windows};
use certwright_core::spec::{ValidatedCertificate, is_dns_name};
use certwright_core::{allow, disposition, kstatus, records, revocation, served};
use certwright_pki::{KeyAlgorithm, SignatureHash, certificate_signing_request};
use certwright_solver::dns01::services;
use certwright_solver::http01::{Acceptance, HttpRoute, acceptance};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::annotated::{gateway, ingress};
pub use self::issuer::issuer;
pub use self::signing_request::signing_request;
use crate::pki::{CHAIN, KEY, NOW};
use crate::property::{message, refusal};

/// An object as a watch brings it: what cannot be read of it is said, and the rest of it can be written and read again.
fn watched<T: Readable + Serialize>(data: &[u8]) -> Option<T> {
    let Reading { object, fault, status_fault } = serde_json::from_slice::<Reading<T>>(data).ok()?;
    fault.iter().chain(&status_fault).for_each(refusal);
    if fault.is_none() {
        rewritten(&object);
    }
    Some(object)
}

fn read<T: DeserializeOwned + Serialize>(data: &[u8]) -> Option<T> {
    let object: T = serde_json::from_slice(data).ok()?;
    rewritten(&object);
    Some(object)
}

/// What can be read can be written and read again.
fn rewritten<T: DeserializeOwned + Serialize>(object: &T) {
    let written = serde_json::to_value(object).expect("it can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(&again).expect("it can be written again"), written);
}

/// A Certificate, as the watch brings it.
pub fn certificate(data: &[u8]) {
    let Some(object) = watched::<Certificate>(data) else { return };
    check_spec(&object.spec);
    check_seals(&object);
    decide_on(&Case { certificate: object, ..Case::default() });
}

/// Nobody else can have sealed what the operator acts upon; and what it has sealed is so when it is read back.
fn check_seals(certificate: &Certificate) {
    let owner = Owner { namespace: "shop", uid: "uid-1" };
    let keys = LedgerKeys::new(&[7; KEY_LENGTH], []);
    let mut status = certificate.status.clone().unwrap_or_default();
    let mut verified = status.clone();
    keys.take_unverified(owner, &mut verified);
    assert!(verified.order.is_none() && verified.challenges.is_empty() && verified.dns_records.is_empty());
    assert!(verified.revocation.is_none_or(|ledger| ledger.certificates.is_empty()));
    keys.seal(owner, &mut status);
    let written = serde_json::to_string(&status).expect("it can be written");
    let mut read = serde_json::from_str(&written).expect("what was written can be read");
    assert!(keys.take_unverified(owner, &mut read).is_empty(), "a seal is lost in {written}");
}

fn check_spec(spec: &CertificateSpec) {
    let wanted = match ValidatedCertificate::new(spec, None) {
        Ok(wanted) => wanted,
        Err(error) => return refusal(&error),
    };
    assert!(!wanted.names().is_empty() && !wanted.identifiers().is_empty());
    let _ = wanted.written_as();
    match &wanted.windows {
        Ok(windows) => check_windows(windows),
        Err(error) => refusal(error),
    }
    // The CRD's rules see to the names.
    if wanted.subject.dns_names.iter().all(|name| is_dns_name(name)) {
        certificate_signing_request(&KEY, &wanted.subject, SignatureHash::MatchKey)
            .expect("a spec that was validated can be asked for");
    }
}

/// What an issuance is decided on, as far as others wrote it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Case {
    certificate: Certificate,
    order: Option<Order>,
    authorizations: Option<Vec<(String, Authorization)>>,
    solvers: Vec<Solver>,
    secret: bool,
    presented: bool,
    seconds: i64,
}

/// A Certificate with its status, and the order and the authorizations as a CA gave them.
pub fn certificate_step(data: &[u8]) {
    let Ok(case) = serde_json::from_slice::<Case>(data) else { return };
    decide_on(&case);
}

fn decide_on(case: &Case) {
    let view = SecretView {
        exists: case.secret,
        certificate_name: Some(case.certificate.name_any()),
        issuer: Some(("ca".to_owned(), "Issuer".to_owned())),
        as_written: true,
        key: Some(Ok((KEY.algorithm(), KEY.public_key_der().to_vec()))),
        leaf: Some(Ok(CHAIN.leaf().clone())),
        ..SecretView::default()
    };
    let secret = if case.secret { view } else { SecretView::default() };
    decide(case, &secret);

    fn decide(case: &Case, secret: &SecretView) {
        let Case { certificate, order, authorizations, .. } = case;
        let status = certificate.status.clone().unwrap_or_default();
        let wanted = ValidatedCertificate::new(&certificate.spec, None);
        let now = NOW.saturating_add(SignedDuration::from_secs(case.seconds)).unwrap_or(*NOW);
        let mut state = State { status: status.clone(), ..State::default() };
        state.progress.slot = true;
        let learned = state.learn();
        if let Some(order) = order {
            learned.saw_order(order.clone(), None, now);
        }
        let namespace = certificate.metadata.namespace.as_deref().unwrap_or_default();
        let overrides = Http01Overrides::of(certificate.annotations(), namespace);
        if let Some(found) = authorizations {
            learned.saw_authorizations(found.clone(), now);
            let challenged = challenges(found, &case.solvers, certificate.labels(), &overrides);
            if let (true, Ok(challenged)) = (case.presented, challenged) {
                learned.proof.saw_presented(challenged, Vec::new(), now);
            }
        }
        let issuer = IssuerView::Ready {
            account: "https://ca.example/account/1".to_owned(),
            solvers: case.solvers.clone(),
            profile: None,
            authorized: Vec::new(),
        };
        let deleted = certificate.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        let deleted = deleted.map(|since| Deletion { since, with_namespace: false });
        let request = certificate.annotations().get(ANNOTATION_REVOKE).map(String::as_str);
        let seen = Snapshot {
            uid: "uid-1",
            generation: certificate.metadata.generation.unwrap_or_default(),
            labels: certificate.labels(),
            annotations: certificate.annotations(),
            namespace,
            renew_request: certificate.annotations().get(ANNOTATION_RENEW).map(String::as_str),
            wanted: &wanted,
            claimed_by: None,
            kept_by: None,
            secret,
            backup: None,
            duplicate_limit: 4,
            password_missing: None,
            min_interval: Duration::from_secs(60),
            next_key: Some(KEY.algorithm()),
            candidates: &[],
            issuer: &issuer,
            not_allowed: None,
            recorded: certificate.status.as_ref(),
            asks_lifetime: false,
            checks_caa: false,
            backoff: Backoff::default(),
            ca_ahead: Some(SignedDuration::ZERO),
            self_check_timeout: Duration::from_secs(60),
            name: "www",
            has_finalizer: certificate.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
            asking: RenewalInfoPolling { wanted: true, asked: None, began: *NOW },
            revocation: revocation::RevocationRequests::new(
                certificate.spec.revocation.as_ref(),
                request,
                deleted,
            ),
            listed: None,
            checks_lists: true,
            served: served::Observed::of(&certificate.spec, false, None),
        };
        check_step(next_step(&state, &seen, now), now);
        let situation = seen.with(&state);
        let _ = (situation.due(now), situation.replaces(), situation.next_duplicate(now));
        let _ = kstatus::of_certificate(&status.conditions);
        let _ = (
            records::holds(&status),
            records::next_removal(&status.dns_records),
            revocation::next_attempt(&status),
        );
        let _ = records::last_chore(&status, true, deleted, now);
        let mut ledger = status.dns_records;
        let failed = |record: &DnsRecordStatus| (record.clone(), Err("words".to_owned()));
        let answers: Vec<_> = ledger.iter().map(failed).collect();
        let _ = records::after_removals(&mut ledger, &answers, deleted, now);
    }
}

/// A Secret of a Certificate for www.example.com holds this.
pub fn decide_with(secret: SecretView) {
    let spec = CertificateSpec {
        secret_name: "www-tls".to_owned(),
        dns_names: vec!["www.example.com".to_owned()],
        issuer_ref: IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() },
        ..CertificateSpec::default()
    };
    let wanted = ValidatedCertificate::new(&spec, None).expect("it is valid");
    let current = certwright_core::reissue::Current {
        wanted: &wanted,
        secret: &secret,
        revoked: None,
        uid: "uid-1",
        suggestion: None,
        under_way: false,
        renew_request: None,
        observed_renew_request: None,
        now: *NOW,
    };
    if let Some(due) = certwright_core::reissue::due(&current) {
        message(&due.message);
    }
    let _ = current.renewal();
}

fn check_step(step: IssuanceStep, now: Timestamp) {
    match step {
        IssuanceStep::Wait { until, message: words, .. } => {
            message(&words);
            assert!(until.is_none_or(|until| until > now), "it waits for what is past: {until:?}, {words}");
        }
        IssuanceStep::BackOff { until } => assert!(until > now),
        IssuanceStep::Abandon { message: words } => message(&words),
        IssuanceStep::Fail(failure) => message(&failure.message),
        IssuanceStep::Revocation(revocation::RevocationTask::GiveUp(_, words)) => message(&words),
        _ => {}
    }
}

/// The metadata of a Secret or a Namespace, as the watch brings it.
pub fn metadata(data: &[u8]) {
    for secret in [true, false] {
        let fault = match secret {
            true => serde_json::from_slice::<Reading<PartialObjectMeta<Secret>>>(data)
                .ok()
                .and_then(|read| read.fault),
            false => serde_json::from_slice::<Reading<PartialObjectMeta<Namespace>>>(data)
                .ok()
                .and_then(|read| read.fault),
        };
        fault.iter().for_each(refusal);
    }
}

/// What Gateways say of an HTTPRoute.
pub fn route_status(data: &[u8]) {
    let Some(route) = read::<HttpRoute>(data) else { return };
    match acceptance([&route]) {
        Acceptance::Accepted => {}
        Acceptance::Pending(words) | Acceptance::Refused(words) => {
            words.iter().for_each(|words| message(words))
        }
    }
}

/// `spec.renewal.windows`.
pub fn renewal_windows(data: &[u8]) {
    let Some(windows) = read::<Vec<RenewalWindow>>(data) else { return };
    match Windows::new(&windows) {
        Ok(windows) => check_windows(&windows),
        Err(error) => refusal(&error),
    }
}

fn check_windows(windows: &Windows) {
    for time in [*NOW, Timestamp::UNIX_EPOCH, Timestamp::MIN, Timestamp::MAX] {
        if let Some(next) = windows.next(time) {
            assert!(next.opens >= time && next.closes > next.opens);
        }
        if let Some(last) = windows.last(time) {
            assert!(last.opens <= time);
        }
        if let Some(open) = windows.open_at(time) {
            assert!(open.opens <= time && time < open.closes);
        }
    }
}

/// Whatever code a CA gives means something.
pub fn refused(problem: &Problem, status: u16) {
    use disposition::About;
    for about in [About::Server, About::Account, About::Order] {
        let _ = disposition::disposition(problem.code(), Some(status), about);
    }
    let problem = Box::new(problem.clone());
    let operation = Operation::RevokeCertificate;
    let error = AcmeError::Problem { operation, status, problem, retry_after: None };
    let mut attempt = revocation::Attempt::default();
    attempt.account_answered(Err(revocation::NotByAccount::Refused(error)));
    assert_ne!(attempt.signer(), Some(revocation::Signer::Account), "the account signs once");
}

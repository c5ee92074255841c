mod anything;
mod attempts;
mod ledger;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::apply::GIVEN_UP_AFTER;
use super::next::{LARGEST_LEDGER, PATIENCE};
use super::request::DELETION_TIMEOUT;
use super::*;
use crate::backoff::Backoff;
use crate::conditions::condition;
use crate::deletion::Deletion;
use crate::events::Event;
use crate::issuance::IssuerView;
use crate::issuance::{Next, Outcome, Report, Snapshot, State};
use crate::reissue::SecretView;
use crate::renewal::RenewalInfoPolling;
use crate::spec::{InvalidSpec, ValidatedCertificate};
use certwright_acme::{AcmeError, Operation, Problem};
use certwright_api::{
    CONDITION_REVOCATION, RevocableCertificate, RevocationCause, RevocationReason, RevocationResult,
    RevocationStatus, certificate_reason as reason,
};
use certwright_pki::{KeyAlgorithm, Leaf};

const OLD: &str = "01";
const NEW: &str = "02";

struct Case {
    wanted: Result<ValidatedCertificate, InvalidSpec>,
    secret: SecretView,
    issuer: IssuerView,
    state: State,
    labels: std::collections::BTreeMap<String, String>,
    asked: RevocationRequests<'static>,
    now: Timestamp,
}

impl Case {
    fn holding(serial: &str) -> Self {
        let spec = certwright_api::CertificateSpec {
            secret_name: "tls".to_owned(),
            dns_names: vec!["a.test".to_owned()],
            issuer_ref: certwright_api::IssuerRef {
                name: "ca".to_owned(),
                ..certwright_api::IssuerRef::default()
            },
            ..certwright_api::CertificateSpec::default()
        };
        Self {
            wanted: ValidatedCertificate::new(&spec, None),
            secret: secret(serial),
            issuer: IssuerView::Ready {
                account: "account/1".to_owned(),
                solvers: Vec::new(),
                profile: None,
                authorized: Vec::new(),
            },
            state: State::default(),
            labels: std::collections::BTreeMap::new(),
            asked: RevocationRequests::default(),
            now: "2026-01-10T00:00:00Z".parse().unwrap(),
        }
    }

    /// A case in which the annotation requests the revocation of the certificate in the Secret.
    fn asked() -> Self {
        let mut case = Self::holding(OLD);
        case.asked.request = Some("superseded");
        case.keeps_ledger(None);
        case
    }

    fn seen(&self) -> Snapshot<'_> {
        Snapshot {
            uid: "uid",
            generation: 1,
            labels: &self.labels,
            annotations: &self.labels,
            namespace: "shop",
            renew_request: None,
            wanted: &self.wanted,
            claimed_by: None,
            kept_by: None,
            secret: &self.secret,
            backup: None,
            duplicate_limit: 0,
            min_interval: Duration::ZERO,
            ca_ahead: None,
            password_missing: None,
            next_key: None,
            not_allowed: None,
            candidates: &[],
            issuer: &self.issuer,
            recorded: None,
            asks_lifetime: false,
            checks_caa: false,
            backoff: Backoff::default(),
            self_check_timeout: Duration::from_secs(60),
            name: "cert",
            has_finalizer: true,
            asking: RenewalInfoPolling { wanted: false, asked: None, began: self.now },
            revocation: self.asked,
            listed: None,
            checks_lists: false,
            served: crate::served::Observed::Off,
        }
    }

    fn next(&self) -> Option<RevocationTask> {
        next(&self.seen().with(&self.state), self.now)
    }

    /// Whether the CA is to be asked to revoke this certificate next.
    fn is_next(&self, serial: &str) -> bool {
        matches!(self.next(), Some(RevocationTask::Revoke(next, _)) if next.certificate.serial_number == serial)
    }

    /// Passes the outcome of a chore to the state machine.
    fn apply(&mut self, outcome: Outcome) -> Vec<Report> {
        let mut state = std::mem::take(&mut self.state);
        let consequence = state.apply(&self.seen(), outcome, self.now);
        self.state = state;
        assert_eq!(consequence.next, Next::Decide);
        consequence.reports
    }

    /// Executes the chore. `answer` is the CA's answer to the account.
    fn does(&mut self, chore: RevocationTask, answer: Result<(), AcmeError>) -> Vec<Report> {
        self.apply(match chore {
            RevocationTask::KeepLedger(ledger, remark) => Outcome::LedgerKept(ledger, remark),
            RevocationTask::Revoke(revocation, _) => Outcome::RevocationAsked(revocation, by_account(answer)),
            RevocationTask::GiveUp(revocation, words) => Outcome::RevocationGivenUp(revocation, words),
        })
    }

    /// Checks that the next chore is to write the ledger, and executes it.
    fn keeps_ledger(&mut self, expected: Option<Remark>) -> Vec<Report> {
        let Some(RevocationTask::KeepLedger(ledger, remark)) = self.next() else {
            panic!("{:?}", self.next())
        };
        assert_eq!(remark, expected);
        let reports = self.apply(Outcome::LedgerKept(ledger, remark));
        assert!(
            !matches!(self.next(), Some(RevocationTask::KeepLedger(..))),
            "it is not at rest: {:?}",
            self.next()
        );
        reports
    }

    /// Applies the result of an attempt to revoke this certificate.
    fn attempted(&mut self, serial: &str, attempt: Attempt) -> Vec<Report> {
        let revocation = Revocation::of(&self.entry(serial)).expect("an open revocation");
        self.apply(Outcome::RevocationAsked(Box::new(revocation), attempt))
    }

    /// Status, reason and message of the condition.
    fn said(&self) -> (&str, &str, &str) {
        let said = condition(&self.state.status.conditions, CONDITION_REVOCATION).expect("a condition");
        (&said.status, &said.reason, &said.message)
    }

    fn ledger(&self) -> RevocationStatus {
        self.state.status.revocation.clone().unwrap_or_default()
    }

    fn entry(&self, serial: &str) -> RevocableCertificate {
        self.ledger().certificates.into_iter().find(|held| held.serial_number == serial).unwrap()
    }

    fn states(&self) -> Vec<(&str, &'static str)> {
        let held = self.state.status.revocation.iter().flat_map(|ledger| &ledger.certificates);
        held.map(|held| {
            let state = match (&held.revocation, held.open()) {
                (None, _) => "held",
                (Some(_), Some(_)) => "open",
                (Some(_), None) => "ended",
            };
            (held.serial_number.as_str(), state)
        })
        .collect()
    }

    /// The CA revokes the certificate.
    fn is_revoked(&mut self, serial: &str) {
        self.attempted(serial, by_account(Ok(())));
        assert_eq!(self.ledger().last.unwrap().result, RevocationResult::Revoked);
    }

    /// The CA does not revoke the certificate. Returns whether the revocation is retried.
    fn fails(&mut self, serial: &str, error: AcmeError) -> bool {
        self.attempted(serial, by_account(Err(error)));
        self.entry(serial).open().is_some()
    }

    fn delete(&mut self) {
        self.asked.deleted = Some(deleted_at(self.now));
    }
}

fn on_delete() -> RevocationRequests<'static> {
    RevocationRequests {
        on_delete: Some(RevocationReason::CessationOfOperation),
        ..RevocationRequests::default()
    }
}

fn on_replace() -> RevocationRequests<'static> {
    RevocationRequests { on_replace: Some(RevocationReason::Superseded), ..RevocationRequests::default() }
}

/// The account signs, and the CA answers this.
fn by_account(answer: Result<(), AcmeError>) -> Attempt {
    let mut attempt = Attempt::default();
    attempt.account_answered(answer.map_err(NotByAccount::Refused));
    attempt
}

fn stumble() -> AcmeError {
    AcmeError::Timeout { operation: Operation::RevokeCertificate, host: "ca.test".to_owned() }
}

/// The CA rejects a request.
fn rejection(operation: Operation, code: &str, status: u16) -> AcmeError {
    let problem = Problem { typ: format!("urn:ietf:params:acme:error:{code}"), ..Problem::default() };
    AcmeError::Problem { operation, status, problem: Box::new(problem), retry_after: None }
}

fn secret(serial: &str) -> SecretView {
    SecretView {
        exists: true,
        version: None,
        certificate_name: Some("cert".to_owned()),
        issuer: Some(("ca".to_owned(), "Issuer".to_owned())),
        as_written: true,
        key: Some(Ok((KeyAlgorithm::ECDSA_P256, vec![1]))),
        leaf: Some(Ok(Leaf {
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2026-04-01T00:00:00Z".parse().unwrap(),
            serial_number: serial.to_owned(),
            common_name: None,
            dns_names: std::collections::BTreeSet::from(["a.test".to_owned()]),
            ip_addresses: std::collections::BTreeSet::new(),
            public_key_der: vec![1],
            public_key_algorithm: Some(KeyAlgorithm::ECDSA_P256),
            issuer_name: "Intermediate".to_owned(),
            certificate_id: None,
            revocation_list_url: None,
            der: serial.as_bytes().to_vec(),
        })),
        ..SecretView::default()
    }
}

fn deleted_at(since: Timestamp) -> Deletion {
    Deletion { since, with_namespace: false }
}

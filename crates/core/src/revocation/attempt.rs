//! An attempt to have a certificate revoked: who signs the request, and what the answers mean.

use std::time::Duration;

use jiff::Timestamp;

use crate::disposition::{About, Disposition, about, disposition};
use certwright_acme::{AcmeError, Operation};
use certwright_api::RevocableCertificate;

/// Who signs a request to revoke a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The account of the certificate.
    Account,
    /// The certificate's own private key.
    CertificateKey,
}

/// Why the account did not revoke a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotByAccount {
    /// The account is not in use, and its issuer no longer exists.
    IssuerGone,
    /// The issuer has no usable account, for this reason.
    Unusable(String),
    /// The CA rejected the request, or could not be reached.
    Refused(AcmeError),
}

/// Why the certificate's own private key did not revoke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotByKey {
    /// The key is no longer in the Secret, or its CA is unknown.
    Gone,
    /// The CA rejected the request, or could not be reached.
    Refused(AcmeError),
}

/// An attempt to have a certificate revoked. Its account signs, or the certificate's own key if the account may not revoke it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    by_account: Option<Result<(), NotByAccount>>,
    by_key: Option<Result<(), NotByKey>>,
}

/// Why a certificate was not revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What happened, with the CA's error.
    pub words: String,
    /// Whether a retry would have the same result.
    pub is_final: bool,
    /// How long the CA said to wait.
    pub retry_after: Option<Duration>,
}

impl Attempt {
    /// Who signs the next request; `None` if the attempt is over.
    pub fn signer(&self) -> Option<Signer> {
        match (&self.by_account, &self.by_key) {
            (None, _) => Some(Signer::Account),
            (Some(Err(why)), None) if account_may_not(why) => Some(Signer::CertificateKey),
            _ => None,
        }
    }

    /// Records the result of the request that the account signs.
    pub fn account_answered(&mut self, answer: Result<(), NotByAccount>) {
        self.by_account = Some(answer);
    }

    /// Records the result of the request that the certificate's own key signs.
    pub fn key_answered(&mut self, answer: Result<(), NotByKey>) {
        self.by_key = Some(answer);
    }

    /// Who signed the request that revoked the certificate, or why it is not revoked. An attempt that is not over has timed
    /// out.
    pub(super) fn end(self, held: &RevocableCertificate, now: Timestamp) -> Result<Signer, Refusal> {
        let is_over = self.signer().is_none();
        let refusal = match self.by_account {
            Some(Ok(())) => return Ok(Signer::Account),
            Some(Err(why)) if is_over => not_by_account(why, held, now),
            _ => {
                let words = "revoking the certificate failed: the CA did not answer in time";
                return Err(Refusal::without_answer(words.to_owned()));
            }
        };
        match self.by_key {
            Some(Ok(())) => Ok(Signer::CertificateKey),
            None => Err(refusal),
            Some(Err(NotByKey::Gone)) => Err(Refusal {
                words: format!(
                    "{}; the certificate's own private key, which could also revoke it, is no longer in the Secret",
                    refusal.words
                ),
                ..refusal
            }),
            Some(Err(NotByKey::Refused(error))) => {
                let own = Refusal::of(&error, now);
                let words =
                    format!("{}; with the certificate's own private key: {}", refusal.words, own.words);
                Err(Refusal { words, ..own })
            }
        }
    }
}

impl Refusal {
    fn of(error: &AcmeError, now: Timestamp) -> Self {
        let retry_after = match error {
            AcmeError::Paused { until } => Duration::try_from(until.duration_since(now)).ok(),
            _ => error.retry_after(),
        };
        Self { words: error.to_string(), is_final: is_final(error), retry_after }
    }

    fn without_answer(words: String) -> Self {
        Self { words, is_final: false, retry_after: None }
    }
}

fn not_by_account(why: NotByAccount, held: &RevocableCertificate, now: Timestamp) -> Refusal {
    let issuer = format!("{} {}", held.issuer_kind.as_str(), held.issuer_name);
    match why {
        NotByAccount::IssuerGone => {
            Refusal::without_answer(format!("{issuer}, which issued the certificate, no longer exists"))
        }
        NotByAccount::Unusable(words) => {
            Refusal::without_answer(format!("{issuer} has no usable account: {words}"))
        }
        NotByAccount::Refused(error) => Refusal::of(&error, now),
    }
}

/// Whether the account may not revoke the certificate, so that the certificate's own key has to sign.
fn account_may_not(why: &NotByAccount) -> bool {
    let NotByAccount::Refused(error) = why else { return true };
    let (code, status, about) = (error.code(), error.status(), subject(error));
    let of_account = disposition(code, status, about).is_of_account();
    about != About::Server && (of_account || code == "unauthorized" || matches!(status, Some(401 | 403)))
}

/// Whether a retry would have the same result.
fn is_final(error: &AcmeError) -> bool {
    match (error, error.status()) {
        (AcmeError::NotOffered { .. }, _) => true,
        (_, None) => false,
        (_, status) => match disposition(error.code(), status, subject(error)) {
            Disposition::TooFast | Disposition::Stumbled | Disposition::CaOperatorMustAct => false,
            Disposition::AccountUnusable
            | Disposition::NotAllowed
            | Disposition::ForbiddenInDns
            | Disposition::OrderLost
            | Disposition::ValidationFailed => true,
        },
    }
}

/// What a call was about: a revocation also requires the directory and a nonce.
fn subject(error: &AcmeError) -> About {
    about(error.operation().unwrap_or(Operation::RevokeCertificate))
}

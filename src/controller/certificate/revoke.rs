//! Revokes certificates according to the ledger in the status.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tracing::{info, warn};

use super::gather::{Seen, Work, see_revocation};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer::account_of;
use crate::controller::issuer_record::{IssuerId, account_secret};
use crate::runtime::clock;
use crate::runtime::metrics::RevocationOutcome;
use certwright_acme::{Account, AcmeError, Operation, Server};
use certwright_api::{
    ANNOTATION_REVOKE, CONDITION_REVOCATION, IssuerKind, RevocableCertificate, RevocationReason,
    RevocationResult, certificate_reason as reason,
};
use certwright_core::conditions::{condition, set_condition};
use certwright_core::disposition::{About, about};
use certwright_core::events::Event;
use certwright_core::revocation::{self, Asked, Chore, Refusal, Remark};
use certwright_pki::{Leaf, PrivateKey};

/// How long to wait for a CA to revoke a certificate.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who signed the successful request.
#[derive(Clone, Copy)]
enum SignedBy {
    Account,
    CertificateKey,
}

impl Seen {
    /// Which revocations are requested.
    pub(super) fn asked_to_revoke(&self) -> Asked<'_> {
        let request = self.certificate.annotations().get(ANNOTATION_REVOKE);
        Asked::new(self.certificate.spec.revocation.as_ref(), request.map(String::as_str), self.deletion())
    }
}

impl Work {
    /// Executes a revocation chore.
    pub(super) async fn see_to_revocation(
        &mut self,
        chore: Chore,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        match chore {
            Chore::KeepLedger(ledger, remark) => {
                let is_empty = *ledger == certwright_api::RevocationStatus::default();
                self.state.status.revocation = (!is_empty).then_some(*ledger);
                if let Some(remark) = remark {
                    self.remark(&remark, now, context).await?;
                }
            }
            Chore::Revoke(serial_number) => self.revoke(&serial_number, now, context).await?,
            Chore::GiveUp(serial_number, words) => self.give_up(&serial_number, &words, now, context).await?,
        }
        see_revocation(&self.state.status, &mut self.seen.secret_view);
        if let Some(backup) = &mut self.seen.backup_view {
            see_revocation(&self.state.status, backup);
        }
        Ok(())
    }

    async fn revoke(&mut self, serial_number: &str, now: Timestamp, context: &Context) -> Result<(), Error> {
        let Some((held, why)) = self.held_certificate(serial_number) else { return Ok(()) };
        let patience = revocation::patience(&self.asked_to_revoke(), PATIENCE, now);
        let asked = tokio::time::timeout(patience, self.ask_to_revoke(&held, why, context)).await;
        let outcome = match asked {
            Ok(outcome) => outcome?,
            Err(_) => Err(Refusal {
                words: "revoking the certificate failed: the CA did not answer in time".to_owned(),
                is_final: false,
                retry_after: None,
            }),
        };
        // The call may have taken long: the next attempt is scheduled from its end.
        let now = clock::now();
        match outcome {
            Ok(signed_by) => self.record_revoked(&held, why, signed_by, now, context).await,
            Err(refusal) => self.record_refusal(&held, why, &refusal, now, context).await,
        }
    }

    fn held_certificate(&self, serial_number: &str) -> Option<(RevocableCertificate, RevocationReason)> {
        let ledger = self.state.status.revocation.as_ref()?;
        let held = ledger.certificates.iter().find(|held| held.serial_number == serial_number)?;
        Some((held.clone(), held.open()?.reason))
    }

    /// Asks the CA, signed by the account of the certificate, or with the certificate's own key if the account may not revoke
    /// it.
    async fn ask_to_revoke(
        &self,
        held: &RevocableCertificate,
        why: RevocationReason,
        context: &Context,
    ) -> Result<Result<SignedBy, Refusal>, Error> {
        let der = &held.certificate.0;
        let signers = self.signers(held, context).await?;
        let mut refusal = match &signers.account {
            Ok(account) => match account.revoke_certificate(der, why.code()).await {
                Ok(()) => return Ok(Ok(SignedBy::Account)),
                Err(error) if may_not(&error) => refusal(&error),
                Err(error) => return Ok(Err(refusal(&error))),
            },
            Err(words) => Refusal { words: words.clone(), is_final: false, retry_after: None },
        };
        let (Some(server), Some(key)) = (&signers.server, self.key_of(held)) else {
            refusal.words +=
                "; the certificate's own private key, which could also revoke it, is no longer in the Secret";
            return Ok(Err(refusal));
        };
        Ok(match server.revoke_certificate_with_its_key(key, der, why.code()).await {
            Ok(()) => Ok(SignedBy::CertificateKey),
            Err(error) => {
                let own = self::refusal(&error);
                let words =
                    format!("{}; with the certificate's own private key: {}", refusal.words, own.words);
                Err(Refusal { words, ..own })
            }
        })
    }

    /// Who can sign the request. An account that was in use is still known after its issuer is gone.
    async fn signers(&self, held: &RevocableCertificate, context: &Context) -> Result<Signers, Error> {
        let (kind, name) = (held.issuer_kind, &held.issuer_name);
        let (namespace, accounts_in) = match kind {
            IssuerKind::Issuer => (Some(self.namespace.clone()), &self.namespace),
            IssuerKind::ClusterIssuer => (None, &context.config.namespace),
        };
        let known = held.account.as_ref().and_then(|url| context.accounts.with_url(url, accounts_in));
        if let Some(account) = known {
            return Ok(Signers { server: Some(account.server().clone()), account: Ok(account) });
        }
        let Some(issuer) = context.cache.issuer(&IssuerId { kind, namespace, name: name.clone() }) else {
            let words = format!("{} {name}, which issued the certificate, no longer exists", kind.as_str());
            return Ok(Signers { account: Err(words), server: None });
        };
        let server = context.accounts.server(&issuer.spec, accounts_in).ok();
        let secret = account_secret(&issuer, &context.config.namespace);
        let account = account_of(&issuer, &secret, context).await?;
        let account =
            account.map_err(|words| format!("{} {name} has no usable account: {words}", kind.as_str()));
        Ok(Signers { account, server })
    }

    /// The private key of a certificate, if it is in the Secret.
    fn key_of(&self, held: &RevocableCertificate) -> Option<PrivateKey> {
        let public_key = Leaf::from_der(&held.certificate.0).ok()?.public_key_der;
        self.current_key.clone().filter(|key| key.public_key_der() == public_key)
    }

    async fn record_revoked(
        &mut self,
        held: &RevocableCertificate,
        why: RevocationReason,
        signed_by: SignedBy,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        if let Some(ledger) = &mut self.state.status.revocation {
            revocation::end(ledger, &held.serial_number, RevocationResult::Revoked, None, now);
        }
        let message = format!("The certificate {} is revoked: {}", held.serial_number, why.as_str());
        self.report_revocation(true, reason::REVOKED, &message, now);
        info!(serial_number = held.serial_number, reason = why.as_str(), "revoked");
        context.metrics.revocation(RevocationOutcome::Succeeded, why.as_str());
        let how = match signed_by {
            SignedBy::Account => "signed by the account",
            SignedBy::CertificateKey => {
                "signed with the certificate's own private key, because the account may not revoke it"
            }
        };
        let note = format!("{message}, {how}");
        self.news.push(Event::normal(reason::REVOKED, "Revoke", note));
        self.flush(context).await?;
        Ok(())
    }

    async fn record_refusal(
        &mut self,
        held: &RevocableCertificate,
        why: RevocationReason,
        refusal: &Refusal,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        let next =
            revocation::after_refusal(held, refusal, &self.asked_to_revoke(), context.config.backoff, now);
        let Some(next) = next else {
            return self.give_up(&held.serial_number, &refusal.words, now, context).await;
        };
        let serial_number = &held.serial_number;
        let message = format!("The certificate {serial_number} is not revoked yet: {}", refusal.words);
        warn!(serial_number, words = refusal.words, "a certificate is not revoked yet");
        let is_news = held.open().and_then(|open| open.message.as_ref()) != Some(&refusal.words);
        let ledger = self.state.status.revocation.iter_mut().flat_map(|ledger| &mut ledger.certificates);
        for entry in ledger.filter(|entry| entry.serial_number == *serial_number) {
            entry.revocation = Some(next.clone());
        }
        self.report_revocation(false, reason::REVOCATION_FAILED, &message, now);
        context.metrics.revocation(RevocationOutcome::Failed, why.as_str());
        if is_news {
            self.news.push(Event::warning(reason::REVOCATION_FAILED, "Revoke", message));
        }
        self.flush(context).await?;
        Ok(())
    }

    /// Gives up revoking a certificate.
    async fn give_up(
        &mut self,
        serial_number: &str,
        words: &str,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        let Some((_, why)) = self.held_certificate(serial_number) else { return Ok(()) };
        if let Some(ledger) = &mut self.state.status.revocation {
            let result = RevocationResult::GivenUp;
            revocation::end(ledger, serial_number, result, Some(words.to_owned()), now);
        }
        let message = format!(
            "The certificate {serial_number} could not be revoked, and the operator does not retry; if it must not be \
             used, have it revoked at the CA: {words}"
        );
        warn!(serial_number, words, "gave up revoking a certificate");
        self.report_revocation(false, reason::REVOCATION_GIVEN_UP, &message, now);
        context.metrics.revocation(RevocationOutcome::GivenUp, why.as_str());
        self.news.push(Event::warning(reason::REVOCATION_GIVEN_UP, "Revoke", message));
        self.flush(context).await?;
        Ok(())
    }

    /// Reports on a request.
    async fn remark(&mut self, remark: &Remark, now: Timestamp, context: &Context) -> Result<(), Error> {
        let (reason, message) = match remark {
            Remark::InvalidReason(value) => {
                let known: Vec<&str> = RevocationReason::ALL.iter().map(|reason| reason.as_str()).collect();
                let message = format!(
                    "The annotation {ANNOTATION_REVOKE} requests a revocation with the invalid reason '{value}'; nothing \
                     is revoked. Use one of {}",
                    known.join(", ")
                );
                (reason::INVALID_REVOCATION_REASON, message)
            }
            Remark::NothingToRevoke => {
                let message = format!(
                    "The annotation {ANNOTATION_REVOKE} requests a revocation, but the Secret contains no certificate \
                     with its key; nothing is revoked"
                );
                (reason::NOTHING_TO_REVOKE, message)
            }
            Remark::TakenBack => {
                let conditions = &mut self.state.status.conditions;
                let is_refusal = condition(conditions, CONDITION_REVOCATION).is_some_and(|found| {
                    [reason::INVALID_REVOCATION_REASON, reason::NOTHING_TO_REVOKE]
                        .contains(&found.reason.as_str())
                });
                conditions.retain(|found| !is_refusal || found.type_ != CONDITION_REVOCATION);
                return Ok(());
            }
        };
        self.report_revocation(false, reason, &message, now);
        self.news.push(Event::warning(reason, "Revoke", message));
        self.flush(context).await?;
        Ok(())
    }

    fn report_revocation(&mut self, is: bool, reason: &str, message: &str, now: Timestamp) {
        let generation = self.generation();
        set_condition(
            &mut self.state.status.conditions,
            CONDITION_REVOCATION,
            is,
            reason,
            message,
            generation,
            now,
        );
    }
}

/// Who can sign a revocation.
struct Signers {
    /// The account, or why it cannot be used.
    account: Result<Account, String>,
    /// The server, for requests signed with the certificate's own key.
    server: Option<Server>,
}

fn may_not(error: &AcmeError) -> bool {
    revocation::account_may_not(error.code(), error.status(), subject(error))
}

/// What a call was about: a revocation also requires the directory and a nonce.
fn subject(error: &AcmeError) -> About {
    about(error.operation().unwrap_or(Operation::RevokeCertificate))
}

fn refusal(error: &AcmeError) -> Refusal {
    let is_final = match error {
        AcmeError::NotOffered { .. } => true,
        _ => error.status().is_some_and(|status| revocation::is_final(error.code(), status, subject(error))),
    };
    let retry_after = match error {
        AcmeError::Paused { until } => Duration::try_from(until.duration_since(clock::now())).ok(),
        _ => error.retry_after(),
    };
    Refusal { words: error.to_string(), is_final, retry_after }
}

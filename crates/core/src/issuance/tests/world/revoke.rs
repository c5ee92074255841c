//! Certificates are revoked, and the Certificate is deleted.

use super::*;
use crate::issuance::tests::ca::{By, Revokes};
use crate::revocation::{Attempt, NotByAccount, NotByKey, Revocation, Signer};
use certwright_api::{ListedReason, RevocableCertificate, RevocationCause};
use certwright_pki::Leaf;

impl World {
    /// Somebody deletes the Certificate. Without a finalizer it is gone immediately.
    pub fn delete(&mut self) {
        self.deleted = Some(self.now);
        self.is_gone = !self.has_finalizer;
    }

    /// The id of the certificate in the Secret, for renewal information.
    pub fn certificate_id(&self) -> Option<String> {
        self.secret_view().leaf()?.certificate_id.clone()
    }

    /// Serial number of the certificate in the Secret.
    pub fn serial_number(&self) -> Option<String> {
        self.secret_view().leaf().map(|leaf| leaf.serial_number.clone())
    }

    /// The public key of the certificate in the Secret.
    pub fn public_key(&self) -> Option<Vec<u8>> {
        self.secret_view().leaf().map(|leaf| leaf.public_key_der.clone())
    }

    /// The CA revokes the certificate in the Secret, and the operator has found that on the list.
    pub fn ca_revokes(&mut self, reason: ListedReason) {
        let list_url = "http://crl.test/1".to_owned();
        let entry = Some((self.now, reason));
        let serial_number = self.serial_number();
        self.listed = serial_number
            .map(|serial_number| Finding { serial_number, list_url, entry })
            .or(self.listed.take());
    }

    pub(super) fn revoke(
        &mut self,
        revocation: Box<Revocation>,
        patience: Duration,
    ) -> Result<Outcome, Broken> {
        self.check_is_to_be_revoked(&revocation);
        let held = &revocation.certificate;
        let mut attempt = Attempt::default();
        while let Some(signer) = attempt.signer() {
            if self.ca.revokes == Revokes::Hangs {
                self.now += SignedDuration::try_from(patience).unwrap();
                break;
            }
            let account = self.account_of(held);
            match signer {
                Signer::Account => {
                    let answer = match account {
                        Ok(account) => self
                            .ask_to_revoke(&By::Account(&account), &revocation)?
                            .map_err(NotByAccount::Refused),
                        Err(why) => Err(why),
                    };
                    attempt.account_answered(answer);
                }
                Signer::CertificateKey => {
                    let key = self.key_of(held).filter(|_| account != Err(NotByAccount::IssuerGone));
                    let answer = match key {
                        Some(key) => self
                            .ask_to_revoke(&By::Key(key.public_key_der()), &revocation)?
                            .map_err(NotByKey::Refused),
                        None => Err(NotByKey::Gone),
                    };
                    attempt.key_answered(answer);
                }
            }
        }
        Ok(Outcome::RevocationAsked(revocation, attempt))
    }

    /// A certificate that is revoked already is a success for the ACME client.
    fn ask_to_revoke(
        &mut self,
        by: &By<'_>,
        revocation: &Revocation,
    ) -> Result<Result<(), AcmeError>, Broken> {
        let der = &revocation.certificate.certificate.0;
        let answer = match self.ca.revoke(by, der, revocation.progress.reason) {
            Err(refusal) if refusal.code == "alreadyRevoked" => Ok(()),
            answer => answer,
        };
        self.called(Operation::RevokeCertificate, answer)
    }

    fn account_of(&self, held: &RevocableCertificate) -> Result<String, NotByAccount> {
        match self.issuers.get(&held.issuer_name) {
            Some(IssuerView::Ready { account, .. }) => Ok(account.clone()),
            Some(IssuerView::NotReady { message, .. }) => Err(NotByAccount::Unusable(message.clone())),
            Some(IssuerView::NotFound) | None => Err(NotByAccount::IssuerGone),
        }
    }

    fn key_of(&self, held: &RevocableCertificate) -> Option<PrivateKey> {
        let public_key = Leaf::from_der(&held.certificate.0).unwrap().public_key_der;
        let key = self.secret.as_ref()?.key.clone()?.ok()?;
        (key.public_key_der() == public_key).then_some(key)
    }

    fn check_is_to_be_revoked(&self, revocation: &Revocation) {
        let serial_number = &revocation.certificate.serial_number;
        let mut recorded = self.recorded.revocation.iter().flat_map(|ledger| &ledger.certificates);
        let has_ended = recorded.any(|held| held.serial_number == *serial_number && held.has_ended());
        assert!(!has_ended, "a revocation that has ended on record begins again");
        match revocation.progress.cause {
            RevocationCause::Requested => {}
            RevocationCause::Replaced => {
                assert_ne!(self.serial_number().as_ref(), Some(serial_number), "it is still in use");
            }
            RevocationCause::Deleted => assert!(self.deleted.is_some()),
        }
    }
}

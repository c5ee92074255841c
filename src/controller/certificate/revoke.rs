//! Asks CAs to revoke certificates.

use std::time::Duration;

use kube::ResourceExt;

use super::work::{ReconcileCertificate, Seen};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer::account_of;
use crate::controller::issuer_record::{IssuerId, account_secret};
use certwright_acme::{Account, Server};
use certwright_api::{ANNOTATION_REVOKE, IssuerKind, RevocableCertificate};
use certwright_core::issuance::Outcome;
use certwright_core::revocation::{Attempt, NotByAccount, NotByKey, Revocation, RevocationRequests, Signer};
use certwright_pki::{Leaf, PrivateKey};

impl Seen {
    /// Which revocations are requested.
    pub(super) fn asked_to_revoke(&self) -> RevocationRequests<'_> {
        let request = self.certificate.annotations().get(ANNOTATION_REVOKE);
        RevocationRequests::new(
            self.certificate.spec.revocation.as_ref(),
            request.map(String::as_str),
            self.deletion(),
        )
    }
}

impl ReconcileCertificate {
    /// Asks the CA to revoke a certificate, for at most `patience`.
    pub(super) async fn revoke(
        &self,
        revocation: Box<Revocation>,
        patience: Duration,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let mut attempt = Attempt::default();
        let asked = self.ask_to_revoke(&revocation, &mut attempt, context);
        // What has no answer in time is missing in the attempt.
        tokio::time::timeout(patience, asked).await.unwrap_or(Ok(()))?;
        Ok(Outcome::RevocationAsked(revocation, attempt))
    }

    async fn ask_to_revoke(
        &self,
        revocation: &Revocation,
        attempt: &mut Attempt,
        context: &Context,
    ) -> Result<(), Error> {
        let der = &revocation.certificate.certificate.0;
        let why = revocation.progress.reason.code();
        let Signers { account, server, key } = self.signers(&revocation.certificate, context).await?;
        while let Some(signer) = attempt.signer() {
            match signer {
                Signer::Account => attempt.account_answered(match &account {
                    Ok(account) => account.revoke_certificate(der, why).await.map_err(NotByAccount::Refused),
                    Err(why) => Err(why.clone()),
                }),
                Signer::CertificateKey => attempt.key_answered(match (&server, key.clone()) {
                    (Some(server), Some(key)) => {
                        let answer = server.revoke_certificate_with_its_key(key, der, why).await;
                        answer.map_err(NotByKey::Refused)
                    }
                    _ => Err(NotByKey::Gone),
                }),
            }
        }
        Ok(())
    }

    /// Who can sign the request. An account that was in use is still known after its issuer is gone.
    async fn signers(&self, held: &RevocableCertificate, context: &Context) -> Result<Signers, Error> {
        let key = self.key_of(held);
        let (kind, name) = (held.issuer_kind, &held.issuer_name);
        let (namespace, accounts_in) = match kind {
            IssuerKind::Issuer => (Some(self.namespace.clone()), &self.namespace),
            IssuerKind::ClusterIssuer => (None, &context.config.cluster_resource_namespace),
        };
        let known = held.account.as_ref().and_then(|url| context.accounts.with_url(url, accounts_in));
        if let Some(account) = known {
            return Ok(Signers { server: Some(account.server().clone()), account: Ok(account), key });
        }
        let Some(issuer) = context.cache.issuer(&IssuerId { kind, namespace, name: name.clone() }) else {
            return Ok(Signers { account: Err(NotByAccount::IssuerGone), server: None, key });
        };
        let server = context.accounts.server(&issuer.spec, accounts_in).ok();
        let secret = account_secret(&issuer, &context.config.cluster_resource_namespace);
        let account = account_of(&issuer, &secret, context).await?.map_err(NotByAccount::Unusable);
        Ok(Signers { account, server, key })
    }

    /// The private key of a certificate, if it is in the Secret.
    fn key_of(&self, held: &RevocableCertificate) -> Option<PrivateKey> {
        let public_key = Leaf::from_der(&held.certificate.0).ok()?.public_key_der;
        self.current_key.clone().filter(|key| key.public_key_der() == public_key)
    }
}

/// Who can sign a revocation.
struct Signers {
    /// The account, or why it cannot sign.
    account: Result<Account, NotByAccount>,
    /// The server, for requests signed with the certificate's own key.
    server: Option<Server>,
    /// The certificate's own key.
    key: Option<PrivateKey>,
}

//! Deactivates accounts: when the annotation requests it, and when their issuer is deleted.

use std::time::Duration;

use jiff::Timestamp;
use tracing::debug;

use super::gather::ReconcileIssuer;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::account_secret;
use crate::controller::secrets;
use certwright_acme::Account;
use certwright_api::AcmeIssuer;
use certwright_core::account::deactivation::{
    LastStep, OtherIssuer, Standing, last_step, shared_with, standing,
};
use certwright_core::account::{Outcome, Undone};
use certwright_core::deletion::Deletion;
use certwright_pki::PrivateKey;
use certwright_runtime::clock;

impl ReconcileIssuer {
    /// Deactivates the account of an issuer that is being deleted, if its policy says so, and releases the issuer in bounded
    /// time.
    pub(super) async fn end(
        &mut self,
        deletion: Deletion,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        if let Some(until) = self.remove_records(Some(deletion), context).await? {
            return Ok(Some(until));
        }
        loop {
            let now = clock::now();
            let shared_with = self.shared_with(context);
            let step = last_step(&self.state, &self.seen.snapshot(), shared_with.as_deref(), deletion, now);
            debug!(?step, "next step before the end");
            for report in self.state.last_words(&step, &self.seen.snapshot()) {
                self.report(report, context).await?;
            }
            let outcome = match step {
                LastStep::Wait(until) => return Ok(Some(until)),
                LastStep::Deactivate { url, patience } => self.deactivate(url, patience, context).await,
                LastStep::RecordEnd(url) => self.record_end(&url, now, context).await?,
                LastStep::Retain(_) | LastStep::GiveUp | LastStep::Release => {
                    return self.write_finalizers(&[], context).await.map(|()| None);
                }
            };
            self.conclude(outcome, clock::now(), context).await?;
        }
    }

    /// Another issuer that keeps the account.
    fn shared_with(&self, context: &Context) -> Option<String> {
        let secret = account_secret(&self.issuer, &context.config.cluster_resource_namespace);
        let others = context.issuers_of_secret(&secret, Some(&self.issuer.id));
        let others = others.iter().map(|other| OtherIssuer {
            kind: other.id.kind,
            name: &other.id.name,
            server: &other.spec.server,
            is_deleted: other.deleted.is_some(),
        });
        shared_with(&self.issuer.spec.server, others)
    }

    /// Asks the CA to deactivate the account at `url`, or the account of the current key if `url` is not known.
    pub(super) async fn deactivate(
        &self,
        url: Option<String>,
        patience: Duration,
        context: &Context,
    ) -> Outcome {
        let attempt = async {
            let account = match self.account_to_end(url.as_deref(), context)? {
                Ok(account) => account,
                Err((spec, key)) => {
                    let server =
                        context.accounts.server(&spec, &self.account_secret.0).map_err(Undone::Refused)?;
                    match Account::look_up(&server, key).await.map_err(Undone::Refused)? {
                        Some(registered) => registered.account,
                        // The key has no account: the process crashed before registering one.
                        None => return Ok(None),
                    }
                }
            };
            account.deactivate().await.map_err(Undone::Refused)?;
            Ok(Some(account.url().to_owned()))
        };
        let answer = tokio::time::timeout(patience, attempt).await.unwrap_or(Err(Undone::Timeout));
        Outcome::Deactivated { url, answer }
    }

    /// The account to deactivate, or what is needed to look it up if its URL is not known.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn account_to_end(
        &self,
        url: Option<&str>,
        context: &Context,
    ) -> Result<Result<Account, (AcmeIssuer, PrivateKey)>, Undone> {
        let spec = &self.issuer.spec;
        let standing = url.map(|url| standing(&self.state, &self.seen.snapshot(), url));
        if let (Some(url), Some(Standing::Previous { server, secret_key })) = (url, &standing) {
            let kept = self.secret.as_ref().and_then(|secret| secrets::data(secret, secret_key));
            let kept = kept.and_then(|kept| PrivateKey::from_pem_or_jwk(kept).ok());
            let key = kept.ok_or_else(|| Undone::NoKey(secret_key.clone()))?;
            let spec = AcmeIssuer { server: server.clone(), ..spec.clone() };
            return Ok(Ok(Account::resume(
                &context.accounts.server(&spec, &self.account_secret.0).map_err(Undone::Refused)?,
                key,
                url,
            )));
        }
        // The Secret may be deleted before the issuer, such as with its namespace. This process may still use the account and
        // have the key.
        let in_use = self.account_in_use(context);
        match (url, self.key.clone()) {
            (Some(url), key) => {
                if let Some(account) = in_use.filter(|account| account.url() == url) {
                    return Ok(Ok(account));
                }
                let key = key.ok_or_else(|| Undone::NoKey(self.account_secret.2.clone()))?;
                let secret = self.account_secret.clone();
                context.accounts.resume(spec, secret, key, url).map(Ok).map_err(Undone::Refused)
            }
            (None, Some(key)) => Ok(Err((spec.clone(), key))),
            (None, None) => Err(Undone::NoKey(self.account_secret.2.clone())),
        }
    }
}

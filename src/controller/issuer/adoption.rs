//! An account that exists already is found again, without registering and without its MAC key.

use jiff::Timestamp;
use tracing::info;

use super::act::Next;
use super::gather::Work;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use certwright_acme::{Account, AccountStatus, AcmeError, Operation, Registered};
use certwright_api::issuer_reason as reason;
use certwright_core::account::Recorded;
use certwright_core::conditions::sentence;
use certwright_core::disposition::{self, Disposition};
use certwright_core::events::Event;

impl Work {
    /// Asks the CA whether it knows the key: it was brought from elsewhere or from a backup, or the URL of its account was
    /// lost.
    pub(super) async fn look_up(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        match self.ask_for_key(context).await {
            Ok(None) => {
                self.looked_up = true;
                Ok(None)
            }
            Ok(Some(found)) => self.found(found, now, context).await,
            Err(error) => self.refused(&error, Operation::LookUpAccount, now, context).await,
        }
    }

    /// Takes over an account that is on record with the key. If the CA does not know it, it may know the key all the same.
    pub(super) async fn adopt(
        &mut self,
        recorded: &Recorded,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let Some(key) = self.key.clone() else { return Ok(Some(None)) };
        let resumed =
            context.accounts.resume(&self.issuer.spec, self.account_secret.clone(), key, &recorded.url);
        let state = match resumed {
            Ok(account) => account.state().await.map(|state| (account, state)),
            Err(error) => Err(error),
        };
        match state {
            Ok((account, state)) if state.status == AccountStatus::Valid => {
                self.see_account(&account, state.email_addresses(), recorded.key_id.clone(), now).await;
                Ok(None)
            }
            Ok((account, state)) => self.has_ended(&account, &state, now, context).await,
            Err(error) if error.code() == "accountDoesNotExist" => {
                self.adopt_by_key(recorded, &error, now, context).await
            }
            Err(error) => self.refused(&error, Operation::Account, now, context).await,
        }
    }

    async fn adopt_by_key(
        &mut self,
        recorded: &Recorded,
        unknown: &AcmeError,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        match self.ask_for_key(context).await {
            Ok(Some(found)) => self.found(found, now, context).await,
            Ok(None) => {
                let message = format!(
                    "{}. The CA at {} knows neither the account {} nor its key, which is in Secret {}: restore another key \
                     there; or, to have a new account, delete this issuer and that Secret and apply the issuer again",
                    sentence(&unknown.to_string()),
                    recorded.server,
                    recorded.url,
                    self.account_secret.1
                );
                let reason = disposition::reason(unknown.code());
                self.fail(Disposition::AccountUnusable, reason, &message, None, now, context).await.map(Some)
            }
            Err(error) => self.refused(&error, Operation::LookUpAccount, now, context).await,
        }
    }

    async fn ask_for_key(&self, context: &Context) -> Result<Option<Registered>, AcmeError> {
        let Some(key) = self.key.clone() else { return Ok(None) };
        Account::look_up(&context.accounts.server(&self.issuer.spec, &self.account_secret.0)?, key).await
    }

    async fn found(&mut self, found: Registered, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let url = found.account.url().to_owned();
        let next = self.record(found, Vec::new(), now, context).await?;
        if self.issuer.status.acme.as_ref().is_some_and(|acme| acme.uri == url) {
            let note = format!(
                "The CA knows the key in Secret {}: its account {url} is taken over, and nothing is registered",
                self.account_secret.1
            );
            info!(account = url, "the account of the key is taken over");
            let object = &self.issuer.reference;
            let reason = reason::ACCOUNT_REGISTERED;
            events::publish(context, object, &Event::normal(reason, "LookUp", note)).await;
        }
        Ok(next)
    }
}

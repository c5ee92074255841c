//! One account takes the place of another: the key of the former stays in the Secret, and its URL on record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use tracing::info;

use super::act::Next;
use super::gather::Work;
use super::rollover::next_key;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use certwright_acme::jwk_thumbprint;
use certwright_api::PreviousAccount;
use certwright_core::account::{
    KeySecret, Recorded, account_key_algorithm, entry_of_previous, with_previous,
};
use certwright_core::renewal::whole_seconds;
use certwright_pki::{KeyEncoding, PrivateKey};

impl Work {
    /// A new external account needs a new account, and that a new key. The old key stays in the Secret, by its
    /// thumbprint, since it alone can still end the old account.
    pub(super) async fn replace_key(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let key =
            context.key_makers.make(account_key_algorithm(&self.issuer.spec), &self.account_secret.0).await?;
        self.put_key(pem(&key)?, None, now, context).await?;
        info!(secret = self.account_secret.1, "made a new account key for another external account");
        self.looked_up = true;
        Ok(None)
    }

    /// The external account of an account that the issuer had before is wanted again: its key can be had back.
    pub(super) async fn return_to(
        &mut self,
        previous: &PreviousAccount,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let entry = previous.secret_key.as_deref().unwrap_or_default();
        let kept = self.secret.as_ref().and_then(|secret| secrets::data(secret, entry)).map(<[u8]>::to_vec);
        let read = kept.as_ref().and_then(|kept| PrivateKey::from_pem_or_jwk(kept).ok());
        let Some(kept) =
            kept.filter(|_| read.is_some_and(|key| jwk_thumbprint(&key) == previous.key_thumbprint))
        else {
            // Somebody has removed it: there is nothing to return to.
            self.history.retain(|account| account.uri != previous.uri);
            return Ok(None);
        };
        self.put_key(ByteString(kept), Some(previous), now, context).await?;
        info!(account = previous.uri, "the key of an account that was replaced is put back");
        Ok(None)
    }

    /// Puts a key in the place of the present one, in one write: with the account that it has, if it has one. The present
    /// key is kept if it has an account.
    async fn put_key(
        &mut self,
        key: ByteString,
        account: Option<&PreviousAccount>,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        let (Some(over), Some(old)) = (self.secret.clone(), self.key.clone()) else { return Ok(()) };
        let data_key = self.account_secret.2.clone();
        let mut history = self.history.clone();
        let mut data: BTreeMap<String, Option<ByteString>> =
            BTreeMap::from([(data_key.clone(), Some(key)), (next_key(&data_key), None)]);
        if let Some(account) = account {
            history.retain(|known| known.uri != account.uri);
            data.extend(account.secret_key.clone().map(|entry| (entry, None)));
        }
        if let Some(mut replaced) = self.account_to_replace(&old) {
            if replaced.deactivation_time.is_none() {
                let entry = entry_of_previous(&data_key, &replaced.key_thumbprint);
                replaced.secret_key = Some(entry.clone());
                data.insert(entry, Some(pem(&old)?));
            }
            replaced.replacement_time = Some(Time(whole_seconds(now)));
            history = with_previous(&history, replaced);
        }
        let patch = json!({
            "metadata": {
                "resourceVersion": over.metadata.resource_version,
                "annotations": {
                    (certwright_api::ANNOTATION_ACCOUNT_URL): account.map(|account| &account.uri),
                    (certwright_api::ANNOTATION_ACME_SERVER): account.map(|account| &account.server),
                    (certwright_api::ANNOTATION_EAB_KEY_ID): account.and_then(|account| account.bound_key_id.as_ref()),
                    (certwright_api::ANNOTATION_KEY_THUMBPRINT): account.map(|account| &account.key_thumbprint),
                    (certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED): null,
                    (certwright_api::ANNOTATION_KEY_CREATED): account.is_none().then(|| whole_seconds(now).to_string()),
                    (certwright_api::ANNOTATION_NEXT_KEY_CREATED): null,
                    (certwright_api::ANNOTATION_LAST_KEY_ROLLOVER): null,
                    (certwright_api::ANNOTATION_PREVIOUS_ACCOUNTS): json!(history).to_string(),
                },
            },
            "data": data,
        });
        let patched = self.patch_secret(&patch, context).await?;
        self.see_secret(Some(patched));
        Ok(())
    }

    /// The account of the present key, as the status or the Secret has it on record.
    fn account_to_replace(&self, key: &PrivateKey) -> Option<PreviousAccount> {
        let thumbprint = jwk_thumbprint(key);
        let in_status = self.issuer.status.acme.as_ref().filter(|acme| acme.key_thumbprint == thumbprint);
        let on_secret = match &self.key_secret {
            KeySecret::Key { account, .. } => account.as_ref(),
            _ => None,
        };
        let ended = |recorded: &Recorded| recorded.deactivated.map(|time| Time(whole_seconds(time)));
        let uri = in_status.map(|acme| acme.uri.clone()).or(on_secret.map(|recorded| recorded.url.clone()))?;
        let server =
            in_status.map(|acme| acme.server.clone()).or(on_secret.map(|recorded| recorded.server.clone()))?;
        let bound_key_id = match in_status {
            Some(acme) => acme.bound_key_id.clone(),
            None => on_secret.and_then(|recorded| recorded.key_id.clone()),
        };
        let deactivation_time =
            in_status.and_then(|acme| acme.deactivation_time.clone()).or_else(|| on_secret.and_then(ended));
        Some(PreviousAccount {
            uri,
            server,
            bound_key_id,
            key_thumbprint: thumbprint,
            deactivation_time,
            ..PreviousAccount::default()
        })
    }
}

fn pem(key: &PrivateKey) -> Result<ByteString, Error> {
    Ok(ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec()))
}

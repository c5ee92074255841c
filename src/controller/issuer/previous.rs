//! Replaces one account with another. The old account stays recorded, and its key stays in the Secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::json;
use tracing::info;

use super::account_keys::next_key;
use super::gather::ReconcileIssuer;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use certwright_acme::jwk_thumbprint;
use certwright_api::PreviousAccount;
use certwright_core::account::{Outcome, account_key_algorithm};
use certwright_core::renewal::whole_seconds;
use certwright_pki::{KeyEncoding, PrivateKey};

impl ReconcileIssuer {
    /// Replaces the key, because another binding requires a new account, and a new account requires a new key. The old
    /// key stays in the Secret under its thumbprint, because only that key can deactivate the old account.
    pub(super) async fn replace_key(&mut self, now: Timestamp, context: &Context) -> Result<Outcome, Error> {
        let key =
            context.key_makers.make(account_key_algorithm(&self.issuer.spec), &self.account_secret.0).await?;
        self.put_key(pem(&key)?, None, now, context).await?;
        info!(secret = self.account_secret.1, "made a new account key for another account");
        Ok(Outcome::KeyReplaced)
    }

    /// Restores the key of a previous account, because the spec has the external account of that account again.
    pub(super) async fn return_to(
        &mut self,
        previous: PreviousAccount,
        now: Timestamp,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let entry = previous.secret_key.as_deref().unwrap_or_default();
        let kept = self.secret.as_ref().and_then(|secret| secrets::data(secret, entry)).map(<[u8]>::to_vec);
        let read = kept.as_ref().and_then(|kept| PrivateKey::from_pem_or_jwk(kept).ok());
        let is_its_key = read.is_some_and(|key| jwk_thumbprint(&key) == previous.key_thumbprint);
        let Some(kept) = kept.filter(|_| is_its_key) else { return Ok(Outcome::KeyLost(previous.uri)) };
        self.put_key(ByteString(kept), Some(&previous), now, context).await?;
        info!(account = previous.uri, "the key of an account that was replaced is put back");
        Ok(Outcome::KeyRestored)
    }

    /// Replaces the current key in one write, and records the account of the new key, if it has one. The current key is kept if
    /// it has an account.
    async fn put_key(
        &mut self,
        key: ByteString,
        account: Option<&PreviousAccount>,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        let old = self.key()?;
        let replacement = self.state.replacement(&self.seen.snapshot(), account, now);
        let data_key = self.account_secret.2.clone();
        let mut data: BTreeMap<String, Option<ByteString>> =
            BTreeMap::from([(data_key.clone(), Some(key)), (next_key(&data_key), None)]);
        data.extend(account.and_then(|account| account.secret_key.clone()).map(|entry| (entry, None)));
        if let Some(entry) = replacement.kept_under {
            data.insert(entry, Some(pem(&old)?));
        }
        let patch = json!({
            "metadata": {
                "resourceVersion": self.resource_version(),
                "annotations": {
                    (certwright_api::ANNOTATION_ACCOUNT_URL): account.map(|account| &account.uri),
                    (certwright_api::ANNOTATION_ACME_SERVER): account.map(|account| &account.server),
                    (certwright_api::ANNOTATION_EAB_KEY_ID): account.and_then(|account| account.bound_key_id.as_ref()),
                    (certwright_api::ANNOTATION_KEY_THUMBPRINT): account.map(|account| &account.key_thumbprint),
                    (certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED): null,
                    (certwright_api::ANNOTATION_KEY_CREATED): account.is_none().then(|| whole_seconds(now).to_string()),
                    (certwright_api::ANNOTATION_NEXT_KEY_CREATED): null,
                    (certwright_api::ANNOTATION_LAST_KEY_ROLLOVER): null,
                    (certwright_api::ANNOTATION_PREVIOUS_ACCOUNTS): json!(replacement.history).to_string(),
                },
            },
            "data": data,
        });
        self.patch_secret(&patch, context).await
    }
}

fn pem(key: &PrivateKey) -> Result<ByteString, Error> {
    Ok(ByteString(key.to_pem(KeyEncoding::Pkcs8)?.as_bytes().to_vec()))
}

use crate::account::{KeyId, KeySecret, MacKey, Snapshot, rollover};
use crate::backoff::Backoff;
use certwright_api::AcmeIssuer;

/// A snapshot of an issuer that has nothing but a spec and an account key Secret.
pub(in crate::account) fn snapshot<'a>(spec: &'a AcmeIssuer, key_secret: &'a KeySecret) -> Snapshot<'a> {
    Snapshot {
        spec,
        name: "ca",
        uid: "uid",
        generation: 1,
        key_secret_name: ("account", "tls.key"),
        secrets_namespace: None,
        key_secret,
        key_id: &KeyId::Unbound,
        mac_key: &MacKey::NotRead,
        external_account_version: None,
        deactivate: None,
        rebind: None,
        retry_request: None,
        deleted: None,
        has_finalizer: false,
        keys: rollover::Keys::default(),
        refusal: None,
        latest_terms: None,
        backoff: Backoff::default(),
        orders_per_account: 50,
    }
}

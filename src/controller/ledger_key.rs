//! The Secret with the keys that seal the entries of a status. It is in the operator's own namespace, and shared by all
//! replicas.
//!
//! The key under [`CURRENT`] seals. Every other entry of its data is a key whose seals are still accepted: to change the key,
//! move it to another entry and put a new one in its place, or none, and restart the operator.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::rand;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::Error;
use super::secrets::{self, Written};
use crate::runtime::metrics::{ApiVerb, Metrics};
use certwright_api::{FIELD_MANAGER, SECRET_LEDGER_KEY};
use certwright_core::ledger::{KEY_LENGTH, LedgerKeys};

/// Name of the Secret.
pub const SECRET: &str = "certwright-ledger-key";
/// The entry of its data with the key that seals.
pub const CURRENT: &str = "key";

/// The first and the longest wait before the keys are read again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How often to retry if another replica creates the key at the same time.
const TRIES: usize = 5;

/// Reads the keys, and retries until that succeeds; `None` if it is stopped. Nothing starts before, because without the keys
/// the operator cannot verify its own entries.
pub async fn await_keys(
    client: &Client,
    metrics: &Metrics,
    namespace: &str,
    stop: &CancellationToken,
) -> Option<LedgerKeys> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match load(client, metrics, namespace).await {
            Ok(keys) => return Some(keys),
            Err(error) => error,
        };
        warn!(
            namespace,
            secret = SECRET,
            error = &error as &dyn std::error::Error,
            "the operator cannot start without the key of its ledger, and retries; it needs permission to get, create and \
             patch this Secret"
        );
        if timeout(wait, stop.cancelled()).await.is_ok() {
            return None;
        }
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

/// Reads the keys, and generates one if there is none.
async fn load(client: &Client, metrics: &Metrics, namespace: &str) -> Result<LedgerKeys, Error> {
    let mut tries = 0;
    loop {
        let found = secrets::read(client, namespace, SECRET).await?;
        if let Some(keys) = found.as_ref().and_then(keys) {
            return Ok(keys);
        }
        tries += 1;
        match make(client, metrics, namespace, found.as_ref()).await {
            Ok(()) => info!(secret = SECRET, "generated a key to seal the status of Certificates"),
            Err(Error::WriteSecret { source: kube::Error::Api(status), .. })
                if status.is_conflict() && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// The keys in a Secret; `None` if it has none to seal with.
fn keys(secret: &Secret) -> Option<LedgerKeys> {
    let usable = |bytes: &&[u8]| bytes.len() >= KEY_LENGTH;
    let current = secrets::data(secret, CURRENT).filter(usable)?;
    let others = secret.data.iter().flatten().filter(|(entry, _)| entry.as_str() != CURRENT);
    let (former, too_short): (Vec<_>, Vec<_>) = others.partition(|(_, bytes)| usable(&bytes.0.as_slice()));
    for (entry, _) in too_short {
        warn!(secret = SECRET, entry, "ignored a key that is shorter than {KEY_LENGTH} bytes");
    }
    Some(LedgerKeys::new(current, former.into_iter().map(|(_, bytes)| bytes.0.as_slice())))
}

async fn make(
    client: &Client,
    metrics: &Metrics,
    namespace: &str,
    over: Option<&Secret>,
) -> Result<(), Error> {
    let mut key = vec![0; KEY_LENGTH];
    rand::fill(&mut key).map_err(|_| Error::NoRandomness)?;
    let key = ByteString(key);
    let Some(over) = over else {
        let written = Written {
            namespace,
            name: SECRET,
            purpose: SECRET_LEDGER_KEY,
            type_: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            owner: None,
            data: BTreeMap::from([(CURRENT.to_owned(), key)]),
        };
        return written.create(client, metrics).await.map(drop);
    };
    let patch = json!({
        "metadata": { "resourceVersion": over.metadata.resource_version },
        "data": { CURRENT: key },
    });
    metrics.api_written("Secret", ApiVerb::Patch);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let patched = api.patch(SECRET, &params, &Patch::Merge(&patch)).await;
    patched.map(drop).map_err(|source| Error::WriteSecret { name: SECRET.to_owned(), source })
}

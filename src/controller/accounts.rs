//! The accounts in use. Issuers that name one account Secret share one account, one limiter and one pool of nonces: a CA
//! may take two users of one account for an attack.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::issuer_record::{AccountSecret, IssuerRecord};
use crate::acme::{Account, AcmeError, Server, ServerConfig, Trust};
use crate::api::AcmeIssuer;
use crate::pki::PrivateKey;
use crate::runtime::clock;
use crate::runtime::metrics::Metrics;

/// The accounts in use.
pub struct Accounts {
    metrics: Metrics,
    /// By the Secret of the key and the URL of the directory.
    accounts: Mutex<HashMap<(AccountSecret, String), Account>>,
    writers: Mutex<HashMap<AccountSecret, Arc<AsyncMutex<()>>>>,
    /// Accounts whose key is changed once no challenge is looked at.
    waiting: Mutex<HashSet<AccountSecret>>,
    servers: Mutex<HashMap<(String, Trust), Server>>,
}

impl Accounts {
    /// No accounts yet.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            accounts: Mutex::default(),
            writers: Mutex::default(),
            waiting: Mutex::default(),
            servers: Mutex::default(),
        }
    }

    /// The server that a spec names.
    ///
    /// # Errors
    /// If the URL or the CA bundle cannot be used.
    pub fn server(&self, spec: &AcmeIssuer) -> Result<Server, AcmeError> {
        let key = (spec.server.clone(), trust(spec));
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(&key) {
            return Ok(server.clone());
        }
        let metrics = self.metrics.clone();
        let server = Server::new(ServerConfig {
            directory_url: key.0.clone(),
            trust: key.1.clone(),
            user_agent: ServerConfig::USER_AGENT.to_owned(),
            timeout: ServerConfig::TIMEOUT,
            clock: clock::now,
            observe: Arc::new(move |operation, status, took| {
                metrics.acme_requested(operation.as_str(), status, took);
            }),
        })?;
        servers.insert(key, server.clone());
        Ok(server)
    }

    /// The account of an issuer, if it is in use already and still the one that the issuer's status names.
    pub fn get(&self, issuer: &IssuerRecord, secret: &AccountSecret) -> Option<Account> {
        let recorded = issuer.status.acme.as_ref()?;
        let account = self.in_use(&issuer.spec, secret)?;
        let same = account.url() == recorded.uri && account.thumbprint() == recorded.key_thumbprint;
        (same && !account.is_in_doubt()).then_some(account)
    }

    /// The account in use with the key in `secret` at the server that a spec names.
    pub fn in_use(&self, spec: &AcmeIssuer, secret: &AccountSecret) -> Option<Account> {
        let server = self.server(spec).ok()?;
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.get(&(secret.clone(), spec.server.clone())).map(|account| account.through(&server))
    }

    /// The account with this URL whose key is in a Secret of `namespace`, if it was in use: also after its issuer, or the
    /// Secret, has gone.
    pub fn with_url(&self, url: &str, namespace: &str) -> Option<Account> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found =
            accounts.iter().filter(|((secret, _), account)| secret.0 == namespace && account.url() == url);
        found.next().map(|(_, account)| account.clone())
    }

    /// Puts an account into use: the one in use already, if it is the same.
    ///
    /// # Errors
    /// If the URL or the CA bundle cannot be used.
    pub fn resume(
        &self,
        spec: &AcmeIssuer,
        secret: AccountSecret,
        key: PrivateKey,
        url: &str,
    ) -> Result<Account, AcmeError> {
        let server = self.server(spec)?;
        let account = Account::resume(&server, key, url);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (secret, spec.server.clone());
        if let Some(present) = accounts.get(&place)
            && present.url() == account.url()
            && present.thumbprint() == account.thumbprint()
        {
            return Ok(present.through(&server));
        }
        accounts.insert(place, account.clone());
        Ok(account)
    }

    /// Takes all accounts out of use: another replica may have changed their keys.
    pub fn clear(&self) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until nobody else works at the account in `secret`, nor does so before the guard is dropped: of several
    /// issuers with one account, one at a time registers it, or changes its key.
    pub async fn write(&self, secret: &AccountSecret) -> OwnedMutexGuard<()> {
        let writer = {
            let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
            writers.entry(secret.clone()).or_default().clone()
        };
        writer.lock_owned().await
    }

    /// Whether the key in `secret` is to be changed once no challenge is looked at.
    pub fn waits_for_validations(&self, secret: &AccountSecret) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).contains(secret)
    }

    /// Takes note of whether it is.
    pub fn wait_for_validations(&self, secret: &AccountSecret, waits: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waits {
            true => drop(waiting.insert(secret.clone())),
            false => drop(waiting.remove(secret)),
        }
    }
}

/// Which certificates of its CA an issuer trusts.
pub fn trust(spec: &AcmeIssuer) -> Trust {
    match (&spec.ca_bundle, spec.skip_tls_verify) {
        (Some(bundle), _) if !bundle.0.is_empty() => Trust::Bundle(bundle.0.clone()),
        (_, Some(true)) => Trust::SkipVerify,
        _ => Trust::SystemRoots,
    }
}

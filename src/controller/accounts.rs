//! The accounts in use. Issuers that name one account Secret share one account, one limiter and one pool of nonces: a CA may
//! treat two users of one account as an attack.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::acme_log::AcmeLog;
use super::issuer_record::{AccountSecret, IssuerRecord};
use crate::runtime::metrics::{AccountFacts, Metrics};
use certwright_acme::{Account, AcmeError, Server, ServerConfig, Share, Trust};
use certwright_api::{AcmeAccountStatus, AcmeIssuer};
use certwright_core::account::deactivation::request_timeout;
use certwright_egress::Egress;
use certwright_egress::recent::Recent;
use certwright_pki::PrivateKey;
use certwright_runtime::clock;
use certwright_runtime::liveness::Liveness;

/// The maximum number of cached accounts of one namespace. The key of any other account is read again when it is used.
const MOST_ACCOUNTS: usize = 512;
/// The maximum number of cached servers. The directory of any other server is fetched again when it is used.
const MOST_SERVERS: usize = 1024;

/// How an issuer reaches its CA: the URL of the directory, which certificates it trusts, and how long a request may take. Issuers
/// that agree in all of these share a server.
type ServerKey = (String, Trust, Duration);

/// The accounts in use.
pub struct Accounts {
    /// The operator's own namespace, where the accounts of ClusterIssuers are.
    own_namespace: String,
    metrics: Metrics,
    liveness: Liveness,
    egress: Egress,
    /// By the Secret of the key and the URL of the directory.
    accounts: Recent<(AccountSecret, String), Account>,
    writers: Locks,
    readers: Locks,
    /// Accounts whose key is changed when no challenge is being validated.
    waiting: Mutex<HashSet<AccountSecret>>,
    servers: Recent<ServerKey, Server>,
    /// The limit on concurrent requests of each namespace.
    shares: Mutex<HashMap<String, Share>>,
    acme_log: AcmeLog,
}

/// One lock for each account.
#[derive(Default)]
struct Locks(Mutex<HashMap<AccountSecret, Arc<AsyncMutex<()>>>>);

impl Locks {
    async fn lock(&self, secret: &AccountSecret) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(secret.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

impl Accounts {
    /// No accounts yet.
    pub fn new(own_namespace: String, metrics: Metrics, liveness: Liveness, egress: Egress) -> Self {
        let same_namespace =
            |one: &(AccountSecret, String), other: &(AccountSecret, String)| one.0.0 == other.0.0;
        Self {
            own_namespace,
            metrics,
            liveness,
            egress,
            accounts: Recent::with_rivals(MOST_ACCOUNTS, same_namespace, clock::now),
            writers: Locks::default(),
            readers: Locks::default(),
            waiting: Mutex::default(),
            servers: Recent::new(MOST_SERVERS, clock::now),
            shares: Mutex::default(),
            acme_log: AcmeLog::default(),
        }
    }

    /// Which exchanges with CAs are logged.
    pub fn acme_log(&self) -> &AcmeLog {
        &self.acme_log
    }

    /// The server of a spec, for an issuer whose account's Secret is in `namespace`.
    ///
    /// # Errors
    /// If the URL or the CA bundle cannot be used.
    pub fn server(&self, spec: &AcmeIssuer, namespace: &str) -> Result<Server, AcmeError> {
        let key = server_key(spec);
        let server = self.servers.get_or_try_insert(&key, || {
            let (metrics, liveness) = (self.metrics.clone(), self.liveness.clone());
            let requests = metrics.acme_server(&host(&key.0));
            Server::new(ServerConfig {
                directory_url: key.0.clone(),
                trust: key.1.clone(),
                user_agent: ServerConfig::USER_AGENT.to_owned(),
                timeout: key.2,
                clock: clock::now,
                observe: Arc::new(move |operation, status, took| {
                    metrics.acme_requested(operation.as_str(), status, took);
                    requests.count(status);
                    liveness.reconcile_moved();
                }),
                egress: self.egress.clone(),
            })
        })?;
        let server = match self.share(namespace) {
            Some(share) => server.within(share),
            None => server,
        };
        Ok(match self.acme_log.record(namespace, &spec.server, clock::now()) {
            Some(record) => server.recording(record),
            None => server,
        })
    }

    /// What the metrics show of them.
    pub fn facts(&self) -> AccountFacts {
        let paused = self.accounts.each(Account::is_paused).into_iter().filter(|paused| *paused).count();
        let ahead = self.servers.each(|server| server.ahead().unwrap_or_default().as_secs().abs());
        AccountFacts { paused, clock_difference_seconds: ahead.into_iter().max().unwrap_or_default() }
    }

    /// The limit on concurrent requests of a namespace's issuers. The operator's own namespace has no limit.
    fn share(&self, namespace: &str) -> Option<Share> {
        if namespace == self.own_namespace {
            return None;
        }
        let mut shares = self.shares.lock();
        if !shares.contains_key(namespace) {
            shares.retain(|_, share| share.is_in_use());
        }
        Some(shares.entry(namespace.to_owned()).or_default().clone())
    }

    /// The account of an issuer, if it is already in use and matches the issuer's status.
    pub fn get(&self, issuer: &IssuerRecord, secret: &AccountSecret) -> Option<Account> {
        self.as_recorded(issuer.status.acme.as_ref()?, &issuer.spec, secret)
    }

    /// The account that a status records, if it is in use already and known to have the key that is recorded.
    pub fn as_recorded(
        &self,
        recorded: &AcmeAccountStatus,
        spec: &AcmeIssuer,
        secret: &AccountSecret,
    ) -> Option<Account> {
        let account = self.in_use(spec, secret)?;
        let same = account.url() == recorded.uri && account.thumbprint() == recorded.key_thumbprint;
        (same && !account.is_in_doubt()).then_some(account)
    }

    /// The account in use with the key in `secret` at the server of a spec.
    pub fn in_use(&self, spec: &AcmeIssuer, secret: &AccountSecret) -> Option<Account> {
        let server = self.server(spec, &secret.0).ok()?;
        let account = self.accounts.get(&(secret.clone(), spec.server.clone()))?;
        Some(account.through(&server))
    }

    /// The account with this URL whose key is in a Secret of `namespace`, if it was in use within the last hour: also
    /// after its issuer, or the Secret, has gone.
    pub fn with_url(&self, url: &str, namespace: &str) -> Option<Account> {
        self.accounts.find(|(secret, _), account| secret.0 == namespace && account.url() == url)
    }

    /// Puts an account into use, or returns the one in use if it is the same.
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
        let server = self.server(spec, &secret.0)?;
        let account = Account::resume(&server, key, url);
        let same = |present: &Account| {
            present.url() == account.url() && present.thumbprint() == account.thumbprint()
        };
        let place = (secret, spec.server.clone());
        Ok(self.accounts.get_or_replace(&place, same, account.clone()).through(&server))
    }

    /// The last issuer with the server of this spec is gone. Its account is kept for a while: it may have to revoke
    /// certificates.
    pub fn forget_server(&self, spec: &AcmeIssuer) {
        self.servers.remove(&server_key(spec));
    }

    /// Forgets all accounts: another replica may have changed their keys.
    pub fn clear(&self) {
        self.accounts.clear();
        self.waiting.lock().clear();
    }

    /// Waits for exclusive access to the account in `secret`, until the guard is dropped: if several issuers share an account,
    /// only one at a time registers it or changes its key.
    pub async fn write(&self, secret: &AccountSecret) -> OwnedMutexGuard<()> {
        self.writers.lock(secret).await
    }

    /// Waits until nobody else reads the key in `secret`, so that many Certificates at once do not all read it.
    pub async fn read(&self, secret: &AccountSecret) -> OwnedMutexGuard<()> {
        self.readers.lock(secret).await
    }

    /// Whether the key in `secret` is to be changed when no challenge is being validated.
    pub fn waits_for_validations(&self, secret: &AccountSecret) -> bool {
        self.waiting.lock().contains(secret)
    }

    /// Records whether the key in `secret` is to be changed when no challenge is being validated.
    pub fn wait_for_validations(&self, secret: &AccountSecret, waits: bool) {
        let mut waiting = self.waiting.lock();
        match waits {
            true => drop(waiting.insert(secret.clone())),
            false => drop(waiting.remove(secret)),
        }
    }
}

fn server_key(spec: &AcmeIssuer) -> ServerKey {
    (spec.server.clone(), trust(spec), request_timeout(spec))
}

/// The host of a directory, and its port if the URL names one.
fn host(url: &str) -> String {
    let url = url.parse::<Uri>().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host().unwrap_or_default())
}

/// Which server certificates of its CA an issuer trusts.
pub fn trust(spec: &AcmeIssuer) -> Trust {
    match (&spec.ca_bundle, spec.skip_tls_verify) {
        (Some(bundle), _) if !bundle.0.is_empty() => Trust::Bundle(bundle.0.clone()),
        (_, Some(true)) => Trust::SkipVerify,
        _ => Trust::SystemRoots,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_share_a_server_if_they_reach_it_in_the_same_way() {
        let accounts = Accounts::new(
            "certwright".to_owned(),
            Metrics::default(),
            Liveness::default(),
            Egress::default(),
        );
        let server = |timeout: Option<&str>, skip_tls_verify| {
            let spec = AcmeIssuer {
                server: "https://ca.example/dir".to_owned(),
                request_timeout: timeout.map(|timeout| timeout.parse().unwrap()),
                skip_tls_verify,
                ..AcmeIssuer::default()
            };
            accounts.server(&spec, "shop").unwrap()
        };
        let usual = server(None, None);
        assert!(usual.is(&server(Some("30s"), None)), "that is the default");
        assert!(!usual.is(&server(Some("2m"), None)));
        assert!(!usual.is(&server(None, Some(true))));
    }
}

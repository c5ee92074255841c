use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit};

use crate::exchange::Exchange;
use crate::jws::{AccountKey, KeyName};
use crate::nonce::NoncePool;
use crate::reply::Reply;
use crate::transport::Transport;
use crate::{AcmeError, Directory, Operation, Record, ServerConfig, Share};

/// A CA's ACME server: its directory, connections and nonces. Clones share all of them.
#[derive(Clone)]
pub struct Server {
    pub(super) inner: Arc<Inner>,
    /// The share that its requests count against.
    share: Option<Share>,
    /// Called with its exchanges.
    record: Option<Record>,
}

pub(super) struct Inner {
    config: ServerConfig,
    pub(super) transport: Transport,
    nonces: NoncePool,
    directory: Mutex<Option<Fetched>>,
    /// How many times the directory was requested.
    fetches: AtomicU64,
}

struct Fetched {
    at: Timestamp,
    outcome: Result<Arc<Directory>, AcmeError>,
}

/// How long a directory is cached.
const DIRECTORY_AGE: SignedDuration = SignedDuration::from_hours(1);

/// How often a request is sent if the CA rejects its nonce. With a CA that rejects nine in ten (Pebble can be configured to),
/// one request in a thousand still fails.
const NONCE_TRIES: usize = 64;
/// For how long such a request is repeated: a server may be slow to reject it.
const NONCE_TIME: SignedDuration = SignedDuration::from_secs(60);

impl Server {
    /// Creates a client for a CA. Sends nothing yet.
    ///
    /// # Errors
    /// [`AcmeError::DirectoryUrl`], [`AcmeError::Bundle`] or [`AcmeError::Client`]: the configuration is invalid.
    pub fn new(config: ServerConfig) -> Result<Self, AcmeError> {
        let usable = Url::parse(&config.directory_url)
            .is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
        if !usable {
            return Err(AcmeError::DirectoryUrl(config.directory_url));
        }
        let transport = Transport::new(&config)?;
        let (nonces, directory, fetches) = (NoncePool::default(), Mutex::default(), AtomicU64::new(0));
        let inner = Arc::new(Inner { config, transport, nonces, directory, fetches });
        Ok(Self { inner, share: None, record: None })
    }

    /// The same server, whose requests count against `share`.
    #[must_use]
    pub fn within(&self, share: Share) -> Self {
        Self { share: Some(share), ..self.clone() }
    }

    /// The same server, whose exchanges are passed to `record`.
    #[must_use]
    pub fn recording(&self, record: Record) -> Self {
        Self { record: Some(record), ..self.clone() }
    }

    /// The directory, fetched at most once an hour (RFC 8555 section 7.1.1). Callers that ask while it is being fetched get the
    /// same result. If the CA does not answer, they all wait for one timeout, not one each.
    ///
    /// # Errors
    /// [`AcmeError`], if it had to be fetched and that failed.
    pub async fn directory(&self) -> Result<Arc<Directory>, AcmeError> {
        let Inner { config, directory, fetches, .. } = &*self.inner;
        let fetches_seen = fetches.load(Ordering::SeqCst);
        let known = |fetched: &MutexGuard<'_, Option<Fetched>>| {
            let Fetched { at, outcome } = fetched.as_ref()?;
            let age = (config.clock)().duration_since(*at);
            let young = !age.is_negative() && age < DIRECTORY_AGE;
            let usable = fetches.load(Ordering::SeqCst) != fetches_seen || (young && outcome.is_ok());
            usable.then(|| outcome.clone())
        };
        let mut fetched = directory.lock().await;
        if let Some(outcome) = known(&fetched) {
            return outcome;
        }
        let mut place = self.share.as_ref().and_then(Share::try_enter);
        if place.is_none() && self.share.is_some() {
            // Others that do not have to wait for a place can fetch it in the meantime.
            drop(fetched);
            place = self.enter().await;
            fetched = directory.lock().await;
            if let Some(outcome) = known(&fetched) {
                return outcome;
            }
        }
        let outcome = self.fetch_directory().await;
        drop(place);
        fetches.fetch_add(1, Ordering::SeqCst);
        *fetched = Some(Fetched { at: (config.clock)(), outcome: outcome.clone() });
        outcome
    }

    /// The directory as last fetched, unless it is being fetched now. Sends nothing.
    #[must_use]
    pub fn known_directory(&self) -> Option<Arc<Directory>> {
        let fetched = self.inner.directory.try_lock().ok()?;
        fetched.as_ref().and_then(|fetched| fetched.outcome.clone().ok())
    }

    /// The URL of the directory.
    #[must_use]
    pub fn directory_url(&self) -> &str {
        &self.inner.config.directory_url
    }

    /// Whether both are the same server, with the same connections and nonces.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// How far the CA's clock is ahead of the local one, according to its answers. `None` before the first answer. A difference
    /// of less than a minute counts as zero.
    #[must_use]
    pub fn ahead(&self) -> Option<SignedDuration> {
        self.inner.transport.ahead.get()
    }

    /// Asks for the time, to update [`Server::ahead`]. The next request uses the nonce in the answer.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn ask_time(&self) -> Result<(), AcmeError> {
        let nonce = self.new_nonce().await?;
        self.inner.nonces.put(nonce);
        Ok(())
    }

    /// The host of the directory.
    pub(super) fn host(&self) -> String {
        let url = Url::parse(self.directory_url()).ok();
        url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned()
    }

    pub(super) fn clock(&self) -> fn() -> Timestamp {
        self.inner.config.clock
    }

    /// Sends a signed request (RFC 8555 section 6.2), and repeats it as long as the CA rejects the nonce (section 6.5). An
    /// empty payload makes it a POST-as-GET (section 6.3).
    pub(super) async fn post(
        &self,
        operation: Operation,
        key: &AccountKey,
        name: &KeyName,
        url: &str,
        payload: &str,
    ) -> Result<Reply, AcmeError> {
        let mut nonce = self.nonce().await?;
        let mut tries_left = NONCE_TRIES;
        let clock = self.clock();
        let begun = clock();
        loop {
            let jws = key.sign(name, &nonce, url, payload)?;
            let place = self.enter().await;
            let copy = self.record.as_ref().map(|_| jws.clone());
            let sent = self.inner.transport.post(operation, url, jws).await;
            drop(place);
            let reply = self.noted(operation, url, copy.as_deref(), sent)?;
            let next_nonce = reply.nonce();
            tries_left -= 1;
            match (reply.accepted(), next_nonce) {
                (Err(error), next_nonce)
                    if error.code() == "badNonce"
                        && tries_left > 0
                        && clock().duration_since(begun) < NONCE_TIME =>
                {
                    // Use the nonce in the error's answer (RFC 8555 section 6.5).
                    nonce = match next_nonce {
                        Some(nonce) => nonce,
                        None => self.nonce().await?,
                    };
                }
                (outcome, next_nonce) => {
                    next_nonce.into_iter().for_each(|nonce| self.inner.nonces.put(nonce));
                    return outcome;
                }
            }
        }
    }

    /// Sends a request that needs no signature.
    pub(super) async fn get(&self, operation: Operation, url: &str) -> Result<Reply, AcmeError> {
        let place = self.enter().await;
        let sent = self.inner.transport.get(operation, url).await;
        drop(place);
        self.accept(self.noted(operation, url, None, sent)?)
    }

    fn accept(&self, reply: Reply) -> Result<Reply, AcmeError> {
        reply.nonce().into_iter().for_each(|nonce| self.inner.nonces.put(nonce));
        reply.accepted()
    }

    async fn nonce(&self) -> Result<String, AcmeError> {
        if let Some(nonce) = self.inner.nonces.take() {
            return Ok(nonce);
        }
        self.new_nonce().await
    }

    /// Gets a nonce from the CA (RFC 8555 section 7.2).
    async fn new_nonce(&self) -> Result<String, AcmeError> {
        let directory = self.directory().await?;
        let place = self.enter().await;
        let sent = self.inner.transport.head(Operation::NewNonce, &directory.new_nonce).await;
        drop(place);
        let reply = self.noted(Operation::NewNonce, &directory.new_nonce, None, sent)?.accepted()?;
        reply.nonce().ok_or_else(|| reply.malformed("newNonce returned no Replay-Nonce header"))
    }

    async fn fetch_directory(&self) -> Result<Arc<Directory>, AcmeError> {
        let sent = self.inner.transport.get(Operation::Directory, self.directory_url()).await;
        let reply = self.noted(Operation::Directory, self.directory_url(), None, sent)?;
        let directory = Arc::new(self.accept(reply)?.bounded()?.value);
        self.inner.transport.is_acme.store(true, Ordering::Relaxed);
        Ok(directory)
    }

    /// Records an exchange, if that is wanted.
    fn noted(
        &self,
        operation: Operation,
        url: &str,
        jws: Option<&str>,
        sent: Result<Reply, AcmeError>,
    ) -> Result<Reply, AcmeError> {
        if let Some(record) = &self.record {
            record(Exchange::new(operation, url, jws, &sent));
        }
        sent
    }

    /// Waits for a place in the share, if there is one.
    async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        match &self.share {
            Some(share) => share.enter().await,
            None => None,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.directory_url()).finish()
    }
}

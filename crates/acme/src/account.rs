mod state;

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

pub use self::state::{AccountState, AccountStatus};
use crate::jws::{AccountKey, KeyName, encode};
use crate::reply::Reply;
use crate::shared_key::SharedKey;
use crate::{
    AcmeError, AcmeResponse, Authorization, Challenge, Directory, DownloadedChain, ExternalAccountKey,
    Identifier, Limiter, Meta, NewOrder, Operation, Order, Server,
};
use certwright_pki::PrivateKey;

/// An account at a CA (RFC 8555 section 7.1.2), and the calls that it signs. Clones share the limiter and the key, also after a
/// key rollover.
///
/// Use an account from one place at a time: some CAs answer a second user with `BAD_SIGNATURE`.
#[derive(Clone)]
pub struct Account {
    pub(super) server: Server,
    pub(super) key: SharedKey,
    pub(super) name: KeyName,
    url: String,
    limiter: Limiter,
}

impl Account {
    /// Registers `key`, or finds its existing account (RFC 8555 section 7.3). It is safe to repeat this with the same key.
    /// Agrees to the terms of service.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn register(
        server: &Server,
        key: PrivateKey,
        registration: &Registration,
    ) -> Result<Registered, AcmeError> {
        let key = Arc::new(AccountKey::new(key));
        let url = server.directory().await?.new_account.clone();
        let mut payload = json!({ "termsOfServiceAgreed": true });
        if !registration.contact.is_empty() {
            payload["contact"] = mailto(&registration.contact);
        }
        if let Some(external) = &registration.external_account {
            payload["externalAccountBinding"] = key.bind(external, &url);
        }
        let reply =
            server.post(Operation::NewAccount, &key, &KeyName::Jwk, &url, &payload.to_string()).await?;
        Registered::read(server, key, &reply)
    }

    /// Looks up the account of `key` without creating one (RFC 8555 section 7.3.1). `None` if there is none.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn look_up(server: &Server, key: PrivateKey) -> Result<Option<Registered>, AcmeError> {
        Self::of_key(server, Arc::new(AccountKey::new(key))).await
    }

    async fn of_key(server: &Server, key: Arc<AccountKey>) -> Result<Option<Registered>, AcmeError> {
        let url = server.directory().await?.new_account.clone();
        let payload = json!({ "onlyReturnExisting": true }).to_string();
        match server.post(Operation::LookUpAccount, &key, &KeyName::Jwk, &url, &payload).await {
            Ok(reply) => Registered::read(server, key, &reply).map(Some),
            Err(error) if error.code() == "accountDoesNotExist" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An account whose URL is known. Sends nothing.
    pub fn resume(server: &Server, key: PrivateKey, url: impl Into<String>) -> Self {
        Self::new(server, Arc::new(AccountKey::new(key)), url.into())
    }

    /// The same account through another `server`, with different trust settings. It shares the limiter and the key.
    #[must_use]
    pub fn through(&self, server: &Server) -> Self {
        Self { server: server.clone(), ..self.clone() }
    }

    /// The account's URL, which identifies it in every request.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The account's server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The limiter of the account's requests.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The key's thumbprint (RFC 7638 with SHA-256, in base64url).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    /// The key authorization for a challenge's token (RFC 8555 section 8.1).
    #[must_use]
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// Whether the CA has asked for a pause that is not over.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.limiter.paused_until(self.server.clock()()).is_some()
    }

    /// Asks the CA for the time, unless the account is paused. See [`Server::ahead`].
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn ask_time(&self) -> Result<(), AcmeError> {
        let clock = self.server.clock();
        let _place = self.limiter.enter(clock).await?;
        self.server.ask_time().await.inspect_err(|error| self.limiter.heed(error, clock()))
    }

    /// Reads the account (RFC 8555 section 7.1.2).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn state(&self) -> Result<AccountState, AcmeError> {
        self.read(Operation::Account, &self.url).await?.json()
    }

    /// Replaces the contact addresses and nothing else (RFC 8555 section 7.3.2).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn update_contact(&self, contact: &[String]) -> Result<AccountState, AcmeError> {
        self.post(Operation::UpdateAccount, &self.url, &json!({ "contact": mailto(contact) })).await?.json()
    }

    /// Deactivates the account permanently (RFC 8555 section 7.3.6). It is not an error if the account is already deactivated.
    ///
    /// # Errors
    /// [`AcmeError`], also if the CA reports success but the account is still valid.
    pub async fn deactivate(&self) -> Result<(), AcmeError> {
        let payload = json!({ "status": AccountStatus::Deactivated.as_str() });
        let answer = self.post(Operation::DeactivateAccount, &self.url, &payload).await;
        let answered = match answer {
            Ok(reply) if reply.json().is_ok_and(|state: AccountState| state.has_ended()) => return Ok(()),
            Ok(reply) => reply,
            Err(refusal) => return self.refused_since_it_has_ended(refusal).await,
        };
        // An answer that does not confirm it proves nothing. A deactivated account is unauthorized to do anything.
        match self.state().await {
            Ok(state) if state.has_ended() => Ok(()),
            Ok(state) => Err(answered.malformed(&format!("the account is still {}", state.status))),
            Err(error) if error.code() == "unauthorized" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A rejection alone proves nothing, because the account may have another key. Look up the account of our key.
    async fn refused_since_it_has_ended(&self, refusal: AcmeError) -> Result<(), AcmeError> {
        if refusal.code() != "unauthorized" {
            return Err(refusal);
        }
        match Self::of_key(&self.server, self.key.certain()?).await {
            Ok(Some(registered)) if registered.state.has_ended() => Ok(()),
            Err(error) if error.code() == "unauthorized" => Ok(()),
            _ => Err(refusal),
        }
    }

    /// What the CA's directory says about the CA (RFC 8555 section 9.7.6).
    ///
    /// # Errors
    /// [`AcmeError`], if the directory had to be fetched and could not be.
    pub async fn meta(&self) -> Result<Meta, AcmeError> {
        Ok(self.directory().await?.meta.clone())
    }

    /// Places an order (RFC 8555 section 7.4). The answer always has a location: the order's URL. A CA without renewal information
    /// is not told what the order replaces (RFC 9773 section 5).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn new_order(&self, order: &NewOrder) -> Result<AcmeResponse<Order>, AcmeError> {
        let directory = self.directory().await?;
        let replaces = order.replaces.clone().filter(|_| directory.renewal_info.is_some());
        let order = NewOrder { replaces, ..order.clone() };
        let reply = self.post(Operation::NewOrder, &directory.new_order, &json!(order)).await?;
        reply.required_location()?;
        reply.bounded()
    }

    /// Reads an order.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn order(&self, url: &str) -> Result<AcmeResponse<Order>, AcmeError> {
        self.read(Operation::Order, url).await?.bounded()
    }

    /// Requests an authorization for a DNS name outside of any order (RFC 8555 section 7.4.1), if the CA offers that: `None` if
    /// it does not. With `subdomains`, for its subdomains as well, if the CA knows such authorizations (RFC 9444 section 4.2). The
    /// answer always has a location: the authorization's URL.
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn new_authorization(
        &self,
        name: &str,
        subdomains: bool,
    ) -> Result<Option<AcmeResponse<Authorization>>, AcmeError> {
        let directory = self.directory().await?;
        let Some(url) = &directory.new_authz else { return Ok(None) };
        let mut identifier = json!(Identifier::dns(name));
        if subdomains && directory.meta.subdomain_auth_allowed {
            identifier["subdomainAuthAllowed"] = json!(true);
        }
        let payload = json!({ "identifier": identifier });
        let reply = self.post(Operation::NewAuthorization, url, &payload).await?;
        reply.required_location()?;
        reply.bounded().map(Some)
    }

    /// Reads an authorization (RFC 8555 section 7.5).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn authorization(&self, url: &str) -> Result<AcmeResponse<Authorization>, AcmeError> {
        self.read(Operation::Authorization, url).await?.bounded()
    }

    /// Tells the CA that the proof for a challenge is in place (RFC 8555 section 7.5.1).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn answer(&self, challenge_url: &str) -> Result<AcmeResponse<Challenge>, AcmeError> {
        self.post(Operation::Challenge, challenge_url, &json!({})).await?.answer()
    }

    /// Deactivates an authorization, so that it does not count against a rate limit (RFC 8555 section 7.5.2).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn deactivate_authorization(
        &self,
        url: &str,
    ) -> Result<AcmeResponse<Authorization>, AcmeError> {
        let payload = json!({ "status": "deactivated" });
        self.post(Operation::DeactivateAuthorization, url, &payload).await?.answer()
    }

    /// Sends the certificate signing request of an order that is ready (RFC 8555 section 7.4).
    ///
    /// # Errors
    /// [`AcmeError`]
    pub async fn finalize(
        &self,
        finalize_url: &str,
        csr_der: &[u8],
    ) -> Result<AcmeResponse<Order>, AcmeError> {
        self.post(Operation::Finalize, finalize_url, &json!({ "csr": encode(csr_der) })).await?.bounded()
    }

    /// Downloads a chain (RFC 8555 section 7.4.2): the order's, or one of its alternates.
    ///
    /// # Errors
    /// [`AcmeError`]; an answer without a PEM certificate is [`AcmeError::Malformed`].
    pub async fn certificate(&self, url: &str) -> Result<AcmeResponse<DownloadedChain>, AcmeError> {
        self.read(Operation::Certificate, url).await?.chain()
    }

    fn new(server: &Server, key: Arc<AccountKey>, url: String) -> Self {
        let name = KeyName::Kid(url.clone());
        Self { server: server.clone(), key: SharedKey::new(key), name, url, limiter: Limiter::default() }
    }

    /// The server's directory. A rate limit on it also pauses the account.
    pub(super) async fn directory(&self) -> Result<Arc<Directory>, AcmeError> {
        let clock = self.server.clock();
        self.limiter.refuse_while_paused(clock())?;
        self.server.directory().await.inspect_err(|error| self.limiter.heed(error, clock()))
    }

    async fn read(&self, operation: Operation, url: &str) -> Result<Reply, AcmeError> {
        self.send(operation, url, "").await
    }

    pub(super) async fn post(
        &self,
        operation: Operation,
        url: &str,
        payload: &Value,
    ) -> Result<Reply, AcmeError> {
        self.send(operation, url, &payload.to_string()).await
    }

    async fn send(&self, operation: Operation, url: &str, payload: &str) -> Result<Reply, AcmeError> {
        let clock = self.server.clock();
        let _place = self.limiter.enter(clock).await?;
        let key = self.key.certain()?;
        let outcome = self.server.post(operation, &key, &self.name, url, payload).await;
        outcome.inspect_err(|error| self.limiter.heed(error, clock()))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.url).finish()
    }
}

/// The data for a new account (RFC 8555 section 7.3).
#[derive(Debug, Default)]
pub struct Registration {
    /// Email addresses; `mailto:` is prepended.
    pub contact: Vec<String>,
    /// The credential that binds the account to a customer, if the CA requires one.
    pub external_account: Option<ExternalAccountKey>,
}

/// An account that the CA has just confirmed.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The account.
    pub account: Account,
    /// What the CA knows about it.
    pub state: AccountState,
    /// Whether it was created (201) and did not exist before (200).
    pub created: bool,
}

impl Registered {
    fn read(server: &Server, key: Arc<AccountKey>, reply: &Reply) -> Result<Self, AcmeError> {
        Ok(Self {
            account: Account::new(server, key, reply.required_location()?),
            state: reply.json()?,
            created: reply.status == http::StatusCode::CREATED,
        })
    }
}

fn mailto(contact: &[String]) -> Value {
    contact
        .iter()
        .map(
            |address| {
                if address.starts_with("mailto:") { address.clone() } else { format!("mailto:{address}") }
            },
        )
        .collect()
}

//! A DNS provider that records requests, and does what a test's script says.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    ADDRESS, Cluster, NameServer, TestNamespace,
    api_service::ApiService,
    http_server::{self, Body, full},
    ports,
    provider_protocol::{AcmeDnsAccount, Change, Protocol},
};

type Script = Arc<dyn Fn(&ProviderRequest) -> Reply + Send + Sync>;

/// A DNS provider in the test process. Unless its script says otherwise, every request succeeds: it changes the name server given
/// to [`ScriptedProvider::publish_to`], or only reports success if there is none. It is stopped when this is dropped.
pub struct ScriptedProvider {
    /// `http://ip:port` or `https://ip:port`
    pub url: String,
    state: Arc<State>,
    api: Option<ApiService>,
    _tasks: JoinSet<()>,
}

/// A request that it received.
#[derive(Clone, Debug)]
pub struct ProviderRequest {
    /// How many requests came before this one, since the start or [`ScriptedProvider::forget`].
    pub index: usize,
    /// Path with query.
    pub path: String,
    pub headers: HeaderMap,
    /// `null` if it was not JSON.
    pub body: Value,
    /// Whether it asks for the removal of a record.
    pub is_cleanup: bool,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Do it, and report success.
    Fulfill,
    /// Report success, but do nothing.
    Lie,
    /// Report a failure with this message, in the form of the protocol.
    Fail(String),
    /// Send this answer.
    Respond { status: u16, content_type: &'static str, body: String },
    /// Do it, and close the connection: the answer is lost.
    FulfillThenDrop,
    /// Close the connection.
    Drop,
    /// Never answer.
    Hang,
}

struct State {
    protocol: Protocol,
    name_server: Mutex<Option<NameServer>>,
    /// The values that acme-dns has published, oldest first.
    rolled: tokio::sync::Mutex<BTreeMap<String, VecDeque<String>>>,
    script: Mutex<Option<Script>>,
    requests: watch::Sender<Vec<ProviderRequest>>,
}

impl ScriptedProvider {
    /// A provider with the protocol of lego's `httpreq`, over plain HTTP.
    pub async fn http() -> Result<Self> {
        Self::serve(Protocol::HttpRequest, None, ports::listen(ADDRESS)?)
    }

    /// The same over TLS, with a certificate of the test CA ([`Cluster::ca`]).
    pub async fn https(cluster: &Cluster) -> Result<Self> {
        Self::serve(Protocol::HttpRequest, Some((cluster, &[ADDRESS])), ports::listen(ADDRESS)?)
    }

    /// A provider behind the API server, with one solver in this API group. A cluster can have only one of these.
    pub async fn webhook(namespace: &TestNamespace, group: &str, solver: &str) -> Result<Self> {
        let listener = ports::listen(ADDRESS)?;
        let port = listener.local_addr()?.port();
        let protocol = Protocol::Webhook { group: group.into(), solver: solver.into() };
        let host = ApiService::host(namespace, group);
        let tls = Some((&namespace.cluster, &[host.as_str()][..]));
        let mut provider = Self::serve(protocol, tls, listener)?;
        provider.api = Some(ApiService::register(namespace, group, port).await?);
        Ok(provider)
    }

    /// An acme-dns server that publishes at this name server, below this name of its zone. It has one account:
    /// [`ScriptedProvider::account`].
    pub async fn acme_dns(cluster: &Cluster, name_server: &NameServer, zone: &str) -> Result<Self> {
        let subdomain = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf".to_owned();
        let account = AcmeDnsAccount {
            username: "c36f50e8-4632-44f0-83fe-e070fef28a10".into(),
            password: "htB9mR9DYgcu9bX_afHF62erXaH2TS7bg9KW3F7Z".into(),
            full_domain: format!("{subdomain}.{zone}"),
            subdomain,
        };
        let tls = Some((cluster, &[ADDRESS][..]));
        let provider = Self::serve(Protocol::AcmeDns(account), tls, ports::listen(ADDRESS)?)?;
        Ok(provider.publish_to(name_server))
    }

    /// Adds and removes records at this name server, as requests ask.
    pub fn publish_to(self, name_server: &NameServer) -> Self {
        *lock(&self.state.name_server) = Some(name_server.clone());
        self
    }

    /// For a webhook: grants the operator the one permission that it needs, to call the group's solvers.
    pub async fn allow_operator(&self, namespace: &TestNamespace) -> Result<()> {
        self.api.as_ref().context("this provider is no webhook")?.allow_operator(namespace).await
    }

    /// For acme-dns: the account.
    pub fn account(&self) -> Option<&AcmeDnsAccount> {
        match &self.state.protocol {
            Protocol::AcmeDns(account) => Some(account),
            _ => None,
        }
    }

    /// From now on, calls `script` to decide what happens to each request.
    pub fn script(&self, script: impl Fn(&ProviderRequest) -> Reply + Send + Sync + 'static) {
        *lock(&self.state.script) = Some(Arc::new(script));
    }

    /// From now on, all requests succeed.
    pub fn fulfill(&self) {
        *lock(&self.state.script) = None;
    }

    /// All requests so far, except those of the API server itself.
    pub fn requests(&self) -> Vec<ProviderRequest> {
        self.state.requests.borrow().clone()
    }

    /// Forgets the requests so far, and starts the index at 0 again.
    pub fn forget(&self) {
        self.state.requests.send_modify(Vec::clear);
    }

    /// Waits for a request that `wanted` accepts, and returns it. Earlier requests count, too. It may not be answered yet.
    pub async fn wait_request(
        &self,
        timeout: Duration,
        wanted: impl Fn(&ProviderRequest) -> bool,
    ) -> Result<ProviderRequest> {
        let mut requests = self.state.requests.subscribe();
        let found = |requests: &Vec<ProviderRequest>| requests.iter().find(|one| wanted(one)).cloned();
        match tokio::time::timeout(timeout, requests.wait_for(|all| found(all).is_some())).await {
            Ok(requests) => found(&*requests?).context("the request was forgotten"),
            Err(_) => bail!("no such request after {timeout:?}; there were {:#?}", self.requests()),
        }
    }

    fn serve(protocol: Protocol, tls: Option<(&Cluster, &[&str])>, listener: TcpListener) -> Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let tls = tls.map(|(cluster, names)| http_server::tls(cluster, names)).transpose()?;
        let state = Arc::new(State {
            protocol,
            name_server: Mutex::default(),
            rolled: Default::default(),
            script: Mutex::default(),
            requests: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        let handler = state.clone();
        tasks.spawn(http_server::serve(listener, tls, move |request| handler.clone().handle(request)));
        Ok(Self { url, state, api: None, _tasks: tasks })
    }
}

impl ProviderRequest {
    /// The credentials in the request.
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
    }
}

impl State {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if parts.method != Method::POST {
            return match self.protocol.discover(&path) {
                Some(found) => answer(200, "application/json", found.to_string()),
                None => answer(404, "text/plain", String::new()),
            };
        }
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let change = self.protocol.change(&path, &parts.headers, &body);
        let is_cleanup = matches!(change, Ok(Change::CleanUp { .. }));
        let mut request = ProviderRequest { index: 0, path, headers: parts.headers, body, is_cleanup };
        self.requests.send_modify(|requests| {
            request.index = requests.len();
            requests.push(request.clone());
        });
        let script = lock(&self.script).clone();
        let reply = script.map_or(Reply::Fulfill, |script| script(&request));
        self.reply(&request, change, reply).await
    }

    async fn reply(
        &self,
        request: &ProviderRequest,
        change: Result<Change, (u16, Value)>,
        reply: Reply,
    ) -> Result<Response<Body>> {
        let (status, value) = match reply {
            Reply::Fulfill => self.fulfill(request, change).await,
            Reply::Lie => self.protocol.success(&request.body),
            Reply::Fail(message) => self.protocol.failure(&request.body, &message),
            Reply::Respond { status, content_type, body } => return answer(status, content_type, body),
            Reply::FulfillThenDrop => {
                self.fulfill(request, change).await;
                bail!("dropped on demand")
            }
            Reply::Drop => bail!("dropped on demand"),
            Reply::Hang => pending().await,
        };
        answer(status, "application/json", value.to_string())
    }

    async fn fulfill(&self, request: &ProviderRequest, change: Result<Change, (u16, Value)>) -> (u16, Value) {
        let change = match change {
            Ok(change) => change,
            Err(refusal) => return refusal,
        };
        let name_server = lock(&self.name_server).clone();
        let result = match name_server {
            Some(name_server) => self.publish(&name_server, change).await,
            None => Ok(()),
        };
        match result {
            Ok(()) => self.protocol.success(&request.body),
            Err(error) => self.protocol.failure(&request.body, &format!("{error:#}")),
        }
    }

    async fn publish(&self, name_server: &NameServer, change: Change) -> Result<()> {
        match change {
            Change::Present { name, value } => name_server.add_txt(&name, &value).await,
            Change::CleanUp { name, value } => name_server.remove_txt(&name, &value).await,
            Change::Roll { name, value } => {
                let mut rolled = self.rolled.lock().await;
                let values = rolled.entry(name.clone()).or_default();
                if values.len() == 2
                    && let Some(oldest) = values.pop_front()
                {
                    name_server.remove_txt(&name, &oldest).await?;
                }
                values.push_back(value.clone());
                name_server.add_txt(&name, &value).await
            }
        }
    }
}

fn answer(status: u16, content_type: &str, body: String) -> Result<Response<Body>> {
    Ok(Response::builder()
        .status(StatusCode::from_u16(status)?)
        .header(header::CONTENT_TYPE, content_type)
        .body(full(body.into()))?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

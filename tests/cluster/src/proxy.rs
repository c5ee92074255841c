//! A proxy that records all requests, and misbehaves on demand.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    ADDRESS, Cluster,
    http_server::{self, Body, Handshakes, full},
    ports,
    router::end_to_end,
};

type Script = Arc<dyn Fn(&RequestInfo) -> Action + Send + Sync>;

/// A reverse proxy in front of an ACME server, of the API server or of another one. It is stopped when this is dropped.
pub struct Proxy {
    /// `https://ip:port`, or with `http`
    pub url: String,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

/// A request as a script sees it.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// How many requests came before this one, since the proxy started or [`Proxy::forget`] was called.
    pub index: usize,
    pub method: Method,
    /// Path with query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What happens to a request.
pub enum Action {
    /// Forward it, and the answer back.
    Pass,
    /// Answer with this, and do not forward.
    Respond { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Close the connection, and do not forward.
    Drop,
    /// The same, and fail all TLS handshakes until the script is replaced or removed.
    FailHandshakes,
    /// Forward it, then close the connection: the answer is lost.
    PassThenDrop,
    /// Forward it, and call this after the whole answer has arrived and before it is passed on.
    PassThen(Box<dyn FnOnce() + Send>),
    /// Forward it, call this after the whole answer has arrived, and never answer.
    PassThenHang(Box<dyn FnOnce() + Send>),
    /// Never answer, and do not forward.
    Hang,
    /// Forward it, send half of the answer's body and close the connection.
    CutBody,
    /// Forward it, and answer with another body.
    ReplaceBody(Box<dyn FnOnce(Bytes) -> Bytes + Send>),
    /// Forward it, and answer with these headers as well.
    AddHeaders(Vec<(&'static str, String)>),
    /// Forward it after this long.
    Delay(Duration),
    /// Forward it, and delay each part of the answer by this time: a watch is late.
    Late(Duration),
    /// Forward it, and close the connection after this time: a watch breaks.
    BreakAfter(Duration),
}

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Record {
    pub method: Method,
    /// Path with query.
    pub path: String,
    /// The status of the answer, once there is one.
    pub status: Option<StatusCode>,
    pub at: Instant,
}

struct State {
    upstream: String,
    http: reqwest::Client,
    script: Mutex<Option<Script>>,
    records: watch::Sender<Vec<Record>>,
    handshakes: Arc<Handshakes>,
    /// How often connections were cut.
    cuts: watch::Sender<usize>,
}

impl Proxy {
    /// Starts one with a certificate of the test CA in front of `https://<upstream>`, given as `ip:port`.
    pub async fn start(cluster: &Cluster, upstream: &str) -> Result<Self> {
        Self::in_front_of(cluster, "https", upstream)
    }

    /// Starts one without TLS in front of `http://<upstream>`, given as `ip:port`.
    pub async fn without_tls(cluster: &Cluster, upstream: &str) -> Result<Self> {
        Self::in_front_of(cluster, "http", upstream)
    }

    fn in_front_of(cluster: &Cluster, scheme: &str, upstream: &str) -> Result<Self> {
        let listener = ports::listen(ADDRESS)?;
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let handshakes = Handshakes::new(cluster, &[ADDRESS, "localhost"])?;
        let tls = (scheme == "https").then(|| handshakes.clone().acceptor());
        let state = Arc::new(State {
            upstream: format!("{scheme}://{upstream}"),
            // Requests are forwarded over HTTP/1.1, which alone carries the client's Host header to the other side.
            http: reqwest::Client::builder()
                .no_proxy()
                .http1_only()
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(true)
                .build()?,
            script: Mutex::default(),
            records: watch::Sender::default(),
            handshakes,
            cuts: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        let handler = state.clone();
        tasks.spawn(http_server::serve(listener, tls, move |request| handle(handler.clone(), request)));
        Ok(Self { url, state, _tasks: tasks })
    }

    /// One in front of the API server.
    pub async fn of_api_server(cluster: &Cluster) -> Result<Self> {
        Self::start(cluster, cluster.description.api_server.trim_start_matches("https://")).await
    }

    /// From now on, calls `script` to decide what happens to each request.
    pub fn script(&self, script: impl Fn(&RequestInfo) -> Action + Send + Sync + 'static) {
        *lock(&self.state.script) = Some(Arc::new(script));
        self.state.handshakes.fail(false);
    }

    /// Forwards everything from now on.
    pub fn pass(&self) {
        *lock(&self.state.script) = None;
        self.state.handshakes.fail(false);
    }

    /// Fails all TLS handshakes until the script is replaced or removed.
    pub fn fail_handshakes(&self) {
        self.state.handshakes.fail(true);
    }

    /// The upstream server is gone until the script is replaced or removed: handshakes fail, and connections are closed.
    pub fn go_away(&self) {
        self.state.handshakes.fail(true);
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// When TLS handshakes failed on demand.
    pub fn failed_handshakes(&self) -> Vec<Instant> {
        self.state.handshakes.failed()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Record> {
        self.state.records.borrow().clone()
    }

    /// Forgets the requests so far, and starts the index at 0 again.
    pub fn forget(&self) {
        self.state.records.send_modify(Vec::clear);
    }

    /// The number of requests that change nothing: GET, HEAD, OPTIONS.
    pub fn reads(&self) -> usize {
        self.state.records.borrow().iter().filter(|record| record.method.is_safe()).count()
    }

    /// The number of all other requests.
    pub fn writes(&self) -> usize {
        self.state.records.borrow().iter().filter(|record| !record.method.is_safe()).count()
    }

    /// Waits for an answered request that `wanted` accepts, and returns it. Earlier requests count, too.
    pub async fn wait_request(&self, timeout: Duration, wanted: impl Fn(&Record) -> bool) -> Result<Record> {
        let mut records = self.state.records.subscribe();
        let found = |records: &Vec<Record>| {
            records.iter().find(|record| record.status.is_some() && wanted(record)).cloned()
        };
        match tokio::time::timeout(timeout, records.wait_for(|records| found(records).is_some())).await {
            Ok(records) => found(&*records?).context("the request was forgotten"),
            Err(_) => bail!("no such request after {timeout:?}; there were {:#?}", self.requests()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// After an error, the connection is closed without an answer.
async fn handle(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut index = 0;
    state.records.send_modify(|records| {
        index = records.len();
        let (method, path) = (parts.method.clone(), path.clone());
        records.push(Record { method, path, status: None, at: Instant::now() });
    });
    let request = RequestInfo { index, method: parts.method, path, headers: parts.headers, body };

    let script = lock(&state.script).clone();
    let action = script.map_or(Action::Pass, |script| script(&request));
    let response = state.act(&request, action).await;
    let status = match &response {
        Ok(response) => response.status(),
        // Some proxies log a request like this if the client got no answer.
        Err(_) => StatusCode::from_u16(499)?,
    };
    state.records.send_modify(|records| {
        if let Some(record) = records.get_mut(index).filter(|record| record.path == request.path) {
            record.status = Some(status);
        }
    });
    response
}

impl State {
    async fn act(&self, request: &RequestInfo, action: Action) -> Result<Response<Body>> {
        match action {
            // While handshakes fail, earlier connections cannot be used either.
            _ if self.handshakes.are_failing() => bail!("dropped on demand"),
            Action::Pass => self.pass(request).await,
            Action::Delay(time) => {
                tokio::time::sleep(time).await;
                self.pass(request).await
            }
            Action::Late(late) => Ok(self.pass(request).await?.map(|body| {
                let frames = BodyStream::new(body).map(move |frame| {
                    let at = Instant::now() + late;
                    async move {
                        tokio::time::sleep_until(at.into()).await;
                        frame
                    }
                });
                BodyExt::boxed(StreamBody::new(frames.buffered(4096)))
            })),
            Action::BreakAfter(time) => Ok(self.pass(request).await?.map(|body| {
                let end = stream::once(async move {
                    tokio::time::sleep(time).await;
                    Err(anyhow::anyhow!("broken on demand"))
                });
                BodyExt::boxed(StreamBody::new(stream::select(BodyStream::new(body), Box::pin(end))))
            })),
            Action::Hang => pending().await,
            Action::Drop => bail!("dropped on demand"),
            Action::FailHandshakes => {
                self.handshakes.fail(true);
                bail!("dropped on demand")
            }
            Action::PassThenDrop => {
                self.pass_whole(request).await?;
                bail!("dropped on demand")
            }
            Action::PassThen(callback) => {
                let (parts, body) = self.pass_whole(request).await?;
                tokio::task::spawn_blocking(callback).await?;
                Ok(Response::from_parts(parts, full(body)))
            }
            Action::PassThenHang(callback) => {
                self.pass_whole(request).await?;
                callback();
                pending().await
            }
            Action::ReplaceBody(replace) => {
                let (parts, body) = self.pass_whole(request).await?;
                Ok(Response::from_parts(parts, full(replace(body))))
            }
            Action::AddHeaders(headers) => {
                let (mut parts, body) = self.pass_whole(request).await?;
                for (name, value) in headers {
                    parts.headers.append(HeaderName::from_static(name), value.parse()?);
                }
                Ok(Response::from_parts(parts, full(body)))
            }
            Action::CutBody => {
                let (mut parts, body) = self.pass_whole(request).await?;
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
                let half = body.slice(..body.len() / 2);
                let first = stream::once(async { Ok(Frame::data(half)) });
                // An immediate error would drop data that has not been sent yet.
                let cut = stream::once(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(anyhow::anyhow!("cut on demand"))
                });
                Ok(Response::from_parts(parts, BodyExt::boxed(StreamBody::new(first.chain(cut)))))
            }
            Action::Respond { status, headers, body } => {
                let mut response = Response::new(full(body.into()));
                *response.status_mut() = StatusCode::from_u16(status)?;
                for (name, value) in headers {
                    response.headers_mut().insert(HeaderName::from_static(name), value.parse()?);
                }
                Ok(response)
            }
        }
    }

    /// Forwards a request, and streams the answer: a watch never ends.
    async fn pass(&self, request: &RequestInfo) -> Result<Response<Body>> {
        let response = self.send(request).await?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            *headers = end_to_end(response.headers());
        }
        let frames = response.bytes_stream().map_ok(Frame::data).map_err(anyhow::Error::from);
        let cuts = self.cuts.subscribe();
        let frames = stream::unfold((Box::pin(frames), cuts), |(mut frames, mut cuts)| async move {
            let frame = tokio::select! {
                frame = frames.next() => frame?,
                _ = cuts.changed() => Err(anyhow::anyhow!("cut on demand")),
            };
            Some((frame, (frames, cuts)))
        });
        Ok(answer.body(BodyExt::boxed(StreamBody::new(frames)))?)
    }

    /// Forwards a request and waits for the whole answer.
    async fn pass_whole(&self, request: &RequestInfo) -> Result<(http::response::Parts, Bytes)> {
        let (parts, body) = self.pass(request).await?.into_parts();
        Ok((parts, body.collect().await?.to_bytes()))
    }

    async fn send(&self, request: &RequestInfo) -> Result<reqwest::Response> {
        let url = format!("{}{}", self.upstream, request.path);
        let sending = self
            .http
            .request(request.method.clone(), url)
            .headers(end_to_end(&request.headers))
            .body(request.body.clone());
        Ok(sending.send().await?)
    }
}

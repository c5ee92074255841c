use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::{Account, Server, ServerConfig};
use certwright_egress::Egress;
use certwright_pki::{KeyAlgorithm, PrivateKey};

/// A CA that requires of a request what RFC 8555 section 6 requires: the right content type, an unused nonce that it issued,
/// and the URL in the header. The test determines its answers.
pub(super) struct FakeCa {
    http: MockServer,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    nonces: HashSet<String>,
    nonces_made: u64,
    requests: Vec<Jws>,
    refused_nonces: usize,
    refuse_nonce: Option<fn(usize) -> bool>,
}

/// A decoded request.
#[derive(Clone, Debug)]
pub(super) struct Jws {
    pub(super) header: Value,
    /// As text: empty for a POST-as-GET.
    pub(super) payload: String,
    pub(super) signed: String,
    pub(super) signature: Vec<u8>,
    pub(super) headers: http::HeaderMap,
}

impl Jws {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap()
    }
}

impl FakeCa {
    pub(super) async fn start() -> Self {
        Self::start_with(|_, _| ()).await
    }

    /// Starts a CA with a changed directory. `change` gets the URL of the CA.
    pub(super) async fn start_with(change: impl FnOnce(&mut Value, &str)) -> Self {
        let ca = Self { http: MockServer::start().await, state: Arc::default() };
        let base = ca.http.uri();
        let mut directory = json!({
            "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"),
            "newOrder": format!("{base}/order"), "meta": { "termsOfService": "https://ca.example/tos" },
        });
        change(&mut directory, &base);
        Mock::given(method("GET"))
            .and(path("/directory"))
            .respond_with(ResponseTemplate::new(200).set_body_json(directory))
            .with_priority(9)
            .mount(&ca.http)
            .await;
        let state = ca.state.clone();
        Mock::given(method("HEAD"))
            .and(path("/nonce"))
            .respond_with(move |_: &Request| state.lock().unwrap().with_nonce(ResponseTemplate::new(200)))
            .with_priority(9)
            .mount(&ca.http)
            .await;
        ca
    }

    /// Answers every POST to `at`.
    pub(super) async fn on(
        &self,
        at: &str,
        answer: impl Fn(&Jws) -> ResponseTemplate + Send + Sync + 'static,
    ) -> &Self {
        let state = self.state.clone();
        let respond = move |request: &Request| {
            let mut state = state.lock().unwrap();
            let response = match state.accept(request) {
                Ok(jws) => answer(&jws),
                Err(problem) => *problem,
            };
            state.with_nonce(response)
        };
        Mock::given(method("POST")).and(path(at)).respond_with(respond).mount(&self.http).await;
        self
    }

    /// Rejects the nonce of the nth request if `refuse` returns true.
    pub(super) fn refuse_nonces(&self, refuse: fn(usize) -> bool) {
        self.state.lock().unwrap().refuse_nonce = Some(refuse);
    }

    pub(super) fn http(&self) -> &MockServer {
        &self.http
    }

    pub(super) fn url(&self, at: &str) -> String {
        format!("{}{at}", self.http.uri())
    }

    /// The requests whose nonce was accepted.
    pub(super) fn requests(&self) -> Vec<Jws> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(super) fn refused_nonces(&self) -> usize {
        self.state.lock().unwrap().refused_nonces
    }

    /// The number of requests with this method, with any result.
    pub(super) async fn count(&self, method: &str) -> usize {
        let requests = self.http.received_requests().await.unwrap();
        requests.iter().filter(|request| request.method.as_str() == method).count()
    }

    pub(super) fn config(&self) -> ServerConfig {
        config(self.url("/directory"))
    }

    pub(super) fn server(&self) -> Server {
        Server::new(self.config()).unwrap()
    }

    pub(super) fn account(&self) -> Account {
        Account::resume(&self.server(), key(), self.url("/account/1"))
    }
}

impl State {
    fn accept(&mut self, request: &Request) -> Result<Jws, Box<ResponseTemplate>> {
        assert_eq!(request.headers["content-type"], "application/jose+json");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let part = |name: &str| body[name].as_str().unwrap().to_owned();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let header: Value = serde_json::from_slice(&decode(&part("protected"))).unwrap();
        let host = request.headers["host"].to_str().unwrap();
        assert_eq!(header["url"], format!("http://{host}{}", request.url.path()));
        let known = self.nonces.remove(header["nonce"].as_str().unwrap());
        let tried = self.requests.len() + self.refused_nonces;
        if !known || self.refuse_nonce.is_some_and(|refuse| refuse(tried)) {
            self.refused_nonces += 1;
            let detail = format!("bad nonce {}", header["nonce"]);
            return Err(Box::new(problem(400, "urn:ietf:params:acme:error:badNonce", &detail)));
        }
        let jws = Jws {
            payload: String::from_utf8(decode(&part("payload"))).unwrap(),
            signed: format!("{}.{}", part("protected"), part("payload")),
            signature: decode(&part("signature")),
            headers: request.headers.clone(),
            header,
        };
        self.requests.push(jws.clone());
        Ok(jws)
    }

    fn with_nonce(&mut self, response: ResponseTemplate) -> ResponseTemplate {
        self.nonces_made += 1;
        let nonce = format!("nonce-{}", self.nonces_made);
        self.nonces.insert(nonce.clone());
        response.insert_header("replay-nonce", nonce.as_str())
    }
}

pub(super) fn problem(status: u16, typ: &str, detail: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_raw(json!({ "type": typ, "detail": detail }).to_string(), "application/problem+json")
}

pub(super) fn order_json() -> Value {
    json!({ "status": "pending", "finalize": "https://ca.example/finalize/1" })
}

pub(super) fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap()
}

/// How to reach a server on loopback.
pub(super) fn config(url: impl Into<String>) -> ServerConfig {
    ServerConfig { egress: Egress::unrestricted(), ..ServerConfig::new(url, epoch) }
}

pub(super) fn epoch() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// Sends `answer` verbatim to every client, and closes the connection. Returns the URL of its directory.
pub(super) fn raw_server(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/directory", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    url
}

//! `instant-acme` as the second client. Its requests go over the connections of our own client, with the same limits.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use instant_acme::{Account, BodyWrapper, BytesResponse, Error, HttpClient, Key, NewOrder};
use parking_lot::Mutex;

use certwright_acme::{Operation, Server};
use certwright_pki::PrivateKey;
use certwright_text::clean;

/// The name of the second client in findings.
pub(super) const NAME: &str = "instant-acme";
/// The maximum length of a quotation of what a CA sent.
pub(super) const MOST: usize = 300;

const ACME: &str = "urn:ietf:params:acme:error:";
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// What the second client makes of a directory.
pub(super) struct Reading {
    /// The answer that it got.
    pub(super) answer: Vec<u8>,
    pub(super) new_nonce: Option<String>,
    pub(super) new_account: Option<String>,
    pub(super) new_order: Option<String>,
    pub(super) profiles: BTreeMap<String, String>,
}

/// Lets the second client fetch the directory. It has no function that returns the URLs, so it also begins to place an order
/// and to look up an account, with a key generated for this purpose. The URLs of these requests are recorded, but the requests
/// are not sent.
pub(super) async fn read_directory(server: &Server) -> Result<Reading, String> {
    rehearse(server).await.map_err(|error| why(&error))
}

async fn rehearse(server: &Server) -> Result<Reading, Error> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let builder = || {
        let connections = Connections { server: server.clone(), rehearsal: Some(seen.clone()) };
        Account::builder_with_http(Box::new(connections))
    };
    let (key, der) = Key::generate_pkcs8()?;
    let (url, nobody) = (directory_url(server)?, "https://account.invalid/".to_owned());
    let account = builder().from_parts(nobody, der.clone_key(), url.clone()).await?;
    // Both fail because they are not sent.
    account.new_order(&NewOrder::new(&[])).await.err();
    let new_order = seen.lock().post.take();
    builder().from_key((key, der.into()), url).await.err();
    let new_account = seen.lock().post.take();
    let Seen { directory, head, .. } = std::mem::take(&mut *seen.lock());
    Ok(Reading {
        answer: directory.unwrap_or_default(),
        new_nonce: head,
        new_account,
        new_order,
        profiles: account.profiles().map(|it| (it.name.to_owned(), it.description.to_owned())).collect(),
    })
}

/// Lets the second client look up the account of a key: its URL, or nothing if the CA has none.
pub(super) async fn look_up(server: &Server, key: &PrivateKey) -> Result<Option<String>, String> {
    let der = key.pkcs8_der().map_err(|error| error.to_string())?.to_vec();
    match found(server, der).await {
        Ok(account) => Ok(Some(account.id().to_owned())),
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => Ok(None),
        Err(error) => Err(why(&error)),
    }
}

async fn found(server: &Server, der: Vec<u8>) -> Result<Account, Error> {
    let key = Key::from_pkcs8_der(der.as_slice().into())?;
    let connections = Connections { server: server.clone(), rehearsal: None };
    let builder = Account::builder_with_http(Box::new(connections));
    let (account, _) = builder.from_key((key, der.try_into()?), directory_url(server)?).await?;
    Ok(account)
}

/// The URL of the directory. `instant-acme` panics if it is no URI.
fn directory_url(server: &Server) -> Result<String, Error> {
    let url = server.directory_url();
    url.parse::<Uri>()?;
    Ok(url.to_owned())
}

/// Why the second client failed. Quotes an answer only if it is an error of an ACME server: a directory can name any server.
fn why(error: &Error) -> String {
    let is_acme = |typ: &str| typ.starts_with(ACME);
    match error {
        Error::Json(_) => "it cannot read the answer".to_owned(),
        Error::Api(problem) if !problem.r#type.as_deref().is_some_and(is_acme) => {
            "the request was rejected".to_owned()
        }
        other => clean(&other.to_string(), MOST),
    }
}

/// What was noted in a rehearsal.
#[derive(Default)]
struct Seen {
    directory: Option<Vec<u8>>,
    /// The URLs of the last HEAD and the last POST.
    head: Option<String>,
    post: Option<String>,
}

/// The connections of the second client: those of ours.
struct Connections {
    server: Server,
    /// In a rehearsal, the directory is fetched once, and all other requests are noted and not sent.
    rehearsal: Option<Arc<Mutex<Seen>>>,
}

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Connections {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        match &self.rehearsal {
            None => Box::pin(relay(self.server.clone(), request, |_| ())),
            Some(seen) if request.method() == Method::GET => {
                if let Some(directory) = seen.lock().directory.clone() {
                    return Box::pin(ready(Ok(answer(Response::new(directory)))));
                }
                let seen = seen.clone();
                let keep = move |body: &[u8]| seen.lock().directory = Some(body.to_vec());
                Box::pin(relay(self.server.clone(), request, keep))
            }
            Some(seen) => Box::pin(ready(note(&mut seen.lock(), &request))),
        }
    }
}

/// Notes a request, and answers it in place of the CA: with a nonce, or not at all.
fn note(seen: &mut Seen, request: &Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
    let url = Some(request.uri().to_string());
    if request.method() != Method::HEAD {
        seen.post = url;
        return Err(Error::Str("it was not sent"));
    }
    seen.head = url;
    Ok(answer(Response::builder().header("Replay-Nonce", "none").body(Vec::new())?))
}

/// Sends a request, and lets `keep` have the directory.
async fn relay(
    server: Server,
    request: Request<BodyWrapper<Bytes>>,
    keep: impl FnOnce(&[u8]) + Send,
) -> Result<BytesResponse, Error> {
    let operation = match *request.method() {
        Method::GET => Operation::Directory,
        Method::HEAD => Operation::NewNonce,
        _ => Operation::LookUpAccount,
    };
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let sent = server.relay(operation, Request::from_parts(head, body)).await;
    let response = sent.map_err(|error| Error::Other(Box::new(error)))?;
    if operation == Operation::Directory {
        check_directory(&response)?;
        keep(response.body());
    }
    Ok(answer(response))
}

/// `instant-acme` accepts a directory with any status, and panics if its newNonce URL is no URI.
fn check_directory(response: &Response<Vec<u8>>) -> Result<(), Error> {
    if !response.status().is_success() {
        return Err(Error::Other(format!("the CA answered HTTP {}", response.status().as_u16()).into()));
    }
    let directory: serde_json::Value = serde_json::from_slice(response.body())?;
    if let Some(url) = directory.get("newNonce").and_then(|url| url.as_str()) {
        url.parse::<Uri>()?;
    }
    Ok(())
}

fn answer(response: Response<Vec<u8>>) -> BytesResponse {
    BytesResponse::from(response.map(|body| Full::new(Bytes::from(body))))
}

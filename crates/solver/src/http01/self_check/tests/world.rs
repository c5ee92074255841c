//! The name server and the web servers.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{EXPECTED, TOKEN};
use crate::http01::self_check::{Ports, SelfCheck, SelfCheckFailure};
use certwright_egress::Egress;

type Pages = Arc<Mutex<HashMap<(String, String), Page>>>;

pub(super) struct World {
    pub(super) name_server: SocketAddr,
    pub(super) port: u16,
    zones: Arc<Mutex<HashMap<String, Zone>>>,
    pub(super) queries: Arc<Mutex<Vec<String>>>,
    pages: Pages,
    pub(super) pages_six: Pages,
    pub(super) requests: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(super) async fn new() -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (four, six) = listeners().await;
        let world = Self {
            name_server: udp.local_addr().unwrap(),
            port: four.local_addr().unwrap().port(),
            zones: Arc::default(),
            queries: Arc::default(),
            pages: Arc::default(),
            pages_six: Arc::default(),
            requests: Arc::default(),
        };
        tokio::spawn(serve_dns(udp, world.zones.clone(), world.queries.clone()));
        tokio::spawn(serve_pages(four, world.pages.clone(), Pages::default(), world.requests.clone()));
        tokio::spawn(serve_pages(six, world.pages_six.clone(), world.pages.clone(), world.requests.clone()));
        world
    }

    pub(super) fn self_check(&self) -> SelfCheck {
        self.self_check_with(Egress::unrestricted())
    }

    pub(super) fn self_check_with(&self, egress: Egress) -> SelfCheck {
        let mut check = SelfCheck::new(vec![self.name_server], egress).unwrap();
        check.ports = Ports { http: self.port, redirects_to_any: true };
        check
    }

    pub(super) fn name(&self, name: &str, zone: Zone) {
        self.zones.lock().unwrap().insert(format!("{name}."), zone);
    }

    pub(super) fn page(&self, host: &str, path: String, page: Page) {
        self.pages.lock().unwrap().insert((host.to_owned(), path), page);
    }

    pub(super) async fn check(&self, name: &str) -> Result<(), SelfCheckFailure> {
        self.self_check().check(name, TOKEN, EXPECTED).await
    }

    pub(super) async fn text(&self, name: &str) -> String {
        self.check(name).await.unwrap_err().to_string()
    }
}

/// What the name server does when asked about a name.
#[derive(Clone, Default)]
pub(super) struct Zone {
    addresses: Vec<IpAddr>,
    four: Option<ResponseCode>,
    six: Option<ResponseCode>,
    silent: bool,
}

impl Zone {
    pub(super) fn at(addresses: &[&str]) -> Self {
        Self {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn code(code: ResponseCode) -> Self {
        Self { four: Some(code), six: Some(code), ..Self::default() }
    }

    pub(super) fn failing_for_ipv6(self, code: ResponseCode) -> Self {
        Self { six: Some(code), ..self }
    }

    pub(super) fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }
}

async fn serve_dns(
    udp: UdpSocket,
    zones: Arc<Mutex<HashMap<String, Zone>>>,
    queries: Arc<Mutex<Vec<String>>>,
) {
    let mut buffer = [0; 2048];
    while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
        let request = Message::from_vec(&buffer[..length]).unwrap();
        let query = request.queries[0].clone();
        let name = query.name().to_ascii().to_lowercase();
        queries.lock().unwrap().push(name.clone());
        let zone = zones.lock().unwrap().get(&name).cloned();
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.add_query(query.clone());
        match zone {
            None => response.metadata.response_code = ResponseCode::NXDomain,
            Some(zone) if zone.silent => continue,
            Some(zone) => {
                let code = if query.query_type() == RecordType::AAAA { zone.six } else { zone.four };
                response.metadata.response_code = code.unwrap_or(ResponseCode::NoError);
                let wanted = zone.addresses.into_iter().map(RData::from);
                for data in wanted.filter(|data| data.record_type() == query.query_type() && code.is_none()) {
                    response.add_answer(Record::from_rdata(query.name().clone(), 300, data));
                }
            }
        }
        udp.send_to(&response.to_vec().unwrap(), peer).await.unwrap();
    }
}

/// What a web server does for a path.
#[derive(Clone)]
pub(super) enum Page {
    Raw(String),
    Silence,
    Close,
}

pub(super) fn ok(body: &str) -> Page {
    Page::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

pub(super) fn redirect(status: u16, to: &str) -> Page {
    Page::Raw(format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
}

async fn serve_pages(
    listener: TcpListener,
    pages: Pages,
    fallback: Pages,
    requests: Arc<Mutex<Vec<String>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_page(stream, pages.clone(), fallback.clone(), requests.clone()));
    }
}

async fn serve_page(mut stream: TcpStream, pages: Pages, fallback: Pages, requests: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
        if !request.starts_with(&b"GET "[..request.len().min(4)]) {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let host = host.rsplit_once(':').unwrap().0.to_owned();
    requests.lock().unwrap().push(request);
    let key = (host, path);
    let page = pages.lock().unwrap().get(&key).cloned();
    let page = page.or_else(|| fallback.lock().unwrap().get(&key).cloned());
    match page {
        Some(Page::Raw(bytes)) => stream.write_all(bytes.as_bytes()).await.unwrap(),
        Some(Page::Silence) => std::future::pending().await,
        Some(Page::Close) => {}
        None => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap(),
    }
}

/// A TLS server with an untrusted certificate for another name.
pub(super) async fn tls_server(response: &'static str) -> u16 {
    let made = rcgen::generate_simple_self_signed(["unrelated.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(response.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    port
}

/// One port on both loopback addresses.
async fn listeners() -> (TcpListener, TcpListener) {
    TcpListener::bind("[::1]:0").await.expect("these tests need ::1");
    loop {
        let four = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = four.local_addr().unwrap().port();
        if let Ok(six) = TcpListener::bind(("::1", port)).await {
            return (four, six);
        }
    }
}

pub(super) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

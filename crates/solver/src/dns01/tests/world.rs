//! Name servers on loopback: a recursive one that knows everything, and authoritative ones, all at the same port.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CAA, CNAME, NS, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::dns01::transport::TimeLimits;
use crate::dns01::{NameServer, Resolver, Whose};
use certwright_egress::Egress;

/// 127.0.0.1 is the recursive server, the others are authoritative.
const ADDRESSES: u8 = 4;
pub(in crate::dns01) const SOA_MINIMUM: u32 = 300;
const MAX_DATAGRAM: usize = 1232;

/// Short, for tests in which servers do not answer.
pub(in crate::dns01) const IMPATIENT: TimeLimits =
    TimeLimits { udp: Duration::from_millis(500), tcp: Duration::from_millis(500), ..TimeLimits::USUAL };

/// Short, for tests in which the whole call times out.
pub(in crate::dns01) const HURRIED: TimeLimits =
    TimeLimits { call: Duration::from_millis(30), ..TimeLimits::USUAL };

pub(in crate::dns01) struct World {
    pub(in crate::dns01) port: u16,
    /// What the recursive server knows.
    pub(in crate::dns01) known: Data,
    sockets: Vec<Option<Sockets>>,
    unserved: Vec<TcpListener>,
}

impl World {
    pub(in crate::dns01) async fn new() -> Self {
        let (port, mut sockets) = sockets().await;
        let known = Data::default();
        sockets[0].take().unwrap().serve(known.handler());
        Self { port, known, sockets, unserved: Vec::new() }
    }

    pub(in crate::dns01) fn resolver(&self) -> Resolver {
        self.resolver_of(&[self.recursive()])
    }

    pub(in crate::dns01) fn resolver_of(&self, servers: &[NameServer]) -> Resolver {
        let resolver = Resolver::new(servers, Whose::Tenants, &Egress::unrestricted()).unwrap();
        resolver.with_authoritative_port(self.port)
    }

    pub(in crate::dns01) fn recursive(&self) -> NameServer {
        NameServer::Plain(self.address(1))
    }

    pub(in crate::dns01) fn address(&self, number: u8) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, number), self.port).into()
    }

    /// Starts a server at 127.0.0.`number`.
    pub(in crate::dns01) fn server(&mut self, number: u8) -> Data {
        let data = Data::default();
        self.serve(number, data.handler());
        data
    }

    pub(in crate::dns01) fn serve(&mut self, number: u8, handler: Handler) {
        self.sockets[usize::from(number) - 1].take().unwrap().serve(handler);
    }

    /// Closes the sockets at 127.0.0.`number`.
    pub(in crate::dns01) fn close(&mut self, number: u8) {
        self.sockets[usize::from(number) - 1] = None;
    }

    /// Lets 127.0.0.`number` accept TCP connections and do nothing more.
    pub(in crate::dns01) fn hang_tcp(&mut self, number: u8) {
        self.unserved.extend(self.sockets[usize::from(number) - 1].as_mut().unwrap().tcp.take());
    }

    /// Leaves 127.0.0.`number` without TCP.
    pub(in crate::dns01) fn close_tcp(&mut self, number: u8) {
        self.sockets[usize::from(number) - 1].as_mut().unwrap().tcp = None;
    }
}

/// The transport of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns01) enum Over {
    Udp,
    Tcp,
}

/// Returns the answer to a message, or `None` for no answer.
pub(in crate::dns01) type Handler = Arc<dyn Fn(&[u8], Over) -> Option<Vec<u8>> + Send + Sync>;

struct Sockets {
    udp: UdpSocket,
    tcp: Option<TcpListener>,
}

impl Sockets {
    fn serve(self, handler: Handler) {
        let (udp, for_udp) = (self.udp, handler.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
                if let Some(answer) = for_udp(&buffer[..length], Over::Udp) {
                    let _ = udp.send_to(&answer, peer).await;
                }
            }
        });
        let Some(tcp) = self.tcp else { return };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let handler = handler.clone();
                tokio::spawn(async move {
                    let length = stream.read_u16().await.unwrap();
                    let mut bytes = vec![0; length.into()];
                    stream.read_exact(&mut bytes).await.unwrap();
                    let Some(answer) = handler(&bytes, Over::Tcp) else { return };
                    stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                });
            }
        });
    }
}

/// One port at all addresses.
async fn sockets() -> (u16, Vec<Option<Sockets>>) {
    'search: loop {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut tcp = Some(first);
        let mut sockets = Vec::new();
        for number in 1..=ADDRESSES {
            let address = (Ipv4Addr::new(127, 0, 0, number), port);
            let Ok(udp) = UdpSocket::bind(address).await else { continue 'search };
            let tcp = match tcp.take() {
                Some(tcp) => tcp,
                None => match TcpListener::bind(address).await {
                    Ok(tcp) => tcp,
                    Err(_) => continue 'search,
                },
            };
            sockets.push(Some(Sockets { udp, tcp: Some(tcp) }));
        }
        return (port, sockets);
    }
}

/// What a server knows.
#[derive(Clone, Default)]
pub(in crate::dns01) struct Data(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    records: Vec<Record>,
    codes: HashMap<Name, ResponseCode>,
    silent: HashSet<Name>,
    lame: bool,
    without_soa: bool,
    queries: Vec<(Name, RecordType, Over)>,
}

impl Data {
    /// Adds records, each written as `<name> <type> <data>`. SOA has no data, and CAA has `<flags>;<tag>;<value>`.
    pub(in crate::dns01) fn add(&self, records: &[&str]) -> &Self {
        self.0.lock().unwrap().records.extend(records.iter().map(|text| record(text)));
        self
    }

    pub(in crate::dns01) fn add_record(&self, record: Record) {
        self.0.lock().unwrap().records.push(record);
    }

    pub(in crate::dns01) fn code(&self, name: &str, code: ResponseCode) -> &Self {
        self.0.lock().unwrap().codes.insert(self::name(name), code);
        self
    }

    pub(in crate::dns01) fn silent(&self, name: &str) -> &Self {
        self.0.lock().unwrap().silent.insert(self::name(name));
        self
    }

    pub(in crate::dns01) fn lame(&self) {
        self.0.lock().unwrap().lame = true;
    }

    /// Negative answers lack the SOA record.
    pub(in crate::dns01) fn without_soa(&self) -> &Self {
        self.0.lock().unwrap().without_soa = true;
        self
    }

    pub(in crate::dns01) fn queries(&self) -> Vec<(String, RecordType, Over)> {
        let queries = std::mem::take(&mut self.0.lock().unwrap().queries);
        queries.into_iter().map(|(name, kind, over)| (name.to_ascii(), kind, over)).collect()
    }

    /// The answer to a message, without a size limit.
    pub(in crate::dns01) fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.0.lock().unwrap().answer(bytes, Over::Tcp)
    }

    fn handler(&self) -> Handler {
        let inner = self.0.clone();
        Arc::new(move |bytes, over| inner.lock().unwrap().answer(bytes, over))
    }
}

impl Inner {
    fn answer(&mut self, bytes: &[u8], over: Over) -> Option<Vec<u8>> {
        let request = Message::from_vec(bytes).unwrap();
        let query = request.queries[0].clone();
        let (name, kind) = (query.name().clone(), query.query_type());
        self.queries.push((name.clone(), kind, over));
        if self.silent.contains(&name) {
            return None;
        }
        let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
        answer.add_query(query);
        answer.metadata.authoritative = !self.lame;
        match self.codes.get(&name) {
            Some(code) => answer.metadata.response_code = *code,
            None if self.lame => {}
            None => self.fill(&mut answer, &name, kind),
        }
        let bytes = answer.to_vec().unwrap();
        match over {
            Over::Udp if bytes.len() > MAX_DATAGRAM => Some(answer.truncate().to_vec().unwrap()),
            _ => Some(bytes),
        }
    }

    fn fill(&self, answer: &mut Message, name: &Name, kind: RecordType) {
        let mut name = name.clone();
        let mut exists;
        loop {
            let here = self.at(&name);
            exists = !here.is_empty() || self.records.iter().any(|record| name.zone_of(&record.name));
            answer.add_answers(here.iter().filter(|record| record.record_type() == kind).cloned());
            let cname = here.into_iter().find(|record| record.record_type() == RecordType::CNAME);
            match cname {
                Some(cname) if kind != RecordType::CNAME && answer.answers.len() < 10 => {
                    let RData::CNAME(CNAME(target)) = &cname.data else { unreachable!() };
                    name = target.clone();
                    answer.add_answer(cname);
                }
                _ => break,
            }
        }
        if !exists {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        let zones = self.records.iter().filter(|record| record.record_type() == RecordType::SOA);
        let zone = zones.filter(|soa| soa.name.zone_of(&name)).max_by_key(|soa| soa.name.iter().len());
        if let Some(soa) = zone.filter(|_| !self.without_soa && answer.answers.is_empty()) {
            answer.add_authority(soa.clone());
        }
    }

    /// The records at `name`, those of a wildcard included (RFC 4592).
    fn at(&self, name: &Name) -> Vec<Record> {
        let exact = self.records.iter().filter(|record| record.name == *name).cloned().collect::<Vec<_>>();
        if !exact.is_empty() {
            return exact;
        }
        let mut encloser = name.base_name();
        while !encloser.is_root() && !self.records.iter().any(|record| encloser.zone_of(&record.name)) {
            encloser = encloser.base_name();
        }
        let Ok(wildcard) = encloser.prepend_label("*") else { return Vec::new() };
        let matching = self.records.iter().filter(|record| record.name == wildcard).cloned();
        matching.map(|record| Record::from_rdata(name.clone(), record.ttl, record.data)).collect()
    }
}

pub(in crate::dns01) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn record(text: &str) -> Record {
    let mut words = text.split(' ');
    let (owner, kind, data) =
        (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
    let data = match kind {
        "A" => RData::A(data.parse::<Ipv4Addr>().unwrap().into()),
        "AAAA" => RData::AAAA(data.parse::<std::net::Ipv6Addr>().unwrap().into()),
        "CNAME" => RData::CNAME(CNAME(name(data))),
        "NS" => RData::NS(NS(name(data))),
        "SOA" => RData::SOA(SOA::new(name("ns.test"), name("admin.test"), 1, 2, 3, 4, SOA_MINIMUM)),
        "CAA" => RData::CAA(caa(data)),
        "TXT" => RData::TXT(TXT::new(vec![data.to_owned()])),
        _ => panic!("no such type: {kind}"),
    };
    Record::from_rdata(name(owner), 60, data)
}

fn caa(data: &str) -> CAA {
    let mut parts = data.splitn(3, ';');
    let critical = parts.next() == Some("128");
    let (tag, value) = (parts.next().unwrap(), parts.next().unwrap());
    let mut caa = CAA::new_issue(critical, None, Vec::new());
    (caa.tag, caa.value) = (tag.to_owned(), value.as_bytes().to_vec());
    caa
}

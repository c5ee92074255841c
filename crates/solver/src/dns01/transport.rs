//! Sends one DNS message to one server, and reads the answer: over UDP, or over TCP if it does not fit (RFC 7766).
//!
//! hickory-proto encodes and decodes the messages. The clients of its companion crate are not used: they keep a task for each
//! connection; they do not connect their UDP sockets, so a closed port takes the whole timeout instead of a round trip; and
//! they do not distinguish a refused connection from a missing route.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use certwright_egress::{Egress, Forbidden, Purpose, is_forbidden};

/// The size that fits through every network without fragmentation (DNS flag day 2020).
const MAX_UDP_PAYLOAD: u16 = 1232;

/// How much of a datagram is read: more than the size announced to servers.
const MAX_DATAGRAM: usize = 4096;

/// How long to wait for answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimits {
    /// For one datagram. It is sent again after this time.
    pub(super) udp: Duration,
    /// For an exchange over TCP, from connecting to the last byte.
    pub(super) tcp: Duration,
    /// For all queries of one call.
    pub(super) call: Duration,
}

impl TimeLimits {
    pub(super) const USUAL: Self =
        Self { udp: Duration::from_millis(1500), tcp: Duration::from_secs(4), call: Duration::from_secs(30) };
}

/// Datagrams get lost, but not twice in a row on a network that is good enough.
const UDP_TRIES: usize = 2;

/// A message to send, in wire format.
pub(super) struct Request {
    pub(super) message: Message,
    pub(super) bytes: Vec<u8>,
}

/// An answer, also in wire format, because a MAC covers that.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) message: Message,
    pub(super) bytes: Vec<u8>,
}

/// Why a server did not answer. `Display` continues a sentence that begins with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It was not queried, because the egress rules forbid its address.
    Forbidden,
    /// There was no answer in time.
    Timeout {
        /// Whether this was over TCP, after a truncated answer over UDP.
        over_tcp: bool,
    },
    /// Nothing listens on the port.
    Refused {
        /// Whether this was over TCP, after a truncated answer over UDP.
        over_tcp: bool,
    },
    /// This host has no route to the server, or may not use it.
    NoRoute,
    /// The connection was lost before the answer was complete.
    Broken,
    /// The answer is not a DNS answer to the query.
    Garbled,
    /// No answer over HTTPS; see [`super::HttpFailure`].
    Https(super::HttpFailure),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => Forbidden.fmt(f),
            Self::Timeout { over_tcp: false } => f.write_str("did not answer in time"),
            Self::Timeout { over_tcp: true } => {
                f.write_str("did not answer in time over TCP; open its port for TCP, too")
            }
            Self::Refused { over_tcp: false } => f.write_str("refused the connection"),
            Self::Refused { over_tcp: true } => {
                f.write_str("refused the connection over TCP; open its port for TCP, too")
            }
            Self::NoRoute => f.write_str("cannot be reached: no route to it"),
            Self::Broken => f.write_str("closed the connection before its answer was complete"),
            Self::Garbled => f.write_str("sent an answer that does not match the query"),
            Self::Https(failure) => failure.fmt(f),
        }
    }
}

impl Request {
    /// A standard query (RFC 1035) that permits longer answers (EDNS, RFC 6891).
    pub(super) fn query(name: &Name, kind: RecordType, recurse: bool) -> Result<Self, NoAnswer> {
        Self::query_with(name, kind, |message| message.metadata.recursion_desired = recurse)
    }

    /// A query that a recursive server answers without checking DNSSEC signatures (RFC 4035 section 3.2.2).
    pub(super) fn query_unchecked(name: &Name, kind: RecordType) -> Result<Self, NoAnswer> {
        Self::query_with(name, kind, |message| {
            message.metadata.recursion_desired = true;
            message.metadata.checking_disabled = true;
        })
    }

    fn query_with(name: &Name, kind: RecordType, flags: impl FnOnce(&mut Message)) -> Result<Self, NoAnswer> {
        let mut message = Message::query();
        flags(&mut message);
        message.add_query(Query::query(name.clone(), kind));
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_PAYLOAD).set_version(0);
        message.set_edns(edns);
        Self::new(message)
    }

    pub(super) fn new(message: Message) -> Result<Self, NoAnswer> {
        // A message that cannot be encoded is too long, and is never sent.
        let bytes = message.to_vec().map_err(|_| NoAnswer::Garbled)?;
        Ok(Self { message, bytes })
    }

    /// Parses `bytes` as an answer to this request.
    pub(super) fn reply(&self, bytes: &[u8]) -> Option<Reply> {
        let message = Message::from_vec(bytes).ok()?;
        let (asked, answered) = (&self.message.metadata, &message.metadata);
        // An error may consist of the header only, and so may any answer to an UPDATE (RFC 2136 section 3.8).
        let header_will_do =
            answered.response_code != ResponseCode::NoError || asked.op_code == OpCode::Update;
        let fits = answered.id == asked.id
            && answered.message_type == MessageType::Response
            && answered.op_code == asked.op_code
            && (message.queries == self.message.queries || (message.queries.is_empty() && header_will_do));
        fits.then(|| Reply { message, bytes: bytes.to_vec() })
    }
}

/// Queries `server` over UDP, or over TCP if the answer is truncated.
pub(super) async fn ask(
    egress: &Egress,
    server: SocketAddr,
    request: &Request,
    limits: TimeLimits,
) -> Result<Reply, NoAnswer> {
    let reply = over_udp(egress, server, request, limits.udp).await?;
    if !reply.message.metadata.truncation {
        return Ok(reply);
    }
    over_tcp(egress, server, request, limits.tcp).await.map_err(|failure| match failure {
        NoAnswer::Timeout { .. } => NoAnswer::Timeout { over_tcp: true },
        NoAnswer::Refused { .. } => NoAnswer::Refused { over_tcp: true },
        other => other,
    })
}

async fn over_udp(
    egress: &Egress,
    server: SocketAddr,
    request: &Request,
    limit: Duration,
) -> Result<Reply, NoAnswer> {
    let mut garbled = false;
    for _ in 0..UDP_TRIES {
        match timeout(limit, one_datagram(egress, server, request, &mut garbled)).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => return Err(failure(&error)),
            Err(_) => {}
        }
    }
    Err(if garbled { NoAnswer::Garbled } else { NoAnswer::Timeout { over_tcp: false } })
}

/// Each attempt uses a new socket, whose port nobody can guess.
async fn one_datagram(
    egress: &Egress,
    server: SocketAddr,
    request: &Request,
    garbled: &mut bool,
) -> io::Result<Reply> {
    let socket = egress.udp(Purpose::Dns, "", server).await?;
    socket.send(&request.bytes).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match request.reply(&buffer[..length]) {
            Some(reply) => return Ok(reply),
            // It may be forged, so the real answer may still arrive.
            None => *garbled = true,
        }
    }
}

/// Queries `server` over TCP.
pub(super) async fn over_tcp(
    egress: &Egress,
    server: SocketAddr,
    request: &Request,
    limit: Duration,
) -> Result<Reply, NoAnswer> {
    match timeout(limit, one_connection(egress, server, request)).await {
        Ok(Ok(bytes)) => request.reply(&bytes).ok_or(NoAnswer::Garbled),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(NoAnswer::Timeout { over_tcp: false }),
    }
}

async fn one_connection(egress: &Egress, server: SocketAddr, request: &Request) -> io::Result<Vec<u8>> {
    let length = u16::try_from(request.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut stream = egress.tcp(Purpose::Dns, "", server).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&[&length.to_be_bytes(), request.bytes.as_slice()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn failure(error: &io::Error) -> NoAnswer {
    match error.kind() {
        _ if is_forbidden(error) => NoAnswer::Forbidden,
        io::ErrorKind::ConnectionRefused => NoAnswer::Refused { over_tcp: false },
        io::ErrorKind::TimedOut => NoAnswer::Timeout { over_tcp: false },
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            NoAnswer::Broken
        }
        _ => NoAnswer::NoRoute,
    }
}

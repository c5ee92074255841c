//! Signs a message, and verifies the answer (RFC 8945).
//!
//! hickory-proto encodes the signed data, but computes only three of the six MACs, and requires its DNSSEC code for that, which
//! nothing else here needs.

use hickory_resolver::proto::op::{Header, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::tsig::{TSIG, TsigError, make_tsig_record, message_tbs};
use hickory_resolver::proto::rr::{Name, RData, Record};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use jiff::Timestamp;

#[cfg(feature = "fuzzing")]
pub(in crate::dns01) mod fuzzing;

use super::TsigKey;
use super::clock::ClockDifference;
use crate::dns01::transport::{NoAnswer, Reply, Request};

/// How much clocks may differ, in seconds, as recommended by RFC 8945 section 10.
const FUDGE: u16 = 300;

/// A request, and its MAC, which the answer's MAC also covers.
pub(super) struct Signed {
    pub(super) request: Request,
    mac: Vec<u8>,
}

/// A problem with an answer's signature, or with ours according to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TsigFailure {
    /// The answer is successful, but not signed.
    Unsigned,
    /// It is signed with another key or algorithm.
    OtherKey,
    /// The MAC is invalid.
    WrongMac,
    /// The answer was signed at a different time.
    AnswerTime(ClockDifference),
    /// The server does not know the key.
    BadKey,
    /// The server rejects our MAC.
    BadSig,
    /// The server's clock differs too much.
    BadTime(Option<ClockDifference>),
    /// Another TSIG error code.
    Other(u16),
}

impl Signed {
    /// Signs `message` (RFC 8945 section 5.1).
    pub(super) fn new(message: Message, key: &TsigKey, now: Timestamp) -> Result<Self, NoAnswer> {
        let (id, algorithm) = (message.metadata.id, key.algorithm.to_dns());
        let tsig = TSIG::new(algorithm, seconds(now), FUDGE, Vec::new(), id, None, Vec::new());
        let signed = message_tbs(&message, &tsig, &key.name).map_err(|_| NoAnswer::Garbled)?;
        let mac = key.algorithm.sign(&key.secret, &signed);
        let mut message = message;
        message.signature = Some(Box::new(make_tsig_record(key.name.clone(), tsig.set_mac(mac.clone()))));
        Ok(Self { request: Request::new(message)?, mac })
    }

    pub(super) fn without_key(request: Request) -> Self {
        Self { request, mac: Vec::new() }
    }

    /// Verifies the signature (RFC 8945 section 5.3) and returns the response code. An unsigned error is accepted: it has no
    /// effect, and it says why a server cannot sign.
    pub(super) fn verify(
        &self,
        reply: &Reply,
        key: &TsigKey,
        now: Timestamp,
    ) -> Result<ResponseCode, TsigFailure> {
        let code = reply.message.metadata.response_code;
        let Some(Covered { data, name, tsig }) = Covered::by(&self.mac, &reply.bytes) else {
            return if code == ResponseCode::NoError { Err(TsigFailure::Unsigned) } else { Ok(code) };
        };
        match tsig.error {
            // These cannot be signed.
            Some(TsigError::BadKey) => return Err(TsigFailure::BadKey),
            Some(TsigError::BadSig) => return Err(TsigFailure::BadSig),
            _ => {}
        }
        if name != key.name || !tsig.algorithm.to_name().eq_ignore_root(&key.algorithm.to_dns().to_name()) {
            return Err(TsigFailure::OtherKey);
        }
        if !key.algorithm.verify(&key.secret, &data, &tsig.mac) {
            return Err(TsigFailure::WrongMac);
        }
        match tsig.error {
            Some(TsigError::BadTime) => {
                let difference = server_time(&tsig).and_then(|theirs| ClockDifference::new(now, theirs));
                return Err(TsigFailure::BadTime(difference));
            }
            Some(error) => return Err(TsigFailure::Other(error.into())),
            None => {}
        }
        match ClockDifference::new(now, tsig.time) {
            Some(difference) if difference.seconds() <= i64::from(FUDGE) => Ok(code),
            Some(difference) => Err(TsigFailure::AnswerTime(difference)),
            None => Err(TsigFailure::WrongMac),
        }
    }
}

/// The input of an answer's MAC, and the record that contains the MAC.
struct Covered {
    data: Vec<u8>,
    name: Name,
    tsig: TSIG,
}

impl Covered {
    /// The request's MAC, the answer without its TSIG record, and the fields of that record except its MAC (RFC 8945 section
    /// 4.3). `None` if the last record is not a TSIG record.
    fn by(request_mac: &[u8], answer: &[u8]) -> Option<Self> {
        let mut decoder = BinDecoder::new(answer);
        let Header { mut metadata, mut counts } = Header::read(&mut decoder).ok()?;
        let body = decoder.index();
        for _ in 0..counts.queries {
            Query::read(&mut decoder).ok()?;
        }
        counts.additionals = counts.additionals.checked_sub(1)?;
        let before = [counts.answers, counts.authorities, counts.additionals].map(usize::from).iter().sum();
        for _ in 0..before {
            Record::<RData>::read(&mut decoder).ok()?;
        }
        let end = decoder.index();
        let last = Record::<RData>::read(&mut decoder).ok()?;
        let RData::TSIG(tsig) = last.data else { return None };
        if !decoder.is_empty() {
            return None;
        }
        metadata.id = tsig.oid;
        let mut data = Vec::new();
        let mut encoder = BinEncoder::new(&mut data);
        encoder.emit_u16(u16::try_from(request_mac.len()).ok()?).ok()?;
        encoder.emit_vec(request_mac).ok()?;
        Header { metadata, counts }.emit(&mut encoder).ok()?;
        encoder.emit_vec(answer.get(body..end)?).ok()?;
        tsig.emit_tsig_for_mac(&mut encoder, &last.name).ok()?;
        Some(Self { data, name: last.name, tsig })
    }
}

/// The server's clock, which it sends along with BADTIME (RFC 8945 section 5.2.3).
fn server_time(tsig: &TSIG) -> Option<u64> {
    let bytes = <[u8; 6]>::try_from(tsig.other.as_slice()).ok()?;
    Some(bytes.iter().fold(0, |time, byte| time << 8 | u64::from(*byte)))
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or_default()
}

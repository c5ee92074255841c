//! Exposes the parsing of name servers' and providers' answers to the fuzz targets in `fuzz/`. Not part of the API.

use ::http::{HeaderMap, StatusCode};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::locate::shown;
use super::resolver::DnsResponse;
use super::transport::Request;
use super::{CaaRecord, HttpFailure, caa};
use certwright_egress::excerpt::{excerpt, media_type};

pub use super::rfc2136::fuzzing::answer_to_update;

/// The id of the query.
const ID: u16 = 0x6162;

/// The data in an answer.
#[derive(Debug, Default)]
pub struct Seen {
    /// The names in it: the target of a CNAME, the zone, name servers.
    pub names: Vec<String>,
    /// Values of TXT records.
    pub values: Vec<Vec<u8>>,
    /// CAA records of that name.
    pub caa: Vec<CaaRecord>,
    /// The failure, if the server did not answer.
    pub failure: Option<String>,
}

/// The data in a name server's answer to a query for the TXT records of `_acme-challenge.example.com`. `None` if the message is
/// not an answer to it.
pub fn answer(message: &[u8]) -> Option<Seen> {
    let name = Name::from_ascii("_acme-challenge.example.com.").ok()?;
    let mut request = Request::query(&name, RecordType::TXT, true).ok()?;
    request.message.metadata.id = ID;
    let reply = request.reply(message)?;
    let answer = match DnsResponse::judge(Ok(reply.message)) {
        Ok(answer) => answer,
        Err(failure) => return Some(Seen { failure: Some(failure.to_string()), ..Seen::default() }),
    };
    let _ = (answer.is_nx_domain(), answer.is_authoritative(), answer.negative_soa(), answer.addresses());
    let names = answer.cname(&name).into_iter().chain(answer.zone_of(&name)).chain(answer.name_servers());
    Some(Seen {
        names: names.map(|name| shown(&name)).collect(),
        values: answer.txt_values().collect(),
        caa: caa::records(&answer, &name),
        failure: None,
    })
}

/// What is reported and logged about an unsuccessful HTTP answer.
pub fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> [String; 2] {
    let failure = HttpFailure::Status { status: status.as_u16(), media_type: media_type(headers) };
    [failure.to_string(), excerpt(body)]
}

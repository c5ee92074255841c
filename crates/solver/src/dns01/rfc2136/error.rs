//! Why an update failed.

use std::fmt;

use hickory_resolver::proto::op::ResponseCode;

use super::Settings;
use super::clock::ClockDifference;
use super::tsig::TsigFailure;
use crate::dns01::resolver::rcode;
use crate::dns01::{NoAnswer, Record, undotted};

/// Why an update failed. `Display` is stable: the same problem gives the same text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record's name or zone is not a DNS name.
    #[error("{name:?} is not a DNS name")]
    NotAName {
        /// The given name.
        name: String,
    },
    /// The record is not in its zone.
    #[error("{fqdn} is not in the zone {zone}")]
    OutsideZone {
        /// The name of the record.
        fqdn: String,
        /// The zone.
        zone: String,
    },
    /// The update is longer than a DNS message can be.
    #[error("the update for {fqdn} is too long for a DNS message")]
    TooLong {
        /// The name of the record.
        fqdn: String,
    },
    /// The server's host name has no address.
    #[error(
        "{operation} failed: the name server's name {server} cannot be resolved; correct rfc2136.nameserver"
    )]
    NoSuchServer {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
    },
    /// The server did not answer.
    #[error("{operation} failed: name server {server} {failure}")]
    NoAnswer {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The failure.
        failure: NoAnswer,
    },
    /// NOTAUTH: it is not the primary of the zone, or does not permit the update (Knot DNS answers this in both cases).
    #[error(
        "{operation} failed: name server {server} answered NOTAUTH: it is not the primary of the zone {zone}, \
         or does not allow {who} to change it; send updates to the primary, and allow them there"
    )]
    NotAuth {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key, or a client without a key, in words.
        who: String,
        /// The zone.
        zone: String,
    },
    /// NOTZONE: the name is not in the zone.
    #[error(
        "{operation} failed: name server {server} answered NOTZONE: {fqdn} is not in its zone {zone}; the zone in \
         DNS and the server's differ, so check which zones it serves"
    )]
    NotZone {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The name of the record.
        fqdn: String,
        /// The zone.
        zone: String,
    },
    /// REFUSED: its policy does not permit the update.
    #[error(
        "{operation} failed: name server {server} answered REFUSED: it does not allow {who} to change {fqdn} in the zone \
         {zone}; allow TXT updates there (in BIND, update-policy or allow-update)"
    )]
    Refused {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key, or a client without a key, in words.
        who: String,
        /// The name of the record.
        fqdn: String,
        /// The zone.
        zone: String,
    },
    /// SERVFAIL: it could not make the change.
    #[error(
        "{operation} failed: name server {server} answered SERVFAIL: it could not write the change to the zone {zone}; \
         its log says why (often it cannot write its journal file, or is a secondary whose primary is down)"
    )]
    ServFail {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The zone.
        zone: String,
    },
    /// NOTIMP: it does not support updates.
    #[error(
        "{operation} failed: name server {server} answered NOTIMP: it does not support dynamic updates (RFC 2136); enable \
         them there, or use another solver"
    )]
    NotImp {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
    },
    /// FORMERR: it could not parse the update.
    #[error(
        "{operation} failed: name server {server} answered FORMERR: it cannot parse the update; an old server may not \
         know the key's algorithm, or something in between changes the messages"
    )]
    FormErr {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
    },
    /// Another response code.
    #[error(
        "{operation} failed: name server {server} answered {code} to the update of {fqdn}; its log may say why"
    )]
    Code {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The response code's name or number.
        code: String,
        /// The name of the record.
        fqdn: String,
    },
    /// BADKEY: it does not know the key.
    #[error(
        "{operation} failed: name server {server} answered BADKEY: it does not know a key {key} with the algorithm \
         {algorithm}; both must match its configuration"
    )]
    BadKey {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key's name.
        key: String,
        /// The key's algorithm.
        algorithm: String,
    },
    /// BADSIG: its secret is different.
    #[error(
        "{operation} failed: name server {server} answered BADSIG: its secret for the key {key} differs from ours; \
         store the one in its configuration"
    )]
    BadSig {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key's name.
        key: String,
    },
    /// BADTIME: the clocks differ too much.
    #[error("{operation} failed: name server {server} answered BADTIME: {}; set the clocks", Difference(*difference))]
    BadTime {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// Both clocks, if it sent its own.
        difference: Option<ClockDifference>,
    },
    /// Another TSIG error code.
    #[error(
        "{operation} failed: name server {server} answered with the TSIG error {code} for the key {key}; its log may say why"
    )]
    TsigCode {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key's name.
        key: String,
        /// The code (RFC 8945 section 3).
        code: u16,
    },
    /// A successful answer that is not signed.
    #[error(
        "{operation} failed: the answer of name server {server} is not signed, so it may be forged; check that it \
         knows the key {key}, and that nothing in between removes signatures"
    )]
    Unsigned {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key's name.
        key: String,
    },
    /// Signed with another key.
    #[error(
        "{operation} failed: the answer of name server {server} is signed with a different key than {key}, so it may \
         be forged"
    )]
    OtherKey {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key's name.
        key: String,
    },
    /// Signed, but the MAC is invalid.
    #[error(
        "{operation} failed: the signature of name server {server} is invalid, so its answer may be forged; check that the \
         secret of the key {key} is the one of its configuration"
    )]
    WrongMac {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// The key's name.
        key: String,
    },
    /// Signed at a different time.
    #[error(
        "{operation} failed: the answer of name server {server} was signed at a different time: {}; set the clocks",
        Difference(Some(*difference))
    )]
    AnswerTime {
        /// The operation that failed.
        operation: Operation,
        /// The server as configured.
        server: String,
        /// Both clocks.
        difference: ClockDifference,
    },
}

impl Error {
    pub(super) fn refusal(
        code: ResponseCode,
        settings: &Settings,
        record: &Record,
        operation: Operation,
    ) -> Self {
        let server = settings.nameserver.to_string();
        let (fqdn, zone) = (undotted(&record.fqdn).to_owned(), undotted(&record.zone).to_owned());
        let who = match &settings.key {
            Some(key) => format!("the key {}", key.shown_name()),
            None => "clients without a TSIG key".to_owned(),
        };
        match code {
            ResponseCode::NotAuth => Self::NotAuth { operation, server, who, zone },
            ResponseCode::NotZone => Self::NotZone { operation, server, fqdn, zone },
            ResponseCode::Refused => Self::Refused { operation, server, who, fqdn, zone },
            ResponseCode::ServFail => Self::ServFail { operation, server, zone },
            ResponseCode::NotImp => Self::NotImp { operation, server },
            ResponseCode::FormErr => Self::FormErr { operation, server },
            code => Self::Code { operation, server, code: rcode(code), fqdn },
        }
    }

    pub(super) fn tsig(failure: TsigFailure, settings: &Settings, operation: Operation) -> Self {
        let server = settings.nameserver.to_string();
        let (key, algorithm) = match &settings.key {
            Some(key) => (key.shown_name(), key.algorithm.to_string()),
            None => Default::default(),
        };
        match failure {
            TsigFailure::Unsigned => Self::Unsigned { operation, server, key },
            TsigFailure::OtherKey => Self::OtherKey { operation, server, key },
            TsigFailure::WrongMac => Self::WrongMac { operation, server, key },
            TsigFailure::AnswerTime(difference) => Self::AnswerTime { operation, server, difference },
            TsigFailure::BadKey => Self::BadKey { operation, server, key, algorithm },
            TsigFailure::BadSig => Self::BadSig { operation, server, key },
            TsigFailure::BadTime(difference) => Self::BadTime { operation, server, difference },
            TsigFailure::Other(code) => Self::TsigCode { operation, server, key, code },
        }
    }
}

/// An update operation. `Display` begins a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Adding the TXT record.
    Present,
    /// Deleting it.
    CleanUp,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "adding the TXT record",
            Self::CleanUp => "deleting the TXT record",
        })
    }
}

struct Difference(Option<ClockDifference>);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(difference) => write!(f, "{difference}, but at most 5 minutes are accepted"),
            None => f.write_str("its clock and ours differ by more than 5 minutes"),
        }
    }
}

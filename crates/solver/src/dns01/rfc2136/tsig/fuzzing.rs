//! Exposes the parsing of answers to signed updates to the fuzz targets in `fuzz/`. Not part of the API.

use hickory_resolver::proto::op::ResponseCode;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Covered, Signed};
use crate::dns01::Record;
use crate::dns01::rfc2136::{Error, Operation, Settings, TsigKey, message};

/// The id of the update.
const ID: u16 = 0x6162;
/// When it was sent, in seconds since 1970.
const SENT: i64 = 1_700_000_000;

/// The result of the answer to a signed update: the response code, or an error message. If `signed`, a correct MAC is first put
/// into the answer. `None` if it is not an answer to the update.
pub fn answer_to_update(answer: &[u8], signed: bool) -> Option<Result<ResponseCode, String>> {
    let key = TsigKey::new("key.test", Some("hmac-sha256"), &SecretString::from("c2VjcmV0IQ==")).ok()?;
    let settings = Settings::new("192.0.2.53".parse().ok()?, Some(key.clone()), sent);
    let record = Record {
        fqdn: "_acme-challenge.a.test.".to_owned(),
        zone: "a.test.".to_owned(),
        value: "value".to_owned(),
        domain: "a.test".to_owned(),
        token: "token".to_owned(),
        key_authorization: "token.thumbprint".to_owned(),
    };
    let mut update = message(&settings, &record, Operation::Present).ok()?;
    update.metadata.id = ID;
    let update = Signed::new(update, &key, sent()).ok()?;
    let mut answer = answer.to_vec();
    if signed {
        let _ = sign(&mut answer, &update, &key);
    }
    let reply = update.request.reply(&answer)?;
    let verified = update.verify(&reply, &key, sent());
    Some(match verified.map_err(|failure| Error::tsig(failure, &settings, Operation::Present)) {
        Ok(ResponseCode::NoError) => Ok(ResponseCode::NoError),
        Ok(code) => Err(Error::refusal(code, &settings, &record, Operation::Present).to_string()),
        Err(error) => Err(error.to_string()),
    })
}

/// Replaces the MAC of an answer with a correct one of the same length.
fn sign(answer: &mut [u8], update: &Signed, key: &TsigKey) -> Option<()> {
    let Covered { data, tsig, .. } = Covered::by(&update.mac, answer)?;
    let mac = key.algorithm.sign(&key.secret, &data);
    let place = answer.windows(mac.len()).rposition(|window| window == tsig.mac)?;
    answer.get_mut(place..place + mac.len())?.copy_from_slice(&mac);
    Some(())
}

fn sent() -> Timestamp {
    Timestamp::from_second(SENT).unwrap_or_default()
}

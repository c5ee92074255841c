//! Exposes the responder and the self-check to the fuzz targets in `fuzz/`. Not part of the API.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

use super::KeyAuthorizations;
use super::responder::answer;

pub use super::self_check::fuzzing::judge;

/// The responder's answer while the challenge with the token `tok-A_1` is pending at `example.com` and `2001:db8::1`.
pub fn respond(request: &Request<()>) -> Response<Full<Bytes>> {
    answer(request, &Pending)
}

struct Pending;

impl KeyAuthorizations for Pending {
    fn find(&self, host: &str, token: &str) -> Option<String> {
        let pending = ["example.com", "2001:db8::1"].contains(&host) && token == "tok-A_1";
        pending.then(|| "tok-A_1.thumb".to_owned())
    }
}

//! The http-01 challenge ([RFC 8555 section 8.3](https://www.rfc-editor.org/rfc/rfc8555#section-8.3)).
//!
//! `objects` and `route` render the objects that route a CA's request to the operator's own pods, `responder` answers it
//! there on every replica, and `self_check` makes the same request first, to report problems before the CA encounters them.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod in_place;
mod objects;
mod ownership;
mod replicas;
mod responder;
mod route;
mod self_check;

pub use in_place::{put_in, take_out};
pub use objects::{
    PathType, Presentation, PresentedChallenge, endpoint_slices, ingress, ingress_name, service,
};
pub use ownership::{Backend, CERTIFICATE_UID_LABEL, HTTP01_LABEL, Http01Shard};
pub use replicas::responders;
pub use responder::{KeyAuthorizations, answer};
pub use route::{
    Acceptance, BackendReference, HttpRoute, HttpRouteSpec, Route, RouteTemplate, acceptance, routes,
};
pub use self_check::{
    ConnectFailure, DnsFailure, NameServerFailure, OtherAddresses, SelfCheck, SelfCheckFailure,
    SelfCheckSetupError,
};

/// The path where a CA looks for a key authorization, without the token.
pub const CHALLENGE_PREFIX: &str = "/.well-known/acme-challenge/";

/// The path a CA fetches for `token`.
pub fn challenge_path(token: &str) -> String {
    format!("{CHALLENGE_PREFIX}{token}")
}

/// Whether `token` can be a challenge token: base64url without padding (RFC 8555 section 8.3), with a sensible length.
pub fn is_token(token: &str) -> bool {
    (1..=256).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

//! The ACME client layer (RFC 8555): transport, accounts, orders, problems.
//!
//! A [`Server`] is a CA's directory with its connections and nonces. An [`Account`] signs with one key at one server and makes
//! the calls. It stores no order, so that an issuance can continue from the URLs in its status after a restart. Every call is
//! one request (more only after `badNonce`) and returns either an [`AcmeResponse`], or an [`AcmeError`] that quotes the CA. Nothing
//! here sleeps: a pause is an error with the time at which it ends.

mod account;
mod bounded;
mod code;
mod config;
mod directory;
mod error;
mod exchange;
mod external_account;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identifier;
mod jws;
mod key_authorization;
mod key_change;
mod limiter;
mod limits;
mod nonce;
mod order;
mod problem;
mod rate_limit;
mod relay;
mod renewal_info;
mod reply;
mod response;
mod retry_after;
mod revocation;
mod server;
mod share;
mod shared_key;
mod time;
mod transport;
mod wire;

#[cfg(test)]
mod tests;

pub use account::{Account, AccountState, AccountStatus, Registered, Registration};
pub use code::{CODES, Class, Code, Place, Remedy, Source};
pub use config::{Observe, ServerConfig, Trust};
pub use directory::{Directory, Meta};
pub use error::{AcmeError, Operation};
pub use exchange::{Exchange, Record};
pub use external_account::{ExternalAccountKey, MacAlgorithm, MacKeyError, parse_mac_key};
pub use identifier::Identifier;
pub use jws::jwk_thumbprint;
pub use key_authorization::{account_label, txt_value};
pub use key_change::KeyChange;
pub use limiter::Limiter;
pub use order::{
    Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, DownloadedChain, NewOrder,
    Order, OrderStatus,
};
pub use problem::{Problem, Subproblem};
pub use renewal_info::{RenewalInfo, SuggestedWindow};
pub use response::AcmeResponse;
pub use server::Server;
pub use share::Share;

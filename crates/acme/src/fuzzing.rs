//! Exposes the parsing of a CA's answers to the fuzz targets in `fuzz/`. Not part of the API.

use http::Response;
use jiff::Timestamp;

use crate::reply::Reply;
use crate::time::TimeDifference;
use crate::{
    AccountState, AcmeError, AcmeResponse, Authorization, Challenge, Directory, DownloadedChain, Operation,
    Order, RenewalInfo,
};

/// The directory.
///
/// # Errors
/// [`AcmeError`]
pub fn directory(response: Response<Vec<u8>>) -> Result<Directory, AcmeError> {
    accepted(Operation::Directory, response)?.bounded().map(|answer| answer.value)
}

/// A nonce.
///
/// # Errors
/// [`AcmeError`]
pub fn nonce(response: Response<Vec<u8>>) -> Result<String, AcmeError> {
    let reply = accepted(Operation::NewNonce, response)?;
    reply.nonce().ok_or_else(|| reply.malformed("newNonce returned no Replay-Nonce header"))
}

/// URL and state of an account.
///
/// # Errors
/// [`AcmeError`]
pub fn account(response: Response<Vec<u8>>) -> Result<(String, AccountState), AcmeError> {
    let reply = accepted(Operation::NewAccount, response)?;
    Ok((reply.required_location()?, reply.json()?))
}

/// An order.
///
/// # Errors
/// [`AcmeError`]
pub fn order(response: Response<Vec<u8>>) -> Result<AcmeResponse<Order>, AcmeError> {
    accepted(Operation::Order, response)?.bounded()
}

/// An authorization.
///
/// # Errors
/// [`AcmeError`]
pub fn authorization(response: Response<Vec<u8>>) -> Result<AcmeResponse<Authorization>, AcmeError> {
    accepted(Operation::Authorization, response)?.bounded()
}

/// A challenge.
///
/// # Errors
/// [`AcmeError`]
pub fn challenge(response: Response<Vec<u8>>) -> Result<AcmeResponse<Challenge>, AcmeError> {
    accepted(Operation::Challenge, response)?.answer()
}

/// A chain.
///
/// # Errors
/// [`AcmeError`]
pub fn chain(response: Response<Vec<u8>>) -> Result<AcmeResponse<DownloadedChain>, AcmeError> {
    accepted(Operation::Certificate, response)?.chain()
}

/// Renewal information.
///
/// # Errors
/// [`AcmeError`]
pub fn renewal_info(response: Response<Vec<u8>>) -> Result<AcmeResponse<RenewalInfo>, AcmeError> {
    accepted(Operation::RenewalInfo, response)?.answer()
}

fn accepted(operation: Operation, response: Response<Vec<u8>>) -> Result<Reply, AcmeError> {
    let ahead = TimeDifference::default();
    ahead.see(response.headers(), Timestamp::UNIX_EPOCH);
    let _ = ahead.get();
    let url = reqwest::Url::parse("https://ca.example/asked").map_err(|_| AcmeError::Bundle)?;
    Reply::not_sent(operation, url, response).accepted()
}

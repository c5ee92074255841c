//! What happens next after an error of the CA.

use certwright_acme::{AcmeError, Class, Code, Operation};

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The account cannot be used: the issuer is not ready, its Certificates wait, nothing is retried unless that is requested.
    AccountUnusable,
    /// The CA's operator, or a user with an account there, must act: the issuer is not ready, retried hourly.
    CaOperatorMustAct,
    /// The CA does not allow what this Certificate requests: it fails, and is retried slowly or when its spec changes.
    NotAllowed,
    /// The CA would not allow what this Certificate requests, because of a DNS record. The CA was not asked: back off, but look
    /// again often, since nothing else tells when the record is corrected.
    ForbiddenInDns,
    /// Too many requests: wait as long as Retry-After says, or back off.
    TooFast,
    /// The CA failed temporarily, or could not be reached: back off, then continue with the same order while it is valid.
    Stumbled,
    /// The order is gone, or can no longer succeed: back off, then place a new one.
    OrderLost,
    /// The CA could not validate a name: back off, then place a new order.
    ValidationFailed,
}

impl Disposition {
    /// Whether the account is the cause, so that the issuer is not ready.
    pub fn is_of_account(self) -> bool {
        matches!(self, Self::AccountUnusable | Self::CaOperatorMustAct)
    }
}

/// What the failed call was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The directory or newNonce: neither an account nor an order is affected.
    Server,
    /// newAccount, or a request to the account's URL.
    Account,
    /// newOrder, or a request to the URL of an order, authorization, challenge or certificate.
    Order,
}

/// What a call with this operation is about.
pub fn about(operation: Operation) -> About {
    match operation {
        Operation::Directory | Operation::NewNonce => About::Server,
        Operation::NewAccount
        | Operation::LookUpAccount
        | Operation::Account
        | Operation::UpdateAccount
        | Operation::DeactivateAccount
        | Operation::KeyChange => About::Account,
        Operation::NewOrder
        | Operation::Order
        | Operation::Authorization
        | Operation::Challenge
        | Operation::DeactivateAuthorization
        | Operation::Finalize
        | Operation::Certificate
        | Operation::RenewalInfo
        | Operation::RevokeCertificate
        | Operation::NewAuthorization => About::Order,
    }
}

/// What happens next after an error of this class; `None` if that depends on the HTTP status and the call.
fn of_class(class: Class) -> Option<Disposition> {
    match class {
        Class::AccountUnusable => Some(Disposition::AccountUnusable),
        Class::CaMustAct => Some(Disposition::CaOperatorMustAct),
        Class::NotAllowed => Some(Disposition::NotAllowed),
        Class::RateLimit => Some(Disposition::TooFast),
        Class::Temporary => Some(Disposition::Stumbled),
        Class::DependsOnRequest => None,
    }
}

/// What happens next after an error with the short `code` (see [`certwright_acme::Problem::code`]) and the HTTP `status`.
pub fn disposition(code: &str, status: Option<u16>, about: About) -> Disposition {
    use Disposition::*;
    if let Some(next) = Code::find(code).and_then(|known| of_class(known.class)) {
        return next;
    }
    match (status, about) {
        (_, About::Account) if code == "unauthorized" => AccountUnusable,
        (Some(429), _) => TooFast,
        (Some(408), _) | (_, About::Server) => Stumbled,
        (Some(400..=499), About::Account) => CaOperatorMustAct,
        (Some(400..=499), About::Order) => OrderLost,
        _ => Stumbled,
    }
}

/// What happens next if the CA answered a request for the state of an account like this; `None` if that says nothing about the
/// account. Not every CA supports such requests.
pub fn of_account_request(error: &AcmeError) -> Option<Disposition> {
    let code = error.problem()?.code();
    if code == "unauthorized" {
        return Some(Disposition::AccountUnusable);
    }
    Some(Code::find(code).and_then(|known| of_class(known.class))?).filter(|next| next.is_of_account())
}

/// What happens next after an answer that is not accepted, because it is too long or contains something that must not be used.
/// This may be temporary if the call was about the CA or the account; an order is not read again.
pub fn of_unacceptable(about: About) -> Disposition {
    match about {
        About::Server | About::Account => Disposition::Stumbled,
        About::Order => Disposition::OrderLost,
    }
}

/// The reason that conditions, events and metrics have for a CA's `code`; `None` for an unknown code.
pub fn reason(code: &str) -> Option<&'static str> {
    Code::find(code).map(|known| known.name)
}

/// What happens next after the problem, with the short `code`, that made a challenge or an order invalid.
pub fn of_invalid(code: &str) -> Disposition {
    match disposition(code, None, About::Order) {
        Disposition::Stumbled => Disposition::ValidationFailed,
        known => known,
    }
}

/// Whether an order that the CA rejected may be accepted without the field `replaces`. Apart from `alreadyReplaced`, CAs do not
/// reliably report whether that field is the cause, and the certificate matters more than its history.
pub fn may_be_about_replaces(error: &AcmeError) -> bool {
    matches!(error, AcmeError::Problem { status, retry_after: None, .. } if !matches!(status, 429 | 503))
}

/// The CA's error; with the terms of service to accept, and the page that explains how (RFC 8555 section 7.3.3), if the CA
/// gives them.
pub fn words(error: &AcmeError) -> String {
    let mut words = error.to_string();
    let Some(problem) = error.problem().filter(|_| error.code() == "userActionRequired") else {
        return words;
    };
    if let Some(terms) = &problem.terms_of_service {
        words.push_str(&format!(". The terms of service are at {terms}"));
    }
    if let Some(page) = &problem.instance {
        words.push_str(&format!(". Visit {page}"));
    }
    words
}

#[cfg(test)]
mod tests;

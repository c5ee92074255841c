//! The faults of a CA, and the endpoints where they occur.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use certwright_cluster::Proxy;
use certwright_cluster::proxy::Action;
use certwright_runtime::clock;
use serde_json::json;

use super::faults::{change_json, path, refusal};

/// What the CA does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 429 with `Retry-After: 1500`.
    LimitSeconds,
    /// 429 with a date 25 minutes from now.
    LimitDate,
    /// 429 with a date long ago.
    LimitPast,
    /// 429 with years in seconds.
    LimitYears,
    /// 429 with a negative number.
    LimitNegative,
    /// 429 with a value that is not a time.
    LimitGarbage,
    /// 503 with an HTML page.
    Page,
    /// 404 with an empty body.
    Empty,
    /// The CA handles the request, and half of its answer arrives.
    Cut,
    /// No answer.
    Hang,
    /// No TLS.
    Handshake,
    /// It accepts every twenty-first nonce, and its rejections have no nonce.
    NonceBurst,
    /// It accepts no nonce.
    NonceEndless,
}

/// Where the fault occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    Authorization,
    Challenge,
    Order,
    Finalize,
    Certificate,
}

/// A fault at an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub fault: Fault,
    pub endpoint: Endpoint,
}

/// The CA's text in its problem documents.
const LIMITED: &str = "too many requests of this customer";

impl Fault {
    pub const ALL: [Self; 13] = [
        Self::LimitSeconds,
        Self::LimitDate,
        Self::LimitPast,
        Self::LimitYears,
        Self::LimitNegative,
        Self::LimitGarbage,
        Self::Page,
        Self::Empty,
        Self::Cut,
        Self::Hang,
        Self::Handshake,
        Self::NonceBurst,
        Self::NonceEndless,
    ];

    fn is_limit(self) -> bool {
        use Fault::*;
        matches!(self, LimitSeconds | LimitDate | LimitPast | LimitYears | LimitNegative | LimitGarbage)
    }

    fn action(self) -> Action {
        let limit = |retry_after: String| {
            let problem = json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": LIMITED });
            Action::Respond {
                status: 429,
                headers: vec![
                    ("content-type", "application/problem+json".into()),
                    ("retry-after", retry_after),
                ],
                body: problem.to_string(),
            }
        };
        let bad_nonce = json!({ "type": "urn:ietf:params:acme:error:badNonce", "detail": "nonce unknown" });
        match self {
            Self::LimitSeconds => limit("1500".into()),
            Self::LimitDate => {
                limit(httpdate::fmt_http_date(SystemTime::from(clock::now()) + Duration::from_secs(1500)))
            }
            Self::LimitPast => limit("Thu, 01 Jan 1970 00:00:00 GMT".into()),
            Self::LimitYears => limit("999999999999".into()),
            Self::LimitNegative => limit("-600".into()),
            Self::LimitGarbage => limit("in a while".into()),
            Self::Page => Action::Respond {
                status: 503,
                headers: vec![("content-type", "text/html".into())],
                body: "<html><style>p{}</style><h1>Down for maintenance</h1><p>Request 4711</p></html>"
                    .into(),
            },
            Self::Empty => Action::Respond { status: 404, headers: Vec::new(), body: String::new() },
            Self::Cut => Action::CutBody,
            Self::Hang => Action::Hang,
            Self::Handshake => Action::FailHandshakes,
            Self::NonceBurst => refusal(400, &bad_nonce),
            Self::NonceEndless => Action::Respond {
                status: 400,
                headers: vec![
                    ("content-type", "application/problem+json".into()),
                    ("replay-nonce", "b25lLW1vcmU".into()),
                ],
                body: bad_nonce.to_string(),
            },
        }
    }
}

impl Endpoint {
    pub const ALL: [Self; 9] = [
        Self::Directory,
        Self::NewNonce,
        Self::NewAccount,
        Self::NewOrder,
        Self::Authorization,
        Self::Challenge,
        Self::Order,
        Self::Finalize,
        Self::Certificate,
    ];

    /// The beginning of its path at Pebble.
    pub fn path(self) -> &'static str {
        match self {
            Self::Directory => path::DIRECTORY,
            Self::NewNonce => path::NEW_NONCE,
            Self::NewAccount => path::NEW_ACCOUNT,
            Self::NewOrder => path::NEW_ORDER,
            Self::Authorization => path::AUTHORIZATION,
            Self::Challenge => path::CHALLENGE,
            Self::Order => path::ORDER,
            Self::Finalize => path::FINALIZE,
            Self::Certificate => path::CERTIFICATE,
        }
    }

    /// How a message about it begins.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Directory => &["Reading the directory failed: "],
            Self::NewNonce => &["Fetching a nonce failed: "],
            // Before it registers again, it asks whether the registration succeeded.
            Self::NewAccount => &["Registering the account failed: ", "Looking up the account failed: "],
            Self::NewOrder => &["Placing the order failed: "],
            Self::Authorization => &["Reading the authorization failed: "],
            Self::Challenge => &["Answering the challenge failed: "],
            Self::Order => &["Reading the order failed: "],
            Self::Finalize => &["Finalizing the order failed: "],
            Self::Certificate => &["Downloading the certificate failed: "],
        }
    }

    /// Whether the request is about the account, so that the Issuer reports the fault.
    fn is_of_account(self) -> bool {
        matches!(self, Self::Directory | Self::NewNonce | Self::NewAccount)
    }
}

impl Cell {
    /// All possible cells: newNonce is requested with HEAD, whose answer has no body to cut, and only signed requests have
    /// nonces.
    pub fn all() -> Vec<Self> {
        let cells = Fault::ALL
            .into_iter()
            .flat_map(|fault| Endpoint::ALL.into_iter().map(move |endpoint| Self { fault, endpoint }));
        cells
            .filter(|cell| match cell.fault {
                Fault::Cut => cell.endpoint != Endpoint::NewNonce,
                Fault::NonceBurst | Fault::NonceEndless => {
                    !matches!(cell.endpoint, Endpoint::Directory | Endpoint::NewNonce)
                }
                _ => true,
            })
            .collect()
    }

    /// The CA that does it. Pebble cannot handle many concurrent orders, and if a resource is not found, another order is placed.
    pub fn ca(self) -> (Fault, Option<Endpoint>) {
        (self.fault, Some(self.endpoint).filter(|_| self.fault == Fault::Empty))
    }

    /// The name of its objects.
    pub fn name(self) -> String {
        format!("{:?}-{:?}", self.fault, self.endpoint).to_ascii_lowercase()
    }

    /// From now on, the CA behind `proxy` does this.
    pub fn script(self, proxy: &Proxy) {
        if (self.fault, self.endpoint) == (Fault::Handshake, Endpoint::Directory) {
            return proxy.fail_handshakes();
        }
        let met = AtomicUsize::new(0);
        proxy.script(move |request| {
            if !request.path.starts_with(self.endpoint.path()) {
                return Action::Pass;
            }
            let before = met.fetch_add(1, Ordering::SeqCst);
            match self.fault {
                Fault::NonceBurst if before % 21 == 20 => Action::Pass,
                fault => fault.action(),
            }
        });
    }

    /// Whether the operator succeeds while the fault lasts: the CA reports later what it has done, or accepts a nonce in the end.
    fn is_overcome(self) -> bool {
        match self.fault {
            Fault::NonceBurst => true,
            Fault::Cut => matches!(self.endpoint, Endpoint::Challenge | Endpoint::Finalize),
            _ => false,
        }
    }

    /// Whether this message is as expected.
    pub fn is_told_by(self, message: &str) -> bool {
        let what = match self.fault {
            fault if fault.is_limit() && self.endpoint == Endpoint::NewNonce => {
                " answered HTTP 429".to_owned()
            }
            // The server is not known to be a CA before it has served a directory.
            fault if fault.is_limit() && self.endpoint == Endpoint::Directory => {
                " failed: urn:ietf:params:acme:error:rateLimited".to_owned()
            }
            fault if fault.is_limit() => format!("{LIMITED} (urn:ietf:params:acme:error:rateLimited)"),
            Fault::Page if self.endpoint == Endpoint::NewNonce => " answered HTTP 503".to_owned(),
            Fault::Page => " answered HTTP 503 (text/html)".to_owned(),
            Fault::Empty => " answered HTTP 404".to_owned(),
            Fault::Cut => " does not conform to RFC 8555: it is incomplete".to_owned(),
            Fault::Hang => "no answer from 192.0.2.10 in time".to_owned(),
            Fault::Handshake => "cannot reach 192.0.2.10: TLS: ".to_owned(),
            _ => "the CA rejected every nonce (urn:ietf:params:acme:error:badNonce)".to_owned(),
        };
        message.contains(&what)
    }

    /// The expected reason.
    fn reason(self) -> &'static str {
        match self.fault {
            fault if fault.is_limit() => "RateLimited",
            Fault::NonceBurst | Fault::NonceEndless => "BadNonce",
            Fault::Empty if self.endpoint == Endpoint::NewAccount => "RegistrationRefused",
            Fault::Empty if !self.endpoint.is_of_account() => "Failed",
            _ => "CAUnavailable",
        }
    }

    /// The maximum number of requests within an hour: at the endpoint, and in total.
    fn most(self) -> (usize, usize) {
        /// At 0, 1, 3, 7, 15 and 31 minutes, and one more, whose outcome the API server did not store.
        const ATTEMPTS: usize = 7;
        match self.fault {
            Fault::LimitYears => (1, 1),
            Fault::LimitSeconds | Fault::LimitDate => (4, 16),
            fault if fault.is_limit() => (ATTEMPTS, ATTEMPTS * 4),
            // A person has to fix it: once an hour.
            Fault::Empty if self.endpoint == Endpoint::NewAccount => (1, 1),
            // A new order for each attempt.
            Fault::Empty => (ATTEMPTS, ATTEMPTS * 8),
            Fault::NonceBurst => (2 * 21, 100),
            Fault::NonceEndless => (ATTEMPTS * 64, ATTEMPTS * (64 + 4)),
            // The Issuer waits immediately.
            _ if self.endpoint.is_of_account() => (ATTEMPTS, ATTEMPTS * 2),
            // Each attempt sends three requests within seconds.
            _ => (ATTEMPTS * 3, ATTEMPTS * 3 * 4),
        }
    }

    /// What is wrong after an hour with this message, and this many requests at the endpoint and in total.
    pub fn complaints(self, told: &str, there: usize, in_all: usize) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut complain = |what: String| complaints.push(format!("{}: {what}", self.name()));
        if self.is_overcome() {
            if !told.starts_with("Issued: ") {
                complain(format!("no certificate, but {told:?}"));
            }
        } else {
            let (reason, message) = told.split_once(": ").unwrap_or_default();
            if reason != self.reason() {
                complain(format!("the reason is not {}, but {told:?}", self.reason()));
            }
            if !self.is_told_by(message) {
                complain(format!("the CA's words are not in {told:?}"));
            }
            // If TLS does not work, all endpoints are the same.
            let named = self.endpoint.words().iter().any(|words| message.starts_with(words));
            if !named && self.fault != Fault::Handshake {
                complain(format!("the endpoint is not in {told:?}"));
            }
        }
        let most = self.most();
        if there > most.0 || in_all > most.1 {
            complain(format!("{there} requests there and {in_all} in all are more than {most:?}"));
        }
        complaints
    }
}

/// Forwards a request. By the operator's clock, every order would expire immediately, so the time of expiry is removed.
pub fn pass() -> Action {
    change_json(|answer| {
        answer.as_object_mut().map(|answer| answer.remove("expires"));
    })
}

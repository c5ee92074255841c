//! Why the API server did not pass a call of `certwright-dns` on.

use http::StatusCode;

use super::services::SOLVER;
use super::webhook::Error;

/// Why the API server did not pass a call of `certwright-dns` on. `Display` is stable, and names what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// No API group of this name is registered.
    #[error(
        "certwright-dns is not installed: the API server has no API group {group}; install it with `helm install \
         certwright-dns charts/certwright-dns --namespace certwright`, see docs/certwright-dns.md"
    )]
    NotInstalled {
        /// The group.
        group: String,
    },
    /// The group is registered, and the operator may not call it.
    #[error(
        "the operator may not call certwright-dns: {message}; bind a ClusterRole with the verb create on {SOLVER} in the API \
         group {group} to its service account, as the chart of certwright-dns does"
    )]
    Forbidden {
        /// The group.
        group: String,
        /// What the API server says, verbatim.
        message: String,
    },
    /// The group is registered, and its server does not answer.
    #[error(
        "certwright-dns does not answer: the API server cannot reach it; check its pods, and `kubectl describe apiservice \
         v1alpha1.{group}`"
    )]
    Unavailable {
        /// The group.
        group: String,
    },
}

impl Unserved {
    /// What an answer to a call in `group` means that did not come from `certwright-dns`; `None` if it means something else. It is
    /// [`Self::Forbidden`] also if nothing has the group.
    pub fn of(group: &str, status: StatusCode, error: &Error) -> Option<Self> {
        let group = group.to_owned();
        let message = match error {
            Error::ApiServer { message } => format!("the API server says: {message}"),
            Error::NotJson => format!("the API server answered HTTP {}", status.as_u16()),
            _ => return None,
        };
        match status {
            StatusCode::NOT_FOUND => Some(Self::NotInstalled { group }),
            StatusCode::FORBIDDEN => Some(Self::Forbidden { group, message }),
            StatusCode::SERVICE_UNAVAILABLE => Some(Self::Unavailable { group }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "dns.example.test";

    #[test]
    fn only_an_answer_of_the_api_server_itself_says_that_certwright_dns_is_not_served() {
        let says = Error::ApiServer { message: "no".to_owned() };
        let of = |status, error: &Error| Unserved::of(GROUP, StatusCode::from_u16(status).unwrap(), error);
        let group = || GROUP.to_owned();
        for error in [&says, &Error::NotJson] {
            assert_eq!(of(404, error), Some(Unserved::NotInstalled { group: group() }));
            assert_eq!(of(503, error), Some(Unserved::Unavailable { group: group() }));
            assert_eq!(of(500, error), None);
        }
        let message = "the API server says: no".to_owned();
        assert_eq!(of(403, &says), Some(Unserved::Forbidden { group: group(), message }));
        let refused = Error::Refused { message: "no".to_owned(), reason: None, code: Some(404) };
        for error in [&refused, &Error::NoResponse, &Error::NotAPayload] {
            assert_eq!(of(404, error), None);
        }
    }
}

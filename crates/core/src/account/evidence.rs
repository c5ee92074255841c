//! Checks the account in an issuer's status against the account key Secret, because somebody who may write only the status must
//! not be able to choose the account. What the Secret does not confirm is found out again: from the Secret, or from the CA by
//! the key.

use url::Url;

use super::Recorded;
use certwright_api::{AcmeAccountStatus, PreviousAccount};

/// Whether the Secret confirms the account in the status.
///
/// If the Secret records no account at this CA, such as one that was restored without its annotations, the account is accepted
/// only if its URL has the origin of the CA's directory. Then it cannot make the operator send anything to another server.
pub fn is_confirmed(acme: &AcmeAccountStatus, on_secret: Option<&Recorded>) -> bool {
    match on_secret.filter(|recorded| recorded.server == acme.server) {
        Some(recorded) => {
            recorded.url == acme.uri && (acme.deactivation_time.is_none() || recorded.deactivated.is_some())
        }
        None => same_origin(&acme.uri, &acme.server),
    }
}

/// Whether a previous account from the status can do no harm, because its URL has the origin of the CA's directory. Previous
/// accounts are also recorded in the Secret; those from the status count only if the Secret has no list.
pub fn is_harmless(previous: &PreviousAccount, server: &str) -> bool {
    previous.server == server && same_origin(&previous.uri, server)
}

fn same_origin(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.has_host() && one.origin() == other.origin(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const SERVER: &str = "https://acme.test/directory";

    #[test]
    fn the_secret_says_which_account_its_key_has() {
        let secret = recorded("https://accounts.test/1");
        assert!(is_confirmed(&account("https://accounts.test/1"), Some(&secret)), "wherever the CA has it");
        assert!(!is_confirmed(&account("https://evil.test/1"), Some(&secret)));
        assert!(!is_confirmed(&account("https://acme.test/2"), Some(&secret)), "not another one of that CA");
    }

    #[test]
    fn an_end_that_the_secret_does_not_know_of_is_asked_for_again() {
        let mut ended = account("https://acme.test/1");
        ended.deactivation_time = Some(Time(Timestamp::UNIX_EPOCH));
        let mut secret = recorded("https://acme.test/1");
        assert!(!is_confirmed(&ended, Some(&secret)));
        secret.deactivated = Some(Timestamp::UNIX_EPOCH);
        assert!(is_confirmed(&ended, Some(&secret)));
    }

    #[test]
    fn with_a_secret_that_says_nothing_an_account_is_at_the_ca_or_nowhere() {
        let of_another_server = Recorded { server: "https://other.test/dir".to_owned(), ..recorded("x") };
        for secret in [None, Some(&of_another_server)] {
            assert!(is_confirmed(&account("https://acme.test/1"), secret));
            for uri in ["https://evil.test/1", "http://acme.test/1", "https://acme.test:444/1", "", "1"] {
                assert!(!is_confirmed(&account(uri), secret), "{uri}");
            }
        }
    }

    #[test]
    fn an_account_of_before_is_at_the_ca_or_nowhere() {
        let previous = |server: &str, uri: &str| PreviousAccount {
            server: server.to_owned(),
            uri: uri.to_owned(),
            ..PreviousAccount::default()
        };
        assert!(is_harmless(&previous(SERVER, "https://acme.test/1"), SERVER));
        assert!(!is_harmless(&previous(SERVER, "https://evil.test/1"), SERVER));
        assert!(!is_harmless(&previous("https://evil.test/dir", "https://evil.test/1"), SERVER));
    }

    fn account(uri: &str) -> AcmeAccountStatus {
        AcmeAccountStatus { uri: uri.to_owned(), server: SERVER.to_owned(), ..AcmeAccountStatus::default() }
    }

    fn recorded(url: &str) -> Recorded {
        Recorded { url: url.to_owned(), server: SERVER.to_owned(), key_id: None, deactivated: None }
    }
}

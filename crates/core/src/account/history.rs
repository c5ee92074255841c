//! The previous accounts of an issuer. They are recorded in the account key Secret, which also holds their keys, and the status
//! shows them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::renewal::whole_seconds;
use certwright_api::PreviousAccount;

/// The maximum number of deactivated accounts in the history.
const ENDED_ON_RECORD: usize = 10;

/// The key, in the data of the account key Secret, for the private key of a previous account.
pub fn entry_of_previous(data_key: &str, thumbprint: &str) -> String {
    format!("{data_key}.{thumbprint}")
}

/// Adds `account` to the history. If it then has too many deactivated accounts, the oldest of them are removed.
pub fn with_previous(history: &[PreviousAccount], account: PreviousAccount) -> Vec<PreviousAccount> {
    let mut history: Vec<_> = history.iter().filter(|known| known.uri != account.uri).cloned().collect();
    history.push(account);
    let ended = history.iter().filter(|account| account.deactivation_time.is_some()).count();
    let mut surplus = ended.saturating_sub(ENDED_ON_RECORD);
    history.retain(|account| {
        let forgotten = surplus > 0 && account.deactivation_time.is_some();
        surplus -= usize::from(forgotten);
        !forgotten
    });
    history
}

/// Marks the account `uri` in the history as deactivated. Its key is then useless, and is removed.
pub fn with_deactivated(history: &[PreviousAccount], uri: &str, now: Timestamp) -> Vec<PreviousAccount> {
    let mut history = history.to_vec();
    for account in history.iter_mut().filter(|account| account.uri == uri) {
        account.deactivation_time = Some(Time(whole_seconds(now)));
        account.secret_key = None;
    }
    history
}

/// The previous account to return to, because it is bound to `key_id` at `server`. An account that was rebound on request is
/// not returned to.
pub(super) fn to_return_to<'a>(
    history: &'a [PreviousAccount],
    server: &str,
    key_id: &str,
) -> Option<&'a PreviousAccount> {
    history.iter().rfind(|account| account.rebound != Some(true) && is_usable(account, server, key_id))
}

/// Whether a previous account is bound to `key_id` at `server` and can be used again.
pub(super) fn is_usable(account: &PreviousAccount, server: &str, key_id: &str) -> bool {
    account.server == server
        && account.bound_key_id.as_deref() == Some(key_id)
        && account.deactivation_time.is_none()
        && account.secret_key.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_in_the_history_once_and_the_newest_is_last() {
        let history = with_previous(&[account("a", false), account("b", false)], account("a", false));
        assert_eq!(uris(&history), ["b", "a"]);
    }

    #[test]
    fn accounts_that_are_valid_are_never_forgotten() {
        let mut history = Vec::new();
        for number in 0..50 {
            history = with_previous(&history, account(&format!("{number}"), number % 2 == 0));
        }
        let valid = history.iter().filter(|account| account.deactivation_time.is_none()).count();
        assert_eq!((valid, history.len()), (25, 25 + ENDED_ON_RECORD));
        assert!(uris(&history).contains(&"48") && !uris(&history).contains(&"0"));
    }

    #[test]
    fn the_key_of_a_deactivated_account_is_not_looked_for_any_more() {
        let history = with_deactivated(&[account("a", false), account("b", false)], "a", now());
        assert_eq!(history[0].secret_key, None);
        assert_eq!(history[0].deactivation_time, Some(Time(now())));
        assert_eq!(history[1], account("b", false));
        assert_eq!(to_return_to(&history, "ca", "kid").map(|account| account.uri.as_str()), Some("b"));
    }

    #[test]
    fn only_an_account_of_the_same_binding_at_the_same_ca_is_returned_to() {
        let history = [account("a", false)];
        assert!(to_return_to(&history, "ca", "kid").is_some());
        assert!(to_return_to(&history, "ca", "kid-2").is_none());
        assert!(to_return_to(&history, "another", "kid").is_none());
        assert!(to_return_to(&[account("a", true)], "ca", "kid").is_none());
    }

    fn account(uri: &str, ended: bool) -> PreviousAccount {
        PreviousAccount {
            uri: uri.to_owned(),
            server: "ca".to_owned(),
            bound_key_id: Some("kid".to_owned()),
            secret_key: (!ended).then(|| format!("tls.key.{uri}")),
            deactivation_time: ended.then(|| Time(now())),
            ..PreviousAccount::default()
        }
    }

    fn uris(history: &[PreviousAccount]) -> Vec<&str> {
        history.iter().map(|account| account.uri.as_str()).collect()
    }

    fn now() -> Timestamp {
        "2026-11-22T03:00:00Z".parse().unwrap()
    }
}

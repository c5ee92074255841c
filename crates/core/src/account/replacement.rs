//! Replacing one account with another. The old account stays recorded, and its key stays in the Secret.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{KeySecret, Recorded, Snapshot, State, entry_of_previous, with_previous};
use crate::renewal::whole_seconds;
use certwright_api::PreviousAccount;

/// What the Secret must hold in addition to the new account key.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// The previous accounts.
    pub history: Vec<PreviousAccount>,
    /// The key in the Secret's data under which to keep the replaced private key; `None` if it has no account that is still
    /// active.
    pub kept_under: Option<String>,
}

impl State {
    /// What the Secret must hold when another key replaces the current one: a new key, or that of the previous account
    /// `returned_to`.
    pub fn replacement(
        &self,
        snapshot: &Snapshot<'_>,
        returned_to: Option<&PreviousAccount>,
        now: Timestamp,
    ) -> Replacement {
        let mut history = self.history.clone();
        if let Some(account) = returned_to {
            history.retain(|known| known.uri != account.uri);
        }
        let mut kept_under = None;
        if let Some(mut replaced) = self.account_to_replace(snapshot) {
            if replaced.deactivation_time.is_none() {
                kept_under = Some(entry_of_previous(snapshot.key_secret_name.1, &replaced.key_thumbprint));
                replaced.secret_key.clone_from(&kept_under);
            }
            replaced.replacement_time = Some(Time(whole_seconds(now)));
            // A new key for the same external account is only generated for a rebinding.
            let same = returned_to.is_none() && replaced.bound_key_id.as_deref() == snapshot.wanted_key_id();
            replaced.rebound = (same && replaced.bound_key_id.is_some()).then_some(true);
            history = with_previous(&history, replaced);
        }
        Replacement { history, kept_under }
    }

    /// The account of the current key, as recorded in the status or in the Secret.
    fn account_to_replace(&self, snapshot: &Snapshot<'_>) -> Option<PreviousAccount> {
        let KeySecret::Key { thumbprint, account: on_secret, .. } = snapshot.key_secret else { return None };
        let in_status = self.status.acme.as_ref().filter(|acme| acme.key_thumbprint == *thumbprint);
        let on_secret = on_secret.as_ref();
        let ended = |recorded: &Recorded| recorded.deactivated.map(|time| Time(whole_seconds(time)));
        let uri = in_status.map(|acme| acme.uri.clone()).or(on_secret.map(|recorded| recorded.url.clone()))?;
        let server =
            in_status.map(|acme| acme.server.clone()).or(on_secret.map(|recorded| recorded.server.clone()))?;
        let bound_key_id = match in_status {
            Some(acme) => acme.bound_key_id.clone(),
            None => on_secret.and_then(|recorded| recorded.key_id.clone()),
        };
        let deactivation_time =
            in_status.and_then(|acme| acme.deactivation_time.clone()).or_else(|| on_secret.and_then(ended));
        Some(PreviousAccount {
            uri,
            server,
            bound_key_id,
            key_thumbprint: thumbprint.clone(),
            deactivation_time,
            ..PreviousAccount::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::snapshot;
    use certwright_api::{AcmeAccountStatus, AcmeIssuer, IssuerStatus};

    const SERVER: &str = "https://acme.test/dir";

    #[test]
    fn the_account_that_is_returned_to_is_no_longer_a_previous_one() {
        let state = State { history: vec![previous("0"), previous("7")], ..state("mine", "1") };
        let replacement = replacement(&state, Some(&previous("0")));
        assert_eq!(uris(&replacement), ["7", "1"]);
        assert_eq!(replacement.kept_under.as_deref(), Some("tls.key.mine"));
        let replaced = replacement.history.last().unwrap();
        assert_eq!(replaced.secret_key, replacement.kept_under);
        assert_eq!(replaced.replacement_time, Some(Time(now())));
    }

    #[test]
    fn the_account_that_is_replaced_is_the_one_of_the_key_in_the_secret() {
        for (thumbprint, expected) in [("mine", "1"), ("of another key", "2")] {
            let replacement = replacement(&state(thumbprint, "1"), None);
            assert_eq!(uris(&replacement), [expected], "{thumbprint}");
        }
    }

    /// The key in the Secret, `mine`, is replaced; the Secret says that it has the account 2.
    fn replacement(state: &State, returned_to: Option<&PreviousAccount>) -> Replacement {
        let spec = AcmeIssuer { server: SERVER.to_owned(), ..AcmeIssuer::default() };
        let recorded =
            Recorded { url: "2".to_owned(), server: SERVER.to_owned(), key_id: None, deactivated: None };
        let key_secret =
            KeySecret::Key { thumbprint: "mine".to_owned(), ours: true, account: Some(recorded) };
        state.replacement(&snapshot(&spec, &key_secret), returned_to, now())
    }

    /// The status has this account.
    fn state(thumbprint: &str, uri: &str) -> State {
        let acme = AcmeAccountStatus {
            uri: uri.to_owned(),
            server: SERVER.to_owned(),
            key_thumbprint: thumbprint.to_owned(),
            ..AcmeAccountStatus::default()
        };
        let status = IssuerStatus { acme: Some(acme), ..IssuerStatus::default() };
        State { status, ..State::default() }
    }

    fn previous(uri: &str) -> PreviousAccount {
        PreviousAccount { uri: uri.to_owned(), server: SERVER.to_owned(), ..PreviousAccount::default() }
    }

    fn uris(replacement: &Replacement) -> Vec<&str> {
        replacement.history.iter().map(|account| account.uri.as_str()).collect()
    }

    fn now() -> Timestamp {
        "2026-11-22T03:00:00Z".parse().unwrap()
    }
}

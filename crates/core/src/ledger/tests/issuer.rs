//! The status of an issuer.

use super::*;
use certwright_api::{IssuerStatus, KeptAuthorizationStatus, PendingAuthorization};

fn status() -> IssuerStatus {
    let pending = PendingAuthorization {
        url: "https://ca.test/authz/1".to_owned(),
        account: "https://ca.test/account/1".to_owned(),
        since: Time(Timestamp::UNIX_EPOCH),
        seal: None,
    };
    let entry = KeptAuthorizationStatus {
        dns_name: "a.test".to_owned(),
        pending: Some(pending),
        ..KeptAuthorizationStatus::default()
    };
    let mut status = IssuerStatus {
        authorizations: vec![entry],
        dns_records: ledger().dns_records,
        ..IssuerStatus::default()
    };
    keys().seal_issuer(OWNER, &mut status);
    status
}

#[test]
fn what_was_sealed_in_the_status_of_an_issuer_is_known_again() {
    let mut status = status();
    let before = status.clone();
    assert_eq!(keys().take_unverified_of_issuer(OWNER, &mut status), []);
    assert_eq!(status, before);
}

#[test]
fn an_entry_of_another_issuer_or_with_another_content_is_removed() {
    let elsewhere = Owner { namespace: "shop", uid: "another" };
    let mut moved = status();
    assert_eq!(keys().take_unverified_of_issuer(elsewhere, &mut moved).len(), status().dns_records.len());
    assert!(moved.dns_records.is_empty() && moved.authorizations[0].pending.is_none());
    let changes: [fn(&mut KeptAuthorizationStatus); 3] = [
        |entry| entry.dns_name = "b.test".to_owned(),
        |entry| entry.pending.as_mut().unwrap().url = "https://evil.test/1".to_owned(),
        |entry| entry.pending.as_mut().unwrap().account.push('0'),
    ];
    for change in changes {
        let mut status = status();
        change(&mut status.authorizations[0]);
        assert_eq!(keys().take_unverified_of_issuer(OWNER, &mut status), []);
        assert!(status.authorizations[0].pending.is_none());
    }
}

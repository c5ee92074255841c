//! The contact of an account: e-mail addresses.

use certwright_api::{AcmeAccountStatus, AcmeIssuer};

/// The e-mail addresses in the spec: `email` first, then `emails`, each once.
pub fn wanted_contact(spec: &AcmeIssuer) -> Vec<&str> {
    let mut wanted: Vec<&str> = Vec::new();
    for email in spec.email.iter().chain(&spec.emails).map(|email| email.trim()) {
        if !email.is_empty() && !wanted.contains(&email) {
            wanted.push(email);
        }
    }
    wanted
}

/// Whether exactly these addresses were last sent to the CA.
pub(super) fn is_told(account: &AcmeAccountStatus, wanted: &[&str]) -> bool {
    match account.last_registered_emails.as_slice() {
        // An older version, which supports only one address, wrote this status.
        [] => account.last_registered_email.as_deref().into_iter().eq(wanted.iter().copied()),
        told => told.iter().eq(wanted),
    }
}

/// Records the addresses that were sent to the CA.
pub fn note_contact(account: &mut AcmeAccountStatus, told: Vec<String>) {
    account.last_registered_email = told.first().cloned();
    account.last_registered_emails = told;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contact_is_email_and_then_emails_each_once() {
        for (email, emails, expected) in [
            (None, vec![], vec![]),
            (Some("a@test"), vec![], vec!["a@test"]),
            (None, vec!["b@test", "c@test"], vec!["b@test", "c@test"]),
            (Some("a@test"), vec!["b@test", "a@test"], vec!["a@test", "b@test"]),
            (Some(""), vec!["", " b@test "], vec!["b@test"]),
        ] {
            assert_eq!(wanted_contact(&spec(email, &emails)), expected, "{email:?} {emails:?}");
        }
    }

    #[test]
    fn the_ca_is_told_what_it_was_not_told_yet() {
        let mut account = AcmeAccountStatus::default();
        assert!(is_told(&account, &[]));
        assert!(!is_told(&account, &["a@test"]));
        note_contact(&mut account, vec!["a@test".to_owned(), "b@test".to_owned()]);
        assert_eq!(account.last_registered_email.as_deref(), Some("a@test"));
        assert!(is_told(&account, &["a@test", "b@test"]));
        for other in [&[][..], &["a@test"], &["b@test", "a@test"], &["a@test", "b@test", "c@test"]] {
            assert!(!is_told(&account, other), "{other:?}");
        }
        note_contact(&mut account, Vec::new());
        assert_eq!(account.last_registered_email, None);
        assert!(is_told(&account, &[]));
    }

    #[test]
    fn a_status_of_an_older_version_has_one_address() {
        let account = AcmeAccountStatus {
            last_registered_email: Some("a@test".to_owned()),
            ..AcmeAccountStatus::default()
        };
        assert!(is_told(&account, &["a@test"]));
        assert!(!is_told(&account, &["a@test", "b@test"]));
    }

    fn spec(email: Option<&str>, emails: &[&str]) -> AcmeIssuer {
        AcmeIssuer {
            email: email.map(str::to_owned),
            emails: emails.iter().map(|&email| email.to_owned()).collect(),
            ..AcmeIssuer::default()
        }
    }
}

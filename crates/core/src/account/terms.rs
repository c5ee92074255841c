//! The terms of service that the account agreed to, and those that the CA has now.

use certwright_api::AcmeAccountStatus;

/// Records the terms of service in the CA's directory. Returns whether they have just changed to other terms than those agreed
/// to.
pub fn note_terms(account: &mut AcmeAccountStatus, known: Option<&str>) -> bool {
    let Some(known) = known else { return false };
    let others = account.terms_of_service.as_deref() != Some(known);
    let latest = others.then(|| known.to_owned());
    let news = latest.is_some() && latest != account.latest_terms_of_service;
    account.latest_terms_of_service = latest;
    news
}

/// Whether the terms of service differ from those recorded.
pub fn has_other_terms(account: &AcmeAccountStatus, known: Option<&str>) -> bool {
    let noted = account.latest_terms_of_service.as_ref().or(account.terms_of_service.as_ref());
    known.is_some() && noted.map(String::as_str) != known
}

/// The part of the condition's message about changed terms.
pub fn changed_terms(account: &AcmeAccountStatus) -> Option<String> {
    let latest = account.latest_terms_of_service.as_ref()?;
    Some(match &account.terms_of_service {
        Some(agreed) => format!(
            "The CA's terms of service have changed from {agreed} to {latest}; read them, and delete and \
             recreate this issuer to agree"
        ),
        None => format!(
            "The CA now has terms of service, at {latest}; read them, and delete and recreate this issuer to agree"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_change_are_noted_once_and_those_agreed_to_stay_on_record() {
        let mut account =
            AcmeAccountStatus { terms_of_service: Some("a".to_owned()), ..AcmeAccountStatus::default() };
        for (known, news, latest) in [
            (None, false, None),
            (Some("a"), false, None),
            (Some("b"), true, Some("b")),
            (None, false, Some("b")),
            (Some("b"), false, Some("b")),
            (Some("c"), true, Some("c")),
            (Some("a"), false, None),
        ] {
            let asked = has_other_terms(&account, known);
            assert_eq!(note_terms(&mut account, known), news, "{known:?}");
            assert_eq!(account.latest_terms_of_service.as_deref(), latest, "{known:?}");
            assert!(asked || !news, "{known:?}: it is looked at");
            assert!(!has_other_terms(&account, known), "{known:?}: and only once");
            assert_eq!(changed_terms(&account).is_some(), latest.is_some());
        }
        assert_eq!(account.terms_of_service.as_deref(), Some("a"));
    }
}

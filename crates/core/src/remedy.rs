//! What a person does about an error of the CA: the end of a message, and the entry of a code in the documentation.

use std::fmt;

use certwright_acme::{Class, Code, Place};
use certwright_api::IssuerKind;

/// The longest message, in bytes, to which a remedy is added: longer ones list many names, and conditions are bounded.
const ROOM: usize = 4096;

/// What to retry once a person has acted. `Display` is the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry<'a> {
    /// An issuer.
    Issuer {
        /// Its kind.
        kind: IssuerKind,
        /// Its name.
        name: &'a str,
    },
    /// The Certificate with this name.
    Certificate(&'a str),
}

/// What was said, followed by the remedy for the CA's `code`, if that is known and there is room, and by the command that
/// retries immediately.
pub fn with_remedy(said: &str, code: &str, place: Place, retry: Option<&Retry<'_>>) -> String {
    let Some(known) = Code::find(code).filter(|_| said.len() <= ROOM) else { return said.to_owned() };
    let said = said.trim_end_matches('.');
    format!("{said}. {}{}", known.remedy.at(place), retry.map(then).unwrap_or_default())
}

/// The remedy for a code, for all places in which it can occur. In Markdown.
pub fn explained(code: &Code) -> String {
    let retry = match code.class {
        Class::CaMustAct => Some(Retry::Issuer { kind: IssuerKind::Issuer, name: "NAME" }),
        Class::NotAllowed => Some(Retry::Certificate("NAME")),
        Class::AccountUnusable | Class::RateLimit | Class::Temporary | Class::DependsOnRequest => None,
    };
    let mut text = format!("{}{}.", code.remedy.usual, retry.as_ref().map(then).unwrap_or_default());
    let special = [("an account", code.remedy.of_account), ("a challenge", code.remedy.of_challenge)];
    for (place, remedy) in special {
        text.extend(remedy.map(|remedy| format!(" **About {place}**: {remedy}.")));
    }
    text
}

/// What to do in the end. A changed spec of a Certificate is tried at once.
fn then(retry: &Retry<'_>) -> String {
    match retry {
        Retry::Issuer { .. } => format!(". Then run `{retry}`"),
        Retry::Certificate(_) => format!(". Then run `{retry}`, unless you have changed its spec"),
    }
}

impl fmt::Display for Retry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer { kind, name } => {
                write!(f, "certwright retry {} {name}", kind.as_str().to_ascii_lowercase())
            }
            Self::Certificate(name) => write!(f, "certwright renew {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_acme::CODES;

    #[test]
    fn a_message_ends_with_what_to_do_and_the_words_of_the_ca_come_first() {
        let shop = Retry::Issuer { kind: IssuerKind::ClusterIssuer, name: "shop" };
        let said = "Placing the order failed: OUT_OF_CREDIT: no credit left.";
        assert_eq!(
            with_remedy(said, "OUT_OF_CREDIT", Place::Order, Some(&shop)),
            "Placing the order failed: OUT_OF_CREDIT: no credit left. Buy credit in the CA's portal. Then run \
             `certwright retry clusterissuer shop`"
        );
        assert_eq!(with_remedy(said, "NEVER_HEARD_OF", Place::Order, None), said);
        let long = "x".repeat(5000);
        assert_eq!(with_remedy(&long, "OUT_OF_CREDIT", Place::Order, None), long);
    }

    #[test]
    fn what_to_do_may_depend_on_what_the_error_is_about() {
        let at = |place| with_remedy("Failed", "RATE_LIMITED", place, None);
        assert_eq!(
            at(Place::Order),
            "Failed. This ends by itself; if it happens often, request fewer certificates at a time, or ask the CA for a \
             higher limit"
        );
        assert_eq!(
            at(Place::Challenge),
            "Failed. The CA has checked the same challenge too often without success: correct what prevents it from seeing \
             the response before the next attempt, which gets another challenge"
        );
        let at = |place| with_remedy("Failed", "unauthorized", place, None);
        assert!(at(Place::Account).contains("Check the key id and the MAC key"));
        assert!(at(Place::Challenge).contains("another server that answers for the name"));
    }

    #[test]
    fn every_code_has_a_remedy_of_its_own_that_fits_into_an_event() {
        for code in CODES {
            let remedies = [Some(code.remedy.usual), code.remedy.of_account, code.remedy.of_challenge];
            for remedy in remedies.into_iter().flatten() {
                assert!((20..=200).contains(&remedy.len()), "{}: {} bytes", code.code, remedy.len());
                assert!(!remedy.ends_with('.') && !remedy.contains('|'), "{}: {remedy}", code.code);
            }
        }
    }

    #[test]
    fn the_explanation_of_a_code_covers_every_place() {
        let explained = |code| explained(Code::find(code).unwrap());
        assert_eq!(
            explained("SUSPENDED_EXTERNAL_ACCOUNT"),
            "Reactivate the key id in the CA's portal; if that is not possible there, ask the CA's support. Then run \
             `certwright retry issuer NAME`."
        );
        let text = explained("unauthorized");
        assert!(
            text.contains(" **About an account**: Check the key id and the MAC key against the CA's portal")
        );
        assert!(text.contains(" **About a challenge**: Find out what the CA sees instead of the response"));
    }
}

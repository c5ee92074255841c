//! The authorizations of orders.

use super::{Ca, VALID_UNTIL};
use certwright_acme::{
    Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, Identifier,
};

impl Ca {
    pub(super) fn authorization(&self, name: &Identifier, order: usize, valid: bool) -> Authorization {
        authorization(name, order, valid, self.offers.clone())
    }
}

/// The authorization of a name, with one challenge.
pub(super) fn authorization(
    name: &Identifier,
    order: usize,
    valid: bool,
    offers: Option<ChallengeType>,
) -> Authorization {
    let wildcard = name.value.starts_with("*.");
    let typ = offers.unwrap_or(if wildcard { ChallengeType::Dns01 } else { ChallengeType::Http01 });
    let challenge = Challenge {
        typ,
        url: format!("challenge/{order}/{name}"),
        status: if valid { ChallengeStatus::Valid } else { ChallengeStatus::Pending },
        token: format!("token-{order}-{name}"),
        error: None,
        issuer_domain_names: Vec::new(),
        issuer_domain_names_01: Vec::new(),
    };
    Authorization {
        identifier: Identifier { value: name.value.trim_start_matches("*.").to_owned(), ..name.clone() },
        status: if valid { AuthorizationStatus::Valid } else { AuthorizationStatus::Pending },
        expires: valid.then(|| VALID_UNTIL.parse().unwrap()),
        challenges: vec![challenge],
        wildcard,
        covers_subdomains: false,
    }
}

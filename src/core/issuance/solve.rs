//! Which challenge is taken of each authorization.

use std::collections::BTreeMap;

use crate::acme::{Authorization, AuthorizationStatus, ChallengeStatus, ChallengeType};
use crate::api::{Http01Ingress, Solver};
use crate::core::solvers::solver_for;

/// A challenge that was chosen, and how its answer is presented.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenged {
    /// The name, without `*.`.
    pub name: String,
    /// URL of its authorization.
    pub authorization: String,
    /// URL of the challenge.
    pub url: String,
    /// Token of the challenge.
    pub token: String,
    /// Type of the challenge.
    pub typ: ChallengeType,
    /// Whether the CA was told to look before.
    pub processing: bool,
    /// Whether the CA has looked in vain, and waits to be told again (RFC 8555 section 8.2).
    pub stalled: bool,
    /// The Ingress that leads to the answer.
    pub ingress: Http01Ingress,
}

/// Control of some names cannot be proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct NoSolver(Vec<String>);

impl Authorization {
    /// Whether it will never become valid.
    pub(super) fn is_dead(&self) -> bool {
        !matches!(self.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid)
    }
}

/// The challenges to take, one for each authorization that is pending. An authorization that is valid already needs
/// none, so no solver needs to match it.
///
/// # Errors
/// [`NoSolver`], which says for each name what the CA offered and what the issuer has.
pub fn challenges(
    authorizations: &[(String, Authorization)],
    solvers: &[Solver],
    labels: &BTreeMap<String, String>,
) -> Result<Vec<Challenged>, NoSolver> {
    let mut chosen = Vec::new();
    let mut without = Vec::new();
    for (url, authorization) in authorizations {
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        match choose(url, authorization, solvers, labels) {
            Ok(challenged) => chosen.push(challenged),
            Err(why) => without.push(why),
        }
    }
    if without.is_empty() { Ok(chosen) } else { Err(NoSolver(without)) }
}

fn choose(
    url: &str,
    authorization: &Authorization,
    solvers: &[Solver],
    labels: &BTreeMap<String, String>,
) -> Result<Challenged, String> {
    let full_name = authorization.name();
    let name = full_name.trim_start_matches("*.");
    let wildcard = full_name.starts_with("*.");
    if wildcard {
        return Err(format!(
            "{full_name}: a wildcard can be proved by dns-01 only, and the issuer has solvers for http-01 only"
        ));
    }
    let offered = authorization.challenges.iter().find(|challenge| challenge.typ == ChallengeType::Http01);
    let Some(challenge) = offered else {
        let offered: Vec<&str> =
            authorization.challenges.iter().map(|challenge| challenge.typ.as_str()).collect();
        return Err(format!(
            "{full_name}: the CA offers {}, and the issuer has solvers for http-01 only",
            if offered.is_empty() { "no challenge".to_owned() } else { offered.join(", ") }
        ));
    };
    let solver = solver_for(solvers, name, wildcard, labels, |solver| solver.http01.is_some());
    let ingress = solver.and_then(|solver| solver.http01.as_ref()?.ingress.clone());
    let Some(ingress) = ingress else {
        return Err(match solvers.is_empty() {
            true => format!("{full_name}: the issuer has no solvers; add one to spec.acme.solvers"),
            false => format!("{full_name}: no solver of the issuer selects this name and these labels"),
        });
    };
    Ok(Challenged {
        name: name.to_owned(),
        authorization: url.to_owned(),
        url: challenge.url.clone(),
        token: challenge.token.clone(),
        typ: challenge.typ.clone(),
        processing: challenge.status == ChallengeStatus::Processing,
        stalled: challenge.status == ChallengeStatus::Pending && challenge.error.is_some(),
        ingress,
    })
}

#[cfg(test)]
mod tests;

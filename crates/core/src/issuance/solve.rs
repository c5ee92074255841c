//! Chooses a challenge for each authorization.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::http01_overrides::Http01Overrides;
use crate::solvers::solver_for;
use certwright_acme::{Authorization, AuthorizationStatus, ChallengeStatus, ChallengeType};
use certwright_api::{
    ChallengeLabel, ChallengeWay, Dns01Solver, DnsPersist01Solver, Http01GatewayHttpRoute, Http01Ingress,
    Solver, SolverSelfCheck, TlsAlpn01GatewayTlsRoute, TlsAlpn01Solver,
};

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
    /// Whether the CA was already told to validate it.
    pub processing: bool,
    /// Whether the CA's validation failed, and the CA waits to be told again (RFC 8555 section 8.2).
    pub stalled: bool,
    /// How its answer is presented.
    pub way: Way,
    /// How its answer is checked.
    pub check: SolverSelfCheck,
}

impl Challenged {
    /// Whether its answer is not checked.
    pub fn is_unchecked(&self) -> bool {
        self.check.disabled == Some(true)
    }

    /// When the CA is told to validate whatever the self-check sees, if the solver says so. The answer is presented since `since`.
    pub fn told_anyway(&self, since: Timestamp) -> Option<Timestamp> {
        match self.check.timeout {
            Some(timeout) => Some(after(since, timeout.into())),
            None => self.is_unchecked().then_some(since),
        }
    }

    /// The entry for the status; `before` are its current entries.
    pub(super) fn recorded(
        &self,
        before: &[certwright_api::ChallengeStatus],
    ) -> certwright_api::ChallengeStatus {
        let before = before.iter().find(|before| before.url == self.url);
        let state = if self.processing { ChallengeStatus::Processing } else { ChallengeStatus::Pending };
        let (way, ingress) = self.way.recorded();
        certwright_api::ChallengeStatus {
            name: self.name.clone(),
            type_: self.typ.to_string(),
            state: state.to_string(),
            reason: before.and_then(|before| before.reason.clone()),
            token: self.token.clone(),
            url: self.url.clone(),
            authorization: self.authorization.clone(),
            way,
            ingress,
            seal: None,
        }
    }
}

/// How the answer to a challenge is presented.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// By an Ingress that leads to it.
    Ingress(Http01Ingress),
    /// By an HTTPRoute that leads to it.
    Route(Http01GatewayHttpRoute),
    /// By a TXT record.
    Record(Box<Dns01Solver>),
    /// By a TXT record that is there permanently.
    Persistent(Box<DnsPersist01Solver>),
    /// By a TLSRoute that leads to it.
    TlsRoute(TlsAlpn01GatewayTlsRoute),
    /// By a proxy in front of the name, which forwards TLS handshakes with the protocol `acme-tls/1`.
    FrontProxy,
}

impl Way {
    fn of(solver: &Solver) -> Option<Self> {
        let http01 = solver.http01.as_ref();
        let ingress = http01.and_then(|http01| http01.ingress.clone()).map(Self::Ingress);
        let route = || http01.and_then(|http01| http01.gateway_http_route.clone()).map(Self::Route);
        let record = || solver.dns01.clone().map(Box::new).map(Self::Record);
        let persistent = || solver.dns_persist01.clone().map(Box::new).map(Self::Persistent);
        let tls = |solver: &TlsAlpn01Solver| {
            solver.gateway_tls_route.clone().map_or(Self::FrontProxy, Self::TlsRoute)
        };
        let tls = || solver.tls_alpn01.as_ref().map(tls);
        ingress.or_else(route).or_else(record).or_else(persistent).or_else(tls)
    }

    /// How the status records it, and the name of the edited Ingress.
    fn recorded(&self) -> (ChallengeWay, Option<String>) {
        match self {
            Self::Ingress(spec) => match spec.edited() {
                Some(name) => (ChallengeWay::EditedIngress, Some(name.to_owned())),
                None => (ChallengeWay::Ingress, None),
            },
            Self::Route(_) => (ChallengeWay::HttpRoute, None),
            Self::Record(_) => (ChallengeWay::TxtRecord, None),
            Self::Persistent(_) => (ChallengeWay::PersistentRecord, None),
            Self::TlsRoute(_) => (ChallengeWay::TlsRoute, None),
            Self::FrontProxy => (ChallengeWay::FrontProxy, None),
        }
    }

    /// Whether it can prove control of a name; a wildcard requires DNS.
    fn proves(&self, wildcard: bool) -> bool {
        !wildcard || carrier(self.recorded().0) == Carrier::Dns
    }

    /// The type of the challenges that are answered in this way.
    fn challenge_type(&self) -> ChallengeType {
        match self {
            Self::Ingress(_) | Self::Route(_) => ChallengeType::Http01,
            Self::Record(solver) => match solver.label.unwrap_or_default() {
                ChallengeLabel::Standard => ChallengeType::Dns01,
                ChallengeLabel::Account => ChallengeType::DnsAccount01,
            },
            Self::Persistent(_) => ChallengeType::DnsPersist01,
            Self::TlsRoute(_) | Self::FrontProxy => ChallengeType::TlsAlpn01,
        }
    }
}

/// The time `timeout` after `since`.
pub(crate) fn after(since: Timestamp, timeout: Duration) -> Timestamp {
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    since.saturating_add(timeout).unwrap_or(Timestamp::MAX)
}

/// What carries the answer to the CA.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Http,
    Tls,
    Dns,
}

fn carrier(way: ChallengeWay) -> Carrier {
    match way {
        ChallengeWay::Ingress | ChallengeWay::EditedIngress | ChallengeWay::HttpRoute => Carrier::Http,
        ChallengeWay::TlsRoute | ChallengeWay::FrontProxy => Carrier::Tls,
        ChallengeWay::TxtRecord | ChallengeWay::PersistentRecord => Carrier::Dns,
    }
}

/// The solver for a name, and its type of challenge, if the CA offers all types.
pub fn solver_of<'a>(
    solvers: &'a [Solver],
    full_name: &str,
    labels: &BTreeMap<String, String>,
) -> Option<(&'a Solver, ChallengeType)> {
    let name = full_name.trim_start_matches("*.");
    let wildcard = full_name.starts_with("*.");
    let usable = |solver: &Solver| Way::of(solver).is_some_and(|way| way.proves(wildcard));
    let solver = solver_for(solvers, name, wildcard, labels, usable)?;
    Some((solver, Way::of(solver)?.challenge_type()))
}

/// Whether the answer to this challenge is presented over HTTP.
pub fn is_over_http(challenge: &certwright_api::ChallengeStatus) -> bool {
    carrier(challenge.way) == Carrier::Http
}

/// Whether the answer to this challenge is presented in a TLS handshake.
pub fn is_over_tls(challenge: &certwright_api::ChallengeStatus) -> bool {
    carrier(challenge.way) == Carrier::Tls
}

/// Whether a Service in the Certificate's namespace leads to the answer to this challenge.
pub fn has_service(challenge: &certwright_api::ChallengeStatus) -> bool {
    is_over_http(challenge) || challenge.way == ChallengeWay::TlsRoute
}

/// Control of some names cannot be proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "))]
pub struct NoSolver(Vec<(String, String)>);

impl NoSolver {
    /// The names without a solver.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// The chosen challenges, one for each pending authorization. An authorization that is already valid needs none, so no solver
/// has to match it. `overrides` are those of the Certificate's annotations.
///
/// # Errors
/// [`NoSolver`], which says for each name what the CA offered and what the issuer has.
pub fn challenges(
    authorizations: &[(String, Authorization)],
    solvers: &[Solver],
    labels: &BTreeMap<String, String>,
    overrides: &Result<Http01Overrides, String>,
) -> Result<Vec<Challenged>, NoSolver> {
    let mut chosen = Vec::new();
    let mut without = Vec::new();
    for (url, authorization) in authorizations {
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        match choose(url, authorization, solvers, labels, overrides) {
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
    overrides: &Result<Http01Overrides, String>,
) -> Result<Challenged, (String, String)> {
    let full_name = authorization.name();
    let name = full_name.trim_start_matches("*.");
    let wildcard = full_name.starts_with("*.");
    let offered = |typ: &ChallengeType| authorization.challenges.iter().find(|offer| offer.typ == *typ);
    let usable = |solver: &Solver| {
        Way::of(solver).is_some_and(|way| offered(&way.challenge_type()).is_some() && way.proves(wildcard))
    };
    let solver = solver_for(solvers, name, wildcard, labels, usable);
    let way = solver.and_then(Way::of);
    let challenge = way.as_ref().and_then(|way| offered(&way.challenge_type()));
    let (Some(way), Some(challenge)) = (way, challenge) else {
        let why = why_none(authorization, solvers, labels);
        return Err((full_name, why));
    };
    let way = overridden(way, overrides).map_err(|why| (full_name.clone(), why))?;
    Ok(Challenged {
        name: name.to_owned(),
        authorization: url.to_owned(),
        url: challenge.url.clone(),
        token: challenge.token.clone(),
        typ: challenge.typ.clone(),
        processing: challenge.status == ChallengeStatus::Processing,
        stalled: challenge.status == ChallengeStatus::Pending && challenge.error.is_some(),
        way,
        check: solver.map(Solver::check).unwrap_or_default(),
    })
}

/// What the annotations of the Certificate make of a way.
fn overridden(way: Way, overrides: &Result<Http01Overrides, String>) -> Result<Way, String> {
    match (way, overrides) {
        (Way::Ingress(solver), Ok(overrides)) => Ok(Way::Ingress(overrides.on_ingress(solver))),
        (Way::Route(solver), Ok(overrides)) => overrides.on_route(solver).map(Way::Route),
        (Way::Ingress(_) | Way::Route(_), Err(why)) => Err(why.clone()),
        (other, _) => Ok(other),
    }
}

/// The types of challenges that solvers answer.
const TYPES: [ChallengeType; 5] = [
    ChallengeType::Http01,
    ChallengeType::Dns01,
    ChallengeType::DnsAccount01,
    ChallengeType::DnsPersist01,
    ChallengeType::TlsAlpn01,
];

/// Why no solver can prove control of the name.
fn why_none(authorization: &Authorization, solvers: &[Solver], labels: &BTreeMap<String, String>) -> String {
    let full_name = authorization.name();
    let name = full_name.trim_start_matches("*.");
    let wildcard = full_name.starts_with("*.");
    if solvers.is_empty() {
        return "the issuer has no solvers; add one to spec.acme.solvers".to_owned();
    }
    let selecting = |typ: &ChallengeType| {
        let of_type = |solver: &Solver| Way::of(solver).is_some_and(|way| way.challenge_type() == *typ);
        solver_for(solvers, name, wildcard, labels, of_type).is_some()
    };
    let has: Vec<&ChallengeType> = TYPES.iter().filter(|typ| selecting(typ)).collect();
    if has.is_empty() {
        return "no solver of the issuer matches this name and these labels".to_owned();
    }
    let for_one_name = |typ: &&ChallengeType| matches!(typ, ChallengeType::Http01 | ChallengeType::TlsAlpn01);
    let needs_dns = wildcard && has.iter().all(for_one_name);
    let has = has.iter().map(|typ| typ.as_str()).collect::<Vec<_>>().join(" and ");
    if needs_dns {
        return format!("a wildcard requires dns-01, but the issuer's solvers for it use {has}");
    }
    let offered: Vec<&str> =
        authorization.challenges.iter().map(|challenge| challenge.typ.as_str()).collect();
    let offered = if offered.is_empty() { "no challenge".to_owned() } else { offered.join(", ") };
    format!("the CA offers {offered}, but the issuer's solvers for this name use {has}")
}

#[cfg(test)]
mod tests;

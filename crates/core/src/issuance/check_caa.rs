//! Whether CAA records allow the CA to issue, before an order is placed: a CA that must refuse is not asked.

use jiff::Timestamp;

use super::outcome::Consequence;
use super::solve::solver_of;
use super::{CaaAnswer, CaaName, CaaQuestion, Ending, Failure, IssuanceStep, Situation, Snapshot, State};
use crate::caa::{Forbidden, Request, check, usable};
use crate::conditions::sentence;
use crate::disposition::{self, Disposition};
use crate::spec::ValidatedCertificate;
use certwright_acme::ChallengeType;
use certwright_api::{Solver, certificate_reason as reason};

/// The CA's code for the same. It is the reason, too.
const CODE: &str = "caa";
/// How many different causes a message has.
const MOST_CAUSES: usize = 5;

/// Looks up the CAA records, unless the issuer does without, or the answer is known.
pub(super) fn ask(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    account: &str,
    solvers: &[Solver],
) -> Option<IssuanceStep> {
    if !situation.checks_caa || wanted.subject.dns_names.is_empty() {
        return None;
    }
    let names = wanted.subject.dns_names.iter().map(|name| {
        let solver = solver_of(solvers, name, situation.labels);
        CaaName {
            name: name.clone(),
            nameservers: solver.as_ref().map(|(solver, _)| solver.nameservers().to_vec()).unwrap_or_default(),
            method: solver.map(|(_, method)| method),
        }
    });
    let question = CaaQuestion { account: account.to_owned(), names: names.collect() };
    let known = situation.state.progress.caa_allows.as_deref() == Some(&question);
    (!known).then(|| IssuanceStep::CheckCaa(Box::new(question)))
}

impl State {
    pub(super) fn checked_caa(
        &mut self,
        seen: &Snapshot<'_>,
        question: Box<CaaQuestion>,
        answer: &CaaAnswer,
        now: Timestamp,
    ) -> Consequence {
        match refusal(&question, answer) {
            Some(message) => {
                let failure = Failure {
                    reason: disposition::reason(CODE).unwrap_or(reason::FAILED),
                    message,
                    disposition: Disposition::ForbiddenInDns,
                    retry_after: None,
                };
                self.end(seen, Ending::Failed(failure), now)
            }
            None => {
                self.progress.caa_allows = Some(question);
                Consequence::DECIDE
            }
        }
    }
}

/// Why the CA would refuse an order, if CAA records forbid one of its names.
fn refusal(question: &CaaQuestion, answer: &CaaAnswer) -> Option<String> {
    let identities = usable(&answer.identities);
    let ca = identities.first()?;
    // Each cause, with all names for which it is the same.
    let mut causes: Vec<(Forbidden, Vec<&str>)> = Vec::new();
    for CaaName { name, method, .. } in &question.names {
        let Some((_, set)) = answer.found.iter().find(|(found, _)| found == name) else { continue };
        let request = Request {
            name,
            identities: &identities,
            account: Some(&question.account),
            method: method.as_ref().map(ChallengeType::as_str),
        };
        let Err(forbidden) = check(&request, set) else { continue };
        match causes.iter_mut().find(|(known, _)| *known == forbidden) {
            Some((_, names)) => names.push(name),
            None => causes.push((forbidden, vec![name])),
        }
    }
    let more = causes.len().saturating_sub(MOST_CAUSES);
    let mut words: Vec<String> = causes
        .iter()
        .take(MOST_CAUSES)
        .map(|(forbidden, names)| {
            sentence(&format!("{}; {}", forbidden.words(ca, names), forbidden.what_to_do()))
        })
        .collect();
    if more > 0 {
        words.push(format!("{more} more sets of CAA records do not allow it either"));
    }
    (!words.is_empty()).then(|| format!("No order was placed. {}", words.join(". ")))
}

//! The issuers that the spec names.

use super::*;
use crate::issuance::Candidate;
use crate::issuers::{self, Issuers};

impl World {
    pub fn issuer_is_ready(&mut self, name: &str, account: &str) {
        let ingress = Http01Ingress { class: Some(name.to_owned()), ..Http01Ingress::default() };
        let http01 = Http01Solver { ingress: Some(ingress), ..Http01Solver::default() };
        self.issuer_solves(name, account, Solver { http01: Some(http01), ..Solver::default() });
    }

    pub fn issuer_solves(&mut self, name: &str, account: &str, solver: Solver) {
        let (account, solvers) = (account.to_owned(), vec![solver]);
        let view = IssuerView::Ready { account, solvers, profile: None, authorized: Vec::new() };
        self.issuers.insert(name.to_owned(), view);
    }

    /// The issuers, as the state says.
    pub fn issuers_of_spec(&self) -> Issuers<'_> {
        Issuers::of(&self.spec, Some(&self.state.status), self.generation)
    }

    pub fn wanted(&self) -> Result<ValidatedCertificate, InvalidSpec> {
        ValidatedCertificate::for_issuers(&self.spec, &self.issuers_of_spec(), None)
    }

    /// All calls with the account of this issuer fail, or no longer do.
    pub fn account_is_out(&mut self, name: &str, out: bool) {
        let (account, accounts) = (format!("account/{name}"), &mut self.ca.accounts.out);
        match out {
            true => drop(accounts.insert(account, Refusal::no_answer())),
            false => drop(accounts.remove(&account)),
        }
    }

    /// No name is validated for the account of this issuer, or all are again.
    pub fn account_is_refused(&mut self, name: &str, refused: bool) {
        let (account, accounts) = (format!("account/{name}"), &mut self.ca.accounts.refused);
        match refused {
            true => drop(accounts.insert(account)),
            false => drop(accounts.remove(&account)),
        }
    }

    /// The name of the issuer in use.
    pub fn in_use(&self) -> &str {
        &self.issuers_of_spec().in_use().name
    }

    pub(super) fn issuer_in_use(&self) -> &IssuerView {
        self.issuers.get(self.in_use()).unwrap_or(&IssuerView::NotFound)
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        if self.spec.fallback_issuer_refs.is_empty() {
            return Vec::new();
        }
        let candidate = |issuer: &IssuerRef| Candidate {
            issuer: issuer.clone(),
            unusable: match self.issuers.get(&issuer.name) {
                None => Some("it does not exist".to_owned()),
                Some(IssuerView::NotReady { message, .. }) => Some(format!("it is not ready: {message}")),
                Some(_) => None,
            },
        };
        issuers::all(&self.spec).map(candidate).collect()
    }

    /// The issuer that rehearses after a failed validation.
    pub fn rehearses_with(&mut self, name: &str) {
        let issuer = IssuerRef { name: name.to_owned(), ..IssuerRef::default() };
        self.edit(|spec| spec.rehearsal_issuer_ref = Some(issuer));
    }

    /// The issuers that are tried when the first one cannot issue.
    pub fn falls_back_to(&mut self, names: &[&str]) {
        let named = |name: &&str| IssuerRef { name: (*name).to_owned(), ..IssuerRef::default() };
        self.edit(|spec| spec.fallback_issuer_refs = names.iter().map(named).collect());
    }
}

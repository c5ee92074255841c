//! Effects that a crash does not undo, writes that may fail, and crashes.

use super::*;
use crate::disposition::Disposition;
use certwright_acme::ChallengeType;
use certwright_api::{TlsAlpn01GatewayTlsRoute, TlsAlpn01Solver};

impl World {
    pub fn crash(&mut self) {
        self.state = State { status: self.recorded.clone(), ..State::default() };
        self.known = self.recorded.clone();
        self.asked_time = false;
        self.crash_after = None;
    }

    /// The issuer is not ready, for an hour unless the refusal is final.
    pub(super) fn refuse_issuer(&mut self, message: String, disposition: Disposition) {
        let name = self.in_use().to_owned();
        let view = self.issuers.insert(name.clone(), IssuerView::NotReady { message, ca_is_cause: true });
        let again = self.now + SignedDuration::from_hours(1);
        let is_final = disposition == Disposition::AccountUnusable;
        self.issuer_again = view.filter(|_| !is_final).map(|view| (again, name, view));
    }

    /// The issuer is ready again, if its hour is over.
    pub(super) fn retry_issuer(&mut self) {
        if let Some((_, name, view)) = self.issuer_again.take_if(|(at, ..)| *at <= self.now) {
            self.issuers.insert(name, view);
        }
    }

    /// The CA offers tls-alpn-01 only, and the issuers have a solver for it, too. Earlier orders keep their challenges.
    pub fn proves_over_tls(&mut self, gateway_tls_route: Option<TlsAlpn01GatewayTlsRoute>) {
        self.ca.offers = Some(ChallengeType::TlsAlpn01);
        let solver = Solver { tls_alpn01: Some(TlsAlpn01Solver { gateway_tls_route }), ..Solver::default() };
        let again = self.issuer_again.as_mut().map(|(_, _, view)| view);
        for view in self.issuers.values_mut().chain(again) {
            if let IssuerView::Ready { solvers, .. } = view {
                solvers.retain(|solver| solver.tls_alpn01.is_none());
                solvers.push(solver.clone());
            }
        }
    }

    fn record(&mut self) -> Result<(), Broken> {
        if requires_finalizer(&self.state.status, self.has_finalizer, self.deletion()) {
            self.write(|world| world.has_finalizer = true)?;
        }
        self.write(|world| world.recorded = world.state.status.clone())?;
        self.known = self.recorded.clone();
        Ok(())
    }

    /// Writes the status if it has changed.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        if self.known == self.state.status { Ok(()) } else { self.record() }
    }

    /// Writes to the API server.
    pub(super) fn write(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Broken> {
        match self.writes.pop_front().unwrap_or(Write::Succeeds) {
            Write::Succeeds => {
                change(self);
                self.effect()
            }
            Write::Fails => Err(Broken::Api),
            Write::AnswerLost => {
                change(self);
                Err(Broken::Api)
            }
        }
    }

    /// Something has happened that a crash does not undo.
    pub(super) fn effect(&mut self) -> Result<(), Broken> {
        match &mut self.crash_after {
            Some(0) => Err(Broken::Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

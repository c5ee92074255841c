//! The authorizations that an issuer keeps.

use super::NOW;
use crate::property::message;
use certwright_api::{AcmeIssuer, CONDITION_AUTHORIZATIONS_KEPT, IssuerStatus};
use certwright_core::authorization;
use certwright_core::backoff::Backoff;

/// Whatever the status of an issuer says, each step leads to another one or to a wait.
pub(super) fn kept(spec: &AcmeIssuer, mut status: IssuerStatus) {
    let seen = authorization::Snapshot {
        wanted: &spec.authorizations,
        solvers: &spec.solvers,
        uid: "1",
        generation: 1,
        server: &spec.server,
        account: "https://ca.example/account/1",
        thumbprint: "key",
        ca_ahead: None,
        backoff: Backoff::default(),
    };
    let _ = authorization::authorized(&status, seen.account, *NOW);
    let mut progress = authorization::Progress::default();
    let mut state = authorization::State { status: &mut status, progress: &mut progress };
    state.note_spec(&seen, *NOW);
    match authorization::next_step(&state, &seen, *NOW) {
        authorization::AuthorizationStep::Rest { until } => assert!(until.is_none_or(|until| until > *NOW)),
        authorization::AuthorizationStep::Wait { message: words, .. } => message(&words),
        authorization::AuthorizationStep::Fail(failure) => {
            message(&failure.message);
            let _ = state.apply(&seen, authorization::Outcome::Failed(failure), *NOW);
        }
        _ => {}
    }
    let kept = state.status.conditions.iter().filter(|one| one.type_ == CONDITION_AUTHORIZATIONS_KEPT);
    kept.for_each(|kept| message(&kept.message));
}

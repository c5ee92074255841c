//! The next step of an issuance.
//!
//! An issuance is one state machine. Its [`State`] has two parts: what survives a restart is in the Certificate's status and at
//! the CA; what is learned on the way is in [`Progress`] and may be lost with the process. [`next_step`] looks at the state and
//! at a [`Snapshot`] of the cluster, and decides what to do next. The caller executes that step, passes the [`Outcome`] to
//! [`State::apply`], which makes every transition and returns what to report, and asks for the next step. What is learned about
//! an order is dropped with that order. A status that could not be written is kept together with its progress ([`Memory`]).

mod apply;
mod asked;
mod caa;
mod check_caa;
mod end;
mod ending;
mod failure;
mod fallback;
mod issuer_view;
mod listed;
mod next_step;
mod order;
mod outcome;
mod pace;
mod polling;
mod progress;
mod proof;
mod prove;
mod refusal;
mod rehearse;
mod rejected;
mod renewal_info;
mod report;
mod rest;
mod served;
mod situation;
mod solve;
mod state;
mod step;
mod value_count;
mod waiting;

pub use crate::consequence::Next;
pub(crate) use apply::left_behind;
pub use asked::{altered, misplaced};
pub use caa::{CaaAnswer, CaaName, CaaQuestion};
pub use ending::{Ending, KeySecret, Leftovers, Rehearsal};
pub use failure::{Failure, failure_reasons};
pub use issuer_view::{Candidate, IssuerView, account_in_status, not_allowed};
pub use next_step::{last_step, next_chore, next_step};
pub use outcome::{Consequence, Download, Outcome, Report};
pub use pace::failed_generation;
pub use polling::LONG_VALIDATION;
pub use progress::{Authorizations, Learned, Poll, Progress, Told};
pub use proof::{PresentFailed, Presented, Proof, SelfCheckResult, Unseen};
pub(crate) use prove::{PRESENT_BOUNDS, SELF_CHECK_BOUNDS, propagation_timeout};
pub use rest::at_rest_until;
pub use situation::{Situation, Snapshot};
pub use solve::{Challenged, NoSolver, Way, challenges, has_service, is_over_http, is_over_tls, solver_of};
pub use state::{Memory, State};
pub use step::{IssuanceStep, KeyOfOrder, Request};
pub use value_count::ValueCount;
pub(crate) use value_count::why_wait;

#[cfg(test)]
mod tests;

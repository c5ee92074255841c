//! The authorizations that an issuer keeps (RFC 8555 section 7.4.1): one state machine, of the same form as those of an issuance and
//! of an account.
//!
//! [`next_step`] decides what to do, a controller executes it, and [`State::apply`] makes the transition. Names are proved one at a
//! time. What must survive the process is in the issuer's status: the authorization that is being validated, and the TXT records
//! that were added for it. The rest is [`Progress`], which may be lost.

mod apply;
mod covers;
mod end;
mod failure;
mod next_step;
mod outcome;
mod progress;
mod prove;
mod report;
mod situation;
mod state;
mod step;

pub use crate::consequence::Next;
pub use covers::{Authorized, ancestor, authorized};
pub use end::{LastStep, last_step};
pub use failure::Failure;
pub use next_step::next_step;
pub use outcome::{Consequence, Outcome, Report};
pub use progress::Progress;
pub use situation::Snapshot;
pub use state::State;
pub use step::AuthorizationStep;

#[cfg(test)]
mod tests;

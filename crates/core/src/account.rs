//! The account of an issuer: one state machine.
//!
//! [`next_step`] decides what to do, a controller executes it, and [`State::apply`] makes the transition that follows from the
//! [`Outcome`]. All conditions, events and backoffs are decided here, and all errors of the CA are interpreted here.

mod apply;
mod check;
mod contact;
pub mod deactivation;
pub mod evidence;
mod failure;
mod history;
mod next_step;
mod outcome;
mod ownership;
mod rebinding;
mod registration;
mod replacement;
mod requests;
mod retry;
pub mod rollover;
mod secrets;
mod situation;
mod state;
mod step;
mod terms;

pub use crate::consequence::Next;
pub use contact::{note_contact, wanted_contact};
pub use history::{entry_of_previous, with_deactivated, with_previous};
pub use next_step::{due_after_authorizations, next_step};
pub use outcome::{AccountRefusal, CaAccount, Consequence, Outcome, Report, Undone};
pub use ownership::{must_keep_its_key, of_somebody_else};
pub use replacement::Replacement;
pub use rollover::account_key_algorithm;
pub use secrets::{KeyId, KeySecret, MacKey, Recorded, key_id_in_secret, mac_key_in_secret, refusal_of_key};
use situation::Situation;
pub use situation::{Snapshot, look_at_key_id};
pub use state::State;
pub use step::AccountStep;
pub use terms::{changed_terms, has_other_terms, note_terms};

#[cfg(test)]
mod tests;

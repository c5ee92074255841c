//! The way over from cert-manager, as far as it needs no cluster.
//!
//! [`fields`] knows what becomes of each field of cert-manager's API; [`convert`] makes our objects from its, and says what it
//! did; [`adoption`] says whether, and by which marks, Secrets become ours without another order or account.
//! `command/migrate` reads and writes.

pub mod adoption;
mod convert;
pub mod fields;
mod object;
mod report;
mod values;

pub use convert::{Outcome, Verdict, convert};
pub use fields::{Note, What};
pub use object::{GROUP, Source, VERSION, documents};
pub use report::report;

//! The part of the migration from cert-manager that needs no cluster.
//!
//! [`fields`] defines what happens to each field of cert-manager's API. [`convert`] creates Certwright's objects from
//! cert-manager's, and reports what it did. [`adoption`] decides whether Secrets can be taken over without another order or
//! account, and which annotations that requires. `command/migrate` reads and writes.

pub mod adoption;
mod convert;
pub mod fields;
mod object;
mod report;
mod services;
mod values;

pub use convert::{Fitness, Outcome, convert};
pub use fields::{Note, What};
pub use object::{GROUP, Source, VERSION, documents};
pub use report::report;
pub use values::Adapted;

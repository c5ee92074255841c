//! Tests of the whole client against a fake CA on the loopback interface.

mod accounts;
mod connections;
mod exchanges;
mod fake_ca;
mod key_changes;
mod limits;
mod nonces;
mod orders;
mod refusals;
mod revocation;
mod signatures;

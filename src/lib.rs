//! Certwright keeps TLS Secrets filled with certificates from any ACME certificate authority.
//!
//! This is the operator and its command line. An issuance is one state machine: [`controller`] gathers the state of the
//! cluster, [`certwright_core`] decides the next step without any I/O, [`controller`] carries it out through
//! [`certwright_acme`] and [`certwright_solver`], and reports it in `status`.

pub mod cli;
pub mod command;
pub mod controller;
pub mod migrate;
pub mod operator;
pub mod runtime;

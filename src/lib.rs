//! Certwright keeps TLS Secrets filled with certificates from any ACME certificate authority.
//!
//! An issuance is one state machine: [`controller`] gathers what there is, [`core`] decides the next step without
//! any I/O, [`controller`] carries it out through [`acme`] and [`solver`], and reports it in `status`.

pub mod acme;
pub mod api;
pub mod cli;
pub mod command;
pub mod controller;
pub mod core;
pub mod egress;
pub mod foreign_text;
pub mod migrate;
pub mod operator;
pub mod pki;
pub mod runtime;
pub mod solver;
pub mod tls;

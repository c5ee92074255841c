//! `certwright-dns`: a DNS provider webhook for Certwright and cert-manager.

pub mod access;
pub mod akamai;
pub mod azure;
pub mod call;
pub mod certificates;
pub mod challenge;
pub mod cli;
pub mod config;
pub mod error;
pub mod google;
pub mod health;
pub mod identity;
pub mod metrics;
pub mod providers;
pub mod redact;
pub mod relay;
pub mod route53;
pub mod run;
pub mod secrets;
pub mod server;
pub mod service;
pub mod tls;
pub mod values;

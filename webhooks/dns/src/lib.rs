//! `certwright-dns`: a DNS provider webhook for Certwright and cert-manager.

pub mod challenge;
pub mod service;

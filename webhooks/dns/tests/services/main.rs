//! What `certwright-dns` does at DNS services: real servers, emulators, and fakes made from public API documents, each compared
//! with what lego or another client does there. Runs in the tests' cluster (`cluster exec`).

#![expect(clippy::unwrap_used, reason = "a fake that fails fails the test")]

#[path = "../fakes/azure_dns.rs"]
mod azure_dns;
#[path = "../fakes/cloud_dns.rs"]
mod cloud_dns;

mod akamai;
mod azure;
mod cloudflare;
mod compare;
mod desec;
mod digitalocean;
mod dnsimple;
mod driver;
mod fake;
mod gandi;
mod google;
mod hetzner;
mod keyless;
mod lab;
mod linode;
mod ovh;
mod porkbun;
mod powerdns;
mod rfc2136;
mod route53;
mod scaleway;
mod trouble;
mod vultr;
mod webhook;
mod zone;

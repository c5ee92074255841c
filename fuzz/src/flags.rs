//! The command line, one argument a line: lists of name servers and addresses, durations, sizes.

use std::net::IpAddr;

use certwright::cli::Cli;
use certwright_egress::{Network, Rules};
use clap::Parser;

use crate::property::{refusal, screen};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let arguments = ["certwright"].into_iter().chain(text.lines().take(16));
    // What is quoted there is the user's own.
    if let Err(error) = Cli::try_parse_from(arguments)
        && !text.chars().any(|c| c.is_control() && c != '\n')
    {
        screen(&error.to_string());
    }
}

/// `--egress-deny` and `--egress-allow`: two lines of networks, and one with an address.
pub fn networks(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines().map(|line| line.split(',').filter_map(network).collect::<Vec<_>>());
    let (deny, allow) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Some(Ok(address)) = text.lines().nth(2).map(str::parse::<IpAddr>) else { return };
    let permits = |deny: &[Network], allow: &[Network]| {
        Rules { deny: deny.to_vec(), allow: allow.to_vec() }.permits(address)
    };
    // More that is denied permits no more, and more that is allowed permits no less.
    assert!(!permits(&deny, &allow) || permits(&[], &allow));
    assert!(!permits(&deny, &[]) || permits(&deny, &allow));
}

fn network(text: &str) -> Option<Network> {
    text.parse().inspect_err(refusal).ok()
}

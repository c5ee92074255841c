//! `certwright-dns`: a DNS provider webhook for Certwright and cert-manager.

use clap::Parser;

/// DNS provider webhook for Certwright and cert-manager.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() {
    let Arguments {} = Arguments::parse();
}

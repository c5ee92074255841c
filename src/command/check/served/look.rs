//! What servers show, compared with what they should.

use std::net::{IpAddr, SocketAddr};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::controllers::Entrances;
use crate::command::check::Finding;
use crate::command::output::away;
use certwright_core::served::{Relation, default_of};
use certwright_egress::tls;
use certwright_pki::Leaf;
use certwright_runtime::clock;
use certwright_solver::http01::SelfCheck;
use certwright_solver::served::LookFailure;

/// The maximum number of concurrent looks.
const AT_ONCE: usize = 8;
/// A certificate that expires within this time should have been replaced.
const SOON: SignedDuration = SignedDuration::from_hours(48);

/// What a server has to show.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// The certificate that this Certificate's Secret has.
    Stored { secret: String, serial_number: String, not_before: Timestamp },
    /// Any valid one for the name.
    Valid,
}

/// Where to look, and for what.
pub(super) struct Target {
    /// The name to ask for.
    pub(super) name: String,
    /// The port.
    pub(super) port: u16,
    /// The addresses; if there are none, those that DNS has.
    pub(super) addresses: Vec<IpAddr>,
    /// What to find there.
    pub(super) wanted: Wanted,
}

/// Looks at all of them.
pub(super) async fn findings(
    targets: &[Target],
    self_check: &SelfCheck,
    entrances: &Entrances,
) -> Vec<Finding> {
    let looks = targets.iter().map(|target| look(target, self_check, entrances));
    stream::iter(looks).buffered(AT_ONCE).collect::<Vec<_>>().await.concat()
}

async fn look(target: &Target, self_check: &SelfCheck, entrances: &Entrances) -> Vec<Finding> {
    let Target { name, port, addresses, wanted } = target;
    let looks = match self_check.look(name, *port, addresses).await {
        Ok(looks) => looks,
        Err(failure) => {
            let advice = "The result from this machine may differ from that of others.";
            return vec![Finding::fail(format!("{name}: {failure}"), advice)];
        }
    };
    let mut findings = Vec::new();
    for (at, shown) in looks {
        let leaf = match shown {
            Ok(chain) => chain.first().and_then(|der| Leaf::from_der(der).ok()),
            Err(failure) => {
                findings.push(unreached(name, at, &failure));
                continue;
            }
        };
        let Some(leaf) = leaf else {
            let words = format!("{name}: {at} serves a certificate that cannot be read");
            findings.push(Finding::fail(words, entrances.advice(None)));
            continue;
        };
        let finding = judge(target, at, &leaf, entrances, clock::now());
        let is_right = !finding.is_failure();
        findings.push(finding);
        if is_right && let Some(finding) = verified(name, at, wanted, self_check).await {
            findings.push(finding);
        }
    }
    findings
}

fn unreached(name: &str, at: SocketAddr, failure: &LookFailure) -> Finding {
    let advice = match failure {
        LookFailure::NoHandshake(_) => {
            "Check what listens there: it must speak TLS from the first byte, without STARTTLS and the PROXY protocol, and know \
             the name."
        }
        _ => {
            "Check that something listens there, and firewalls. The result from this machine may differ from that of others."
        }
    };
    Finding::fail(format!("{name}: {at} {failure}"), advice)
}

/// Compares what a server shows with what it should.
fn judge(target: &Target, at: SocketAddr, leaf: &Leaf, entrances: &Entrances, now: Timestamp) -> Finding {
    let Target { name, wanted, .. } = target;
    let described = described(leaf, now);
    if let Some(controller) = default_of(leaf) {
        let words = format!("{name}: {at} serves the default certificate of {controller} ({described})");
        return Finding::fail(words, entrances.advice(Some(controller)));
    }
    if !leaf.is_for(name) {
        let words = format!("{name}: {at} serves a certificate for other names ({described})");
        return Finding::fail(words, entrances.advice(None));
    }
    if let Wanted::Stored { secret, serial_number, not_before } = wanted {
        let words = match Relation::of(leaf, name, serial_number, *not_before) {
            Relation::Same => {
                let words = format!("{name}: {at} serves the certificate in Secret {secret} ({described})");
                return in_time(words, leaf, now);
            }
            Relation::Older => format!("{name}: {at} serves an older certificate ({described})"),
            Relation::Other | Relation::OtherNames => {
                format!("{name}: {at} serves another certificate for this name ({described})")
            }
        };
        return Finding::fail(words, entrances.advice(None));
    }
    in_time(format!("{name}: {at} serves a certificate for this name ({described})"), leaf, now)
}

fn in_time(words: String, leaf: &Leaf, now: Timestamp) -> Finding {
    if let Err(error) = leaf.check_validity(now) {
        return Finding::fail(format!("{words}: {error}"), "Renew it.");
    }
    match leaf.not_after.duration_since(now) < SOON {
        true => Finding::warn(words, "It expires soon: see whether it is renewed, with `certwright status`."),
        false => Finding::ok(words),
    }
}

fn described(leaf: &Leaf, now: Timestamp) -> String {
    let name = leaf
        .common_name
        .as_ref()
        .or(leaf.dns_names.first())
        .map(|name| format!("{name}, "))
        .unwrap_or_default();
    let Leaf { serial_number, issuer_name, not_before, not_after, .. } = leaf;
    format!(
        "{name}serial number {serial_number}, issued by {issuer_name} at {not_before}, expires {}",
        away(*not_after, now)
    )
}

/// What a client with the roots of this machine thinks of the chain.
async fn verified(name: &str, at: SocketAddr, wanted: &Wanted, self_check: &SelfCheck) -> Option<Finding> {
    let config = tls::system_roots().ok()?;
    let Err(failure) = self_check.verify(name, at, config).await else {
        return Some(Finding::ok(format!("{name}: this machine trusts it, with the chain that {at} serves")));
    };
    let advice = match wanted {
        Wanted::Stored { .. } => {
            "With a CA for tests or a private one, this is as it should be. Otherwise the server must serve all of tls.crt, not \
             only its first certificate."
        }
        Wanted::Valid => "The server must serve the whole chain, and this machine must trust its root.",
    };
    Some(Finding::warn(format!("{name}: this machine does not trust what {at} serves: {failure}"), advice))
}

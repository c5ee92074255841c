//! Whether Gateways have accepted a route, according to its status.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;

use certwright_api::{GATEWAY_GROUP, ParentReference, RouteParentStatus};
use certwright_text::clean;

/// The maximum number of characters quoted from a Gateway controller's message.
const LONGEST_MESSAGE: usize = 500;
const LONGEST_REASON: usize = 100;
const GATEWAY_KIND: &str = "Gateway";

/// A kind of route of the Gateway API.
pub trait Route: Resource<DynamicType = ()> {
    /// The Gateways that it is attached to.
    fn parent_refs(&self) -> &[ParentReference];
    /// What their controllers report.
    fn parents(&self) -> &[RouteParentStatus];
}

/// What the parents of routes report about the current generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Every parent has accepted every route and resolved its backend.
    Accepted,
    /// These parents have not reported yet: `the Gateway infra/public, listener http`.
    Pending(Vec<String>),
    /// A sentence for each parent that has rejected a route, with its reason and message.
    Refused(Vec<String>),
}

/// The acceptance of `routes`, all of one Certificate. A rejection takes precedence over a missing report, and reports about an
/// earlier generation are ignored.
///
/// The conditions `Accepted` and `ResolvedRefs` are used. A condition without `observedGeneration` counts as current, and a
/// missing `ResolvedRefs` as true, because not every implementation sets them.
pub fn acceptance<'a, R: Route + 'a>(routes: impl IntoIterator<Item = &'a R>) -> Acceptance {
    let mut pending = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for route in routes {
        for parent in route.parent_refs() {
            match said_by(route, parent) {
                Said::Yes => {}
                Said::Nothing => _ = pending.insert(shown(route, parent)),
                Said::No(sentences) => refused.extend(sentences),
            }
        }
    }
    match (refused.is_empty(), pending.is_empty()) {
        (false, _) => Acceptance::Refused(refused.into_iter().collect()),
        (true, false) => Acceptance::Pending(pending.into_iter().collect()),
        (true, true) => Acceptance::Accepted,
    }
}

enum Said {
    Yes,
    No(Vec<String>),
    Nothing,
}

/// A parent may have several entries while one controller takes over from another. In this case, an acceptance takes
/// precedence.
fn said_by<R: Route>(route: &R, parent: &ParentReference) -> Said {
    let wanted = Key::of(route, parent);
    let entries = route.parents();
    let mut refusals = Vec::new();
    for entry in entries.iter().filter(|entry| Key::of(route, &entry.parent_ref) == wanted) {
        match verdict(route, parent, entry) {
            Said::Yes => return Said::Yes,
            Said::No(sentences) => refusals.extend(sentences),
            Said::Nothing => {}
        }
    }
    if refusals.is_empty() { Said::Nothing } else { Said::No(refusals) }
}

fn verdict<R: Route>(route: &R, parent: &ParentReference, entry: &RouteParentStatus) -> Said {
    let current = |type_: &str| entry.current(type_, route.meta().generation);
    let (accepted, resolved) = (current("Accepted"), current("ResolvedRefs"));
    let mut refusals = Vec::new();
    let mut refuses = |condition: Option<&Condition>, what: &str| {
        if let Some(condition) = condition.filter(|condition| condition.status == "False") {
            let sentence = sentence(&shown(route, parent), what, condition);
            refusals.push(sentence);
        }
    };
    let kind = R::kind(&());
    refuses(accepted, &format!("does not accept the {kind}"));
    refuses(resolved, &format!("cannot use the {kind}'s backend"));
    let is_true = |condition: &Condition| condition.status == "True";
    match () {
        () if !refusals.is_empty() => Said::No(refusals),
        () if accepted.is_some_and(is_true) && resolved.is_none_or(is_true) => Said::Yes,
        () => Said::Nothing,
    }
}

fn sentence(parent: &str, what: &str, condition: &Condition) -> String {
    let reason = clean(&condition.reason, LONGEST_REASON);
    match clean(&condition.message, LONGEST_MESSAGE).as_str() {
        "" => format!("{parent} {what}: {reason}"),
        message => format!("{parent} {what}: {reason}: {message}"),
    }
}

/// A parent with its defaults filled in: a status may have them even if the spec does not.
#[derive(PartialEq)]
struct Key<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    section_name: Option<&'a str>,
    port: Option<i32>,
}

impl<'a> Key<'a> {
    fn of<R: Route>(route: &'a R, parent: &'a ParentReference) -> Self {
        let own = route.meta().namespace.as_deref().unwrap_or_default();
        Self {
            group: parent.group.as_deref().unwrap_or(GATEWAY_GROUP),
            kind: parent.kind.as_deref().unwrap_or(GATEWAY_KIND),
            namespace: parent.namespace.as_deref().unwrap_or(own),
            name: &parent.name,
            section_name: parent.section_name.as_deref(),
            port: parent.port,
        }
    }
}

fn shown<R: Route>(route: &R, parent: &ParentReference) -> String {
    let Key { kind, namespace, name, section_name, port, .. } = Key::of(route, parent);
    let listener = section_name.map(|name| format!(", listener {name}")).unwrap_or_default();
    let port = port.map(|port| format!(", port {port}")).unwrap_or_default();
    format!("the {kind} {namespace}/{name}{listener}{port}")
}

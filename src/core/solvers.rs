//! Which solver is for which name. The rules are cert-manager's: all parts of a selector that are given must match;
//! a solver that names the name wins over one that names its zone, the longest zone wins, then more labels, then
//! the order in the list.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::api::{Solver, SolverSelector};

/// The solver for `name` (without `*.` for a wildcard: `wildcard` says that) of a Certificate with `labels`.
pub fn solver_for<'a>(
    solvers: &'a [Solver],
    name: &str,
    wildcard: bool,
    labels: &BTreeMap<String, String>,
    usable: impl Fn(&Solver) -> bool,
) -> Option<&'a Solver> {
    let full = if wildcard { format!("*.{name}") } else { name.to_owned() };
    solvers
        .iter()
        .enumerate()
        .filter(|(_, solver)| usable(solver))
        .filter_map(|(place, solver)| Some((fit(solver.selector.as_ref(), &full, labels)?, place, solver)))
        .max_by_key(|(fit, place, _)| (*fit, Reverse(*place)))
        .map(|(_, _, solver)| solver)
}

/// How well a selector fits; the larger the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    exact_name: bool,
    zone_labels: usize,
    labels: usize,
}

fn fit(selector: Option<&SolverSelector>, name: &str, labels: &BTreeMap<String, String>) -> Option<Fit> {
    let Some(selector) = selector else { return Some(Fit { exact_name: false, zone_labels: 0, labels: 0 }) };
    let exact_name = selector.dns_names.iter().any(|candidate| candidate.eq_ignore_ascii_case(name));
    let zone =
        selector.dns_zones.iter().filter(|zone| in_zone(name, zone)).map(|zone| label_count(zone)).max();
    let labelled = selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    let matches = (selector.dns_names.is_empty() || exact_name)
        && (selector.dns_zones.is_empty() || zone.is_some())
        && labelled;
    matches.then_some(Fit {
        exact_name,
        zone_labels: zone.unwrap_or_default(),
        labels: selector.match_labels.len(),
    })
}

fn in_zone(name: &str, zone: &str) -> bool {
    let name = name.trim_start_matches("*.").trim_end_matches('.').to_ascii_lowercase();
    let zone = zone.trim_end_matches('.').to_ascii_lowercase();
    name.strip_suffix(&zone).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

fn label_count(zone: &str) -> usize {
    zone.trim_end_matches('.').split('.').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A solver told apart by its ingress class.
    fn solver(class: &str, names: &[&str], zones: &[&str], labels: &[(&str, &str)]) -> Solver {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let selector = SolverSelector {
            dns_names: owned(names),
            dns_zones: owned(zones),
            match_labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let ingress = crate::api::Http01Ingress { class: Some(class.to_owned()), ..Default::default() };
        let http01 = crate::api::Http01Solver { ingress: Some(ingress), ..Default::default() };
        Solver { selector: Some(selector), http01: Some(http01), ..Solver::default() }
    }

    fn chosen(solvers: &[Solver], name: &str, labels: &[(&str, &str)]) -> Option<String> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let wildcard = name.starts_with("*.");
        let name = name.trim_start_matches("*.");
        let solver = solver_for(solvers, name, wildcard, &labels, |_| true)?;
        solver.http01.as_ref()?.ingress.as_ref()?.class.clone()
    }

    #[test]
    fn the_best_fitting_selector_wins() {
        let all = solver("all", &[], &[], &[]);
        let zone = solver("zone", &[], &["example.com"], &[]);
        let deeper = solver("deeper", &[], &["sub.example.com"], &[]);
        let name = solver("name", &["www.example.com"], &[], &[]);
        let labelled = solver("labelled", &[], &[], &[("team", "a")]);
        let both = solver("both", &["www.example.com"], &[], &[("team", "a")]);
        let second = solver("second", &[], &[], &[]);
        let wildcard = solver("wildcard", &["*.example.com"], &[], &[]);
        type Case<'a> = (&'a [&'a Solver], &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: [Case<'_>; 14] = [
            (&[&all], "a.test", &[], Some("all")),
            (&[&zone], "a.test", &[], None),
            (&[&all, &zone], "www.example.com", &[], Some("zone")),
            (&[&zone, &deeper], "a.sub.example.com", &[], Some("deeper")),
            (&[&zone, &deeper], "b.example.com", &[], Some("zone")),
            (&[&deeper, &name], "www.example.com", &[], Some("name")),
            (&[&zone, &name], "www.example.com", &[], Some("name")),
            (&[&all, &labelled], "a.test", &[("team", "a")], Some("labelled")),
            (&[&all, &labelled], "a.test", &[("team", "b")], Some("all")),
            (&[&name, &both], "www.example.com", &[("team", "a")], Some("both")),
            (&[&name, &both], "www.example.com", &[], Some("name")),
            (&[&all, &second], "a.test", &[], Some("all")),
            (&[&all, &wildcard], "*.example.com", &[], Some("wildcard")),
            (&[&zone], "notexample.com", &[], None),
        ];
        for (solvers, name, labels, expected) in cases {
            let solvers: Vec<Solver> = solvers.iter().map(|solver| (*solver).clone()).collect();
            assert_eq!(chosen(&solvers, name, labels).as_deref(), expected, "{name} {labels:?}");
        }
    }

    #[test]
    fn a_zone_holds_its_apex_and_its_wildcard() {
        let zone = [solver("zone", &[], &["Example.com."], &[])];
        for name in ["example.com", "*.example.com", "a.b.example.com"] {
            assert_eq!(chosen(&zone, name, &[]).as_deref(), Some("zone"), "{name}");
        }
    }

    #[test]
    fn an_unusable_solver_is_passed_over() {
        let solvers = [solver("name", &["a.test"], &[], &[]), solver("all", &[], &[], &[])];
        let class = |solver: &Solver| solver.http01.as_ref()?.ingress.as_ref()?.class.clone();
        let usable = |solver: &Solver| class(solver).as_deref() == Some("all");
        let found = solver_for(&solvers, "a.test", false, &BTreeMap::new(), usable);
        assert_eq!(found.and_then(class).as_deref(), Some("all"));
    }
}

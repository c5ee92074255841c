//! Selects the solver for a name. The rules are cert-manager's: all given parts of a selector must match; a solver that names
//! the name wins over one that names its zone, the longest zone wins, then more labels, then the order in the list.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use certwright_api::{Solver, SolverSelector};

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
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let zone = zone.trim_end_matches('.').to_ascii_lowercase();
    name.strip_suffix(&zone).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

fn label_count(zone: &str) -> usize {
    zone.trim_end_matches('.').split('.').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A solver identified by its ingress class.
    fn solver(class: &str, names: &[&str], zones: &[&str], labels: &[(&str, &str)]) -> Solver {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let selector = SolverSelector {
            dns_names: owned(names),
            dns_zones: owned(zones),
            match_labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let ingress = certwright_api::Http01Ingress { class: Some(class.to_owned()), ..Default::default() };
        let http01 = certwright_api::Http01Solver { ingress: Some(ingress), ..Default::default() };
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
        let wildcards = solver("wildcards", &[], &["*.example.com"], &[]);
        let apex = solver("apex", &["example.com"], &[], &[]);
        let name_elsewhere = solver("name elsewhere", &["www.example.com"], &["other.test"], &[]);
        let name_in_zone = solver("name in zone", &["www.example.com"], &["example.com"], &[]);
        let zones = solver("zones", &[], &["com", "sub.example.com", "other.test"], &[]);
        let zone_labelled = solver("zone labelled", &[], &["example.com"], &[("team", "a")]);
        let two_labels = solver("two labels", &[], &[], &[("team", "a"), ("env", "prod")]);
        let other_zone = solver("other zone", &[], &["example.com"], &[]);
        let of_a = &[("team", "a")][..];
        let of_a_in_prod = &[("team", "a"), ("env", "prod"), ("unasked", "for")][..];
        type Case<'a> = (&'a [&'a Solver], &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: &[Case<'_>] = &[
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
            // A name wins over zones however long and labels however many.
            (&[&deeper, &two_labels, &name], "www.example.com", of_a_in_prod, Some("name")),
            (&[&name, &name_in_zone], "www.example.com", &[], Some("name in zone")),
            (&[&name_elsewhere], "www.example.com", &[], None),
            (&[&name_elsewhere], "a.other.test", &[], None),
            (&[&all, &name_elsewhere], "www.example.com", &[], Some("all")),
            // A wildcard is a separate name, and is in the zone of its apex.
            (&[&wildcard], "a.example.com", &[], None),
            (&[&wildcard], "example.com", &[], None),
            (&[&apex], "*.example.com", &[], None),
            (&[&zone, &wildcard], "*.example.com", &[], Some("wildcard")),
            (&[&zone, &apex], "*.example.com", &[], Some("zone")),
            // As in cert-manager, a zone may be one of wildcards.
            (&[&wildcards], "*.example.com", &[], Some("wildcards")),
            (&[&wildcards], "a.example.com", &[], None),
            // Only the longest matching zone of a solver counts.
            (&[&zones, &zone], "a.example.com", &[], Some("zone")),
            (&[&zone, &zones], "a.sub.example.com", &[], Some("zones")),
            (&[&deeper, &zones], "sub.example.com", &[], Some("deeper")),
            (&[&zones], "a.net", &[], None),
            // Zones win over labels, labels win over no labels; all labels of the selector must be present.
            (&[&two_labels, &zone], "a.example.com", of_a_in_prod, Some("zone")),
            (&[&zone, &zone_labelled], "a.example.com", of_a, Some("zone labelled")),
            (&[&zone_labelled, &zone], "a.example.com", &[], Some("zone")),
            (&[&zone_labelled, &deeper], "a.sub.example.com", of_a, Some("deeper")),
            (&[&labelled, &two_labels], "a.test", of_a_in_prod, Some("two labels")),
            (&[&labelled, &two_labels], "a.test", of_a, Some("labelled")),
            (&[&two_labels], "a.test", of_a, None),
            // Between equals, the first wins.
            (&[&zone, &other_zone], "a.example.com", &[], Some("zone")),
            (&[&other_zone, &zone], "a.example.com", &[], Some("other zone")),
            (&[], "a.test", &[], None),
        ];
        for (solvers, name, labels, expected) in cases.iter().copied() {
            let solvers: Vec<Solver> = solvers.iter().map(|solver| (*solver).clone()).collect();
            assert_eq!(chosen(&solvers, name, labels).as_deref(), expected, "{name} {labels:?}");
        }
    }

    #[test]
    fn a_missing_selector_is_the_same_as_an_empty_one() {
        let mut without = solver("without", &[], &[], &[]);
        without.selector = None;
        let empty = solver("empty", &[], &[], &[]);
        for (solvers, first) in [([without.clone(), empty.clone()], "without"), ([empty, without], "empty")] {
            assert_eq!(chosen(&solvers, "a.test", &[("team", "a")]).as_deref(), Some(first));
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
    fn an_unusable_solver_is_skipped() {
        let solvers = [solver("name", &["a.test"], &[], &[]), solver("all", &[], &[], &[])];
        let class = |solver: &Solver| solver.http01.as_ref()?.ingress.as_ref()?.class.clone();
        let usable = |solver: &Solver| class(solver).as_deref() == Some("all");
        let found = solver_for(&solvers, "a.test", false, &BTreeMap::new(), usable);
        assert_eq!(found.and_then(class).as_deref(), Some("all"));
    }
}

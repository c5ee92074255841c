use super::*;
use certwright_acme::{Challenge, Identifier};
use certwright_api::{Dns01Rfc2136, Http01Solver, SolverSelector};

#[test]
fn a_pending_authorization_is_proved_over_http() {
    let chosen = challenges(
        &[pending("a.test", &["dns-01", "http-01"])],
        &[solver("any", &[])],
        &no_labels(),
        &unchanged(),
    );
    let expected = Challenged {
        name: "a.test".to_owned(),
        authorization: "authz/a.test".to_owned(),
        url: "chall/a.test/http-01".to_owned(),
        token: "token-http-01".to_owned(),
        typ: ChallengeType::Http01,
        processing: false,
        stalled: false,
        check: SolverSelfCheck::default(),
        way: Way::Ingress(Http01Ingress { class: Some("any".to_owned()), ..Http01Ingress::default() }),
    };
    assert_eq!(chosen, Ok(vec![expected]));
}

#[test]
fn a_challenge_that_is_presented_again_keeps_what_it_waits_for() {
    let authorizations = [pending("a.test", &["http-01"]), pending("*.b.test", &["dns-01"])];
    let solvers = [solver("any", &[]), dns_solver("192.0.2.53", &[])];
    let chosen = challenges(&authorizations, &solvers, &no_labels(), &unchanged()).unwrap();
    let mut before: Vec<_> = chosen.iter().map(|one| one.recorded(&[])).collect();
    assert!(is_over_http(&before[0]) && !is_over_http(&before[1]));
    before[0].reason = Some("connection refused".to_owned());
    let reasons: Vec<_> = chosen.iter().map(|one| one.recorded(&before).reason).collect();
    assert_eq!(reasons, [Some("connection refused".to_owned()), None]);
}

#[test]
fn an_authorization_that_is_valid_already_needs_no_solver() {
    let mut valid = pending("*.a.test", &[]);
    valid.1.status = AuthorizationStatus::Valid;
    assert_eq!(challenges(&[valid.clone()], &[], &no_labels(), &unchanged()), Ok(Vec::new()));
    let chosen = challenges(
        &[valid, pending("b.test", &["http-01"])],
        &[solver("b", &["b.test"])],
        &no_labels(),
        &unchanged(),
    );
    assert_eq!(chosen.unwrap().len(), 1);
}

#[test]
fn a_wildcard_says_that_it_needs_dns() {
    let why = refusal(&[pending("*.a.test", &["dns-01"])], &[solver("any", &[])]);
    assert_eq!(why, "*.a.test: a wildcard requires dns-01, but the issuer's solvers for it use http-01");
}

#[test]
fn what_the_ca_offers_is_listed_where_nothing_of_it_can_be_solved() {
    let own_types = pending("a.test", &["sectigo-email-01", "tls-alpn-01", "dns-01"]);
    assert_eq!(
        refusal(&[own_types], &[solver("any", &[])]),
        "a.test: the CA offers sectigo-email-01, tls-alpn-01, dns-01, but the issuer's solvers for this name use http-01"
    );
    assert_eq!(
        refusal(&[pending("a.test", &[])], &[solver("any", &[])]),
        "a.test: the CA offers no challenge, but the issuer's solvers for this name use http-01"
    );
}

#[test]
fn an_issuer_without_a_fitting_solver_says_so() {
    let authorizations = [pending("a.test", &["http-01"])];
    assert_eq!(
        refusal(&authorizations, &[]),
        "a.test: the issuer has no solvers; add one to spec.acme.solvers"
    );
    assert_eq!(
        refusal(&authorizations, &[solver("b", &["b.test"])]),
        "a.test: no solver of the issuer matches this name and these labels"
    );
}

#[test]
fn the_label_of_a_record_decides_which_challenge_it_answers() {
    let mut with_label = dns_solver("192.0.2.53", &[]);
    with_label.dns01.as_mut().unwrap().label = Some(ChallengeLabel::Account);
    let all = [pending("*.a.test", &["http-01", "dns-01", "dns-account-01", "dns-persist-01"])];
    let types = |solver: Solver| {
        challenges(&all, &[solver], &no_labels(), &unchanged())
            .unwrap()
            .into_iter()
            .map(|one| one.typ)
            .collect::<Vec<_>>()
    };
    assert_eq!(types(dns_solver("192.0.2.53", &[])), [ChallengeType::Dns01]);
    assert_eq!(types(with_label.clone()), [ChallengeType::DnsAccount01]);
    assert_eq!(types(persistent_solver()), [ChallengeType::DnsPersist01]);
    assert_eq!(
        refusal(&[pending("*.a.test", &["dns-01"])], &[solver("any", &[]), with_label, persistent_solver()]),
        "*.a.test: the CA offers dns-01, but the issuer's solvers for this name use http-01 and dns-account-01 and dns-persist-01"
    );
}

#[test]
fn a_persistent_record_is_recorded_without_a_token() {
    let chosen = challenges(
        &[pending("a.test", &["dns-persist-01"])],
        &[persistent_solver()],
        &no_labels(),
        &unchanged(),
    );
    let recorded = chosen.unwrap()[0].recorded(&[]);
    assert_eq!((recorded.type_.as_str(), recorded.way), ("dns-persist-01", ChallengeWay::PersistentRecord));
    assert!(!is_over_http(&recorded));
}

fn unchanged() -> Result<Http01Overrides, String> {
    Ok(Http01Overrides::default())
}

fn persistent_solver() -> Solver {
    Solver { dns_persist01: Some(DnsPersist01Solver::default()), ..Solver::default() }
}

#[test]
fn the_offer_of_the_ca_decides_between_solvers() {
    let solvers = [solver("any", &[]), dns_solver("192.0.2.53", &[])];
    let types = |name: &str, offered: &[&str]| -> Vec<String> {
        let chosen = challenges(&[pending(name, offered)], &solvers, &no_labels(), &unchanged()).unwrap();
        chosen.into_iter().map(|challenged| challenged.typ.to_string()).collect()
    };
    assert_eq!(types("a.test", &["dns-01", "http-01"]), ["http-01"], "the first in the list");
    assert_eq!(types("a.test", &["dns-01"]), ["dns-01"], "what is not offered is not tried");
    assert_eq!(types("*.a.test", &["http-01", "dns-01"]), ["dns-01"], "a wildcard is proved by dns-01 only");
    let named = [solver("any", &[]), dns_solver("192.0.2.53", &["a.test"])];
    let chosen =
        challenges(&[pending("a.test", &["http-01", "dns-01"])], &named, &no_labels(), &unchanged()).unwrap();
    assert_eq!(chosen[0].typ, ChallengeType::Dns01, "the selector that fits best wins");
    assert_eq!(
        refusal(&[pending("a.test", &["tls-alpn-01"])], &solvers),
        "a.test: the CA offers tls-alpn-01, but the issuer's solvers for this name use http-01 and dns-01"
    );
    assert_eq!(
        refusal(&[pending("a.test", &["http-01"])], &[dns_solver("192.0.2.53", &[])]),
        "a.test: the CA offers http-01, but the issuer's solvers for this name use dns-01"
    );
}

#[test]
fn every_name_without_a_solver_is_named() {
    let authorizations =
        [pending("a.test", &["http-01"]), pending("*.b.test", &["dns-01"]), pending("c.test", &["dns-01"])];
    let why = refusal(&authorizations, &[solver("any", &[])]);
    assert!(
        why.starts_with("*.b.test: ") && why.contains("; c.test: ") && !why.contains("; a.test"),
        "{why}"
    );
}

#[test]
fn a_handshake_proves_a_name_and_no_wildcard() {
    let [proxy, routed] = [None, Some(TlsAlpn01GatewayTlsRoute::default())].map(tls_solver);
    let ways = |name: &str, offered: &[&str], solver: &Solver| {
        let chosen =
            challenges(&[pending(name, offered)], std::slice::from_ref(solver), &no_labels(), &unchanged());
        chosen.map(|chosen| chosen.iter().map(|one| one.recorded(&[])).collect::<Vec<_>>())
    };
    let all = ["http-01", "dns-01", "tls-alpn-01"];
    for (solver, way, with_service) in
        [(&proxy, ChallengeWay::FrontProxy, false), (&routed, ChallengeWay::TlsRoute, true)]
    {
        let recorded = ways("a.test", &all, solver).unwrap();
        assert_eq!((recorded[0].type_.as_str(), recorded[0].way), ("tls-alpn-01", way));
        assert!(is_over_tls(&recorded[0]) && !is_over_http(&recorded[0]));
        assert_eq!(has_service(&recorded[0]), with_service);
        assert_eq!(recorded[0].token, "token-tls-alpn-01");
    }
    let words = "a.test: the CA offers http-01, but the issuer's solvers for this name use tls-alpn-01";
    assert_eq!(ways("a.test", &["http-01"], &proxy).unwrap_err().to_string(), words);
    let words = "*.a.test: a wildcard requires dns-01, but the issuer's solvers for it use tls-alpn-01";
    assert_eq!(ways("*.a.test", &all, &proxy).unwrap_err().to_string(), words);
    assert_eq!(
        refusal(&[pending("*.a.test", &all)], &[solver("any", &[]), proxy.clone()]),
        "*.a.test: a wildcard requires dns-01, but the issuer's solvers for it use http-01 and tls-alpn-01"
    );
    let by_name = |name| solver_of(std::slice::from_ref(&proxy), name, &no_labels()).map(|(_, typ)| typ);
    assert_eq!((by_name("a.test"), by_name("*.a.test")), (Some(ChallengeType::TlsAlpn01), None));
}

fn tls_solver(gateway_tls_route: Option<TlsAlpn01GatewayTlsRoute>) -> Solver {
    Solver { tls_alpn01: Some(TlsAlpn01Solver { gateway_tls_route }), ..Solver::default() }
}

#[test]
fn the_selector_chooses_by_name_and_by_label() {
    let mut labelled = solver("labelled", &[]);
    labelled.selector = Some(SolverSelector {
        match_labels: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        ..SolverSelector::default()
    });
    let solvers = [solver("any", &[]), solver("named", &["b.test"]), labelled];
    let authorizations = [pending("a.test", &["http-01"]), pending("b.test", &["http-01"])];
    let classes = |labels: &BTreeMap<String, String>| -> Vec<String> {
        let chosen = challenges(&authorizations, &solvers, labels, &unchanged()).unwrap();
        let class = |way| match way {
            Way::Ingress(ingress) => ingress.class,
            _ => None,
        };
        chosen.into_iter().filter_map(|challenged| class(challenged.way)).collect()
    };
    assert_eq!(classes(&no_labels()), ["any", "named"]);
    assert_eq!(classes(&BTreeMap::from([("team".to_owned(), "a".to_owned())])), ["labelled", "named"]);
}

#[test]
fn a_challenge_that_was_answered_before_is_known() {
    let mut answered = pending("a.test", &["http-01"]);
    answered.1.challenges[0].status = ChallengeStatus::Processing;
    let chosen = challenges(&[answered], &[solver("any", &[])], &no_labels(), &unchanged()).unwrap();
    assert!(chosen[0].processing);
}

#[test]
fn annotations_of_the_certificate_change_only_how_http_01_is_answered() {
    let authorizations = [pending("a.test", &["http-01"]), pending("*.b.test", &["dns-01"])];
    let solvers = [solver("any", &[]), dns_solver("192.0.2.53", &[])];
    let annotated = |name: &str, value: &str| {
        let annotations = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let overrides = Http01Overrides::of(&annotations, "shop");
        challenges(&authorizations, &solvers, &no_labels(), &overrides)
    };
    let chosen = annotated(certwright_api::OVERRIDE_INGRESS_NAME, "front").unwrap();
    let in_place = Http01Ingress { name: Some("front".to_owned()), ..Http01Ingress::default() };
    assert_eq!(chosen[0].way, Way::Ingress(in_place));
    assert!(matches!(chosen[1].way, Way::Record(_)));
    let why = annotated(certwright_api::OVERRIDE_INGRESS_NAME, "a/b").unwrap_err();
    assert_eq!(why.names().collect::<Vec<_>>(), ["a.test"], "dns-01 goes on");
    assert!(why.to_string().ends_with("it must be the name of an object"), "{why}");
}

#[test]
fn an_authorization_that_ended_is_dead() {
    use AuthorizationStatus::{Deactivated, Expired, Invalid, Pending, Revoked, Valid};
    let dead = |status| Authorization { status, ..pending("a.test", &[]).1 }.is_dead();
    assert!([Invalid, Deactivated, Expired, Revoked].into_iter().all(dead));
    assert!(![Pending, Valid].into_iter().any(dead));
}

fn refusal(authorizations: &[(String, Authorization)], solvers: &[Solver]) -> String {
    challenges(authorizations, solvers, &no_labels(), &unchanged()).unwrap_err().to_string()
}

/// The authorization of `name`, pending, with challenges of the types `offered`.
fn pending(name: &str, offered: &[&str]) -> (String, Authorization) {
    let challenge = |typ: &&str| Challenge {
        typ: serde_json::from_value((*typ).into()).unwrap(),
        url: format!("chall/{name}/{typ}"),
        status: ChallengeStatus::Pending,
        token: format!("token-{typ}"),
        error: None,
        issuer_domain_names: Vec::new(),
        issuer_domain_names_01: vec!["ca.example".to_owned()],
    };
    let authorization = Authorization {
        identifier: Identifier::dns(name.trim_start_matches("*.")),
        status: AuthorizationStatus::Pending,
        expires: None,
        challenges: offered.iter().map(challenge).collect(),
        wildcard: name.starts_with("*."),
        covers_subdomains: false,
    };
    (format!("authz/{name}"), authorization)
}

/// A solver identified by its ingress class.
fn solver(class: &str, names: &[&str]) -> Solver {
    let selector = SolverSelector {
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..SolverSelector::default()
    };
    let ingress = Http01Ingress { class: Some(class.to_owned()), ..Http01Ingress::default() };
    Solver {
        selector: (!names.is_empty()).then_some(selector),
        http01: Some(Http01Solver { ingress: Some(ingress), ..Http01Solver::default() }),
        ..Solver::default()
    }
}

/// A solver for dns-01, identified by its name server.
fn dns_solver(nameserver: &str, names: &[&str]) -> Solver {
    let rfc2136 = Dns01Rfc2136 { nameserver: nameserver.to_owned(), ..Dns01Rfc2136::default() };
    let dns01 = Dns01Solver { rfc2136: Some(rfc2136), ..Dns01Solver::default() };
    Solver { http01: None, dns01: Some(dns01), ..solver("", names) }
}

fn no_labels() -> BTreeMap<String, String> {
    BTreeMap::new()
}

//! Issuers.

use super::*;

/// A ClusterIssuer, as the watch brings it. An Issuer has less.
pub fn issuer(data: &[u8]) {
    let Some(object) = watched::<ClusterIssuer>(data) else { return };
    let (spec, status) = (&object.spec.acme, object.status.clone().unwrap_or_default());
    if let Some(rules) = &object.spec.allow {
        let subject =
            certwright_pki::Subject { dns_names: vec!["www.example.com".to_owned()], ..Default::default() };
        let _ = allow::check(rules, "shop", &BTreeMap::new(), &subject).map_err(|error| refusal(&error));
    }
    for dns01 in spec.solvers.iter().filter_map(|solver| solver.dns01.as_ref()) {
        let _ = services::webhook(&dns01.services, services::DEFAULT_GROUP);
        let _ = services::secrets(&dns01.services);
    }
    let account = status.acme.as_ref().map(|acme| Recorded {
        url: acme.uri.clone(),
        server: acme.server.clone(),
        key_id: acme.bound_key_id.clone(),
        deactivated: None,
    });
    let thumbprint = status.acme.as_ref().map(|acme| acme.key_thumbprint.clone()).unwrap_or_default();
    for ours in [true, false] {
        let key_secret = KeySecret::Key {
            thumbprint: thumbprint.clone(),
            ours,
            account: account.clone().filter(|_| ours),
        };
        let snapshot = account::Snapshot {
            spec,
            name: "ca",
            uid: "1",
            generation: object.metadata.generation.unwrap_or_default(),
            key_secret_name: ("ca-account-key", "tls.key"),
            secrets_namespace: Some("certwright"),
            key_secret: &key_secret,
            key_id: &KeyId::Known("kid-1".to_owned()),
            mac_key: &MacKey::Usable,
            external_account_version: None,
            deactivate: object.annotations().get("certwright.dev/deactivate-account").map(String::as_str),
            rebind: object.annotations().get("certwright.dev/rebind-account").map(String::as_str),
            retry_request: object.annotations().get("certwright.dev/retry").map(String::as_str),
            deleted: None,
            has_finalizer: ours,
            keys: rollover::Keys {
                algorithm: Some(KeyAlgorithm::ECDSA_P256),
                created: status.acme.as_ref().and_then(|acme| acme.key_created.as_ref()).map(|time| time.0),
                request: object.annotations().get("certwright.dev/rollover-account-key").map(String::as_str),
                ..rollover::Keys::default()
            },
            refusal: None,
            latest_terms: None,
            backoff: Backoff::default(),
            orders_per_account: 50,
        };
        let mut state = account::State::new(status.clone(), &spec.server);
        state.drop_unconfirmed(&key_secret);
        state.key_is_known();
        state.note_requests(&snapshot, *NOW);
        match account::next_step(&state, &snapshot, *NOW) {
            account::AccountStep::Wait { until, message: words, .. } => {
                message(&words);
                assert!(until.is_none_or(|until| until > *NOW));
            }
            account::AccountStep::Hold { until } => assert!(until.is_none_or(|until| until > *NOW)),
            _ => {}
        }
        let _ = state.news_of_requests().count();
        let consequence = state.apply(&snapshot, account::Outcome::Rested, *NOW);
        assert!(consequence.reports.contains(&account::Report::Write));
    }
    authorizations::kept(spec, status.clone());
    let _ = kstatus::of_issuer(&status.conditions);
    let offered: Authorization = serde_json::from_value(serde_json::json!({
        "status": "pending", "identifier": { "type": "dns", "value": "www.example.com" },
        "challenges": [
            { "type": "http-01", "url": "https://ca.example/c/1", "token": "t1" },
            { "type": "dns-01", "url": "https://ca.example/c/2", "token": "t2" },
        ],
    }))
    .expect("it is one");
    let authorizations = [("https://ca.example/z/1".to_owned(), offered)];
    let overrides = Ok(Http01Overrides::default());
    match challenges(&authorizations, &spec.solvers, &BTreeMap::new(), &overrides) {
        Ok(chosen) => assert_eq!(chosen.len(), 1),
        Err(error) => refusal(&error),
    }
}

use serde_json::json;

use super::*;

#[test]
fn a_solver_of_a_dns_service_is_taken_over_and_the_report_says_what_certwright_dns_must_read() {
    let akamai = "akamai: { serviceConsumerDomain: a.test, clientTokenSecretRef: { name: ak, key: a }, clientSecretSecretRef: { \
                  name: ak, key: b }, accessTokenSecretRef: { name: ak2, key: c } }";
    let route53 = "route53: { region: a, role: b, hostedZoneID: c, accessKeyID: d, secretAccessKeySecretRef: { name: aws, key: \
                   secret } }";
    let azure = "azureDNS: { subscriptionID: a, resourceGroupName: b, hostedZoneName: example.com, environment: \
                 AzurePublicCloud, tenantID: c, clientID: d, clientSecretSecretRef: { name: az, key: password } }";
    let identity = "azureDNS: { subscriptionID: a, resourceGroupName: b, managedIdentity: { clientID: c, tenantID: d } }";
    let reads = |secrets: &str| format!("install it, and let it read {secrets} in namespace shop. See");
    let own =
        "install it, and give its service account the identity that may change the zone. See".to_owned();
    for (solver, access) in [
        (
            "cloudflare: { email: a@example.com, apiTokenSecretRef: { name: cf, key: token } }",
            reads("Secret cf"),
        ),
        ("digitalocean: { tokenSecretRef: { name: do, key: token } }", reads("Secret do")),
        (akamai, reads("the Secrets ak, ak2")),
        (route53, reads("Secret aws")),
        ("route53: { region: a }", own.clone()),
        (
            "cloudDNS: { project: a, hostedZoneName: b, serviceAccountSecretRef: { name: gcp, key: json } }",
            reads("Secret gcp"),
        ),
        ("cloudDNS: { project: a }", own.clone()),
        (azure, reads("Secret az")),
        (identity, own),
    ] {
        let outcome = one(&solved_by(solver));
        assert_eq!(outcome.fitness, Fitness::TakenOver, "{outcome:#?}");
        assert_eq!(outcome.object.as_ref().unwrap()["spec"], outcome.original["spec"]);
        let [note] = &outcome.notes[..] else { panic!("{outcome:#?}") };
        let provider = solver.split(':').next().unwrap();
        assert_eq!(
            (note.path.as_str(), note.what),
            (&*format!("spec.acme.solvers[0].dns01.{provider}"), What::Changed)
        );
        assert!(note.text.contains(&access), "{access}\n{}", note.text);
    }
}

#[test]
fn the_secrets_of_a_cluster_issuer_are_read_in_the_operators_namespace() {
    let issuer = solved_by("digitalocean: { tokenSecretRef: { name: do, key: token } }");
    let issuer = issuer.replace("kind: Issuer", "kind: ClusterIssuer").replace(", namespace: shop", "");
    let [note] = &one(&issuer).notes[..] else { panic!("{issuer}") };
    assert!(note.text.contains("let it read Secret do in the operator's namespace"), "{}", note.text);
}

#[test]
fn an_access_key_without_a_name_is_none() {
    let outcome = one(&solved_by("route53: { region: a, secretAccessKeySecretRef: { name: '' } }"));
    assert_eq!(outcome.fitness, Fitness::TakenOver, "{outcome:#?}");
    let ours = outcome.object.unwrap();
    assert_eq!(ours["spec"]["acme"]["solvers"][0]["dns01"], json!({"route53": {"region": "a"}}));
}

#[test]
fn settings_of_a_dns_service_that_change_what_it_does_leave_the_issuer_and_its_certificates_incomplete() {
    for (solver, lost) in [
        (
            "cloudflare: { email: a@example.com, apiKeySecretRef: { name: cf, key: key } }",
            "cloudflare.apiKeySecretRef",
        ),
        ("route53: { auth: { kubernetes: { serviceAccountRef: { name: dns } } } }", "route53.auth"),
        (
            "azureDNS: { subscriptionID: a, resourceGroupName: b, environment: AzureGermanCloud }",
            "azureDNS.environment",
        ),
    ] {
        let issuer = format!(
            "{}      - {{ http01: {{ ingress: {{ podTemplate: {{ spec: {{}} }} }} }} }}\n---\n{}",
            solved_by(solver),
            certificate_yaml("")
        );
        let outcomes = convert(&objects(&issuer));
        let ours = outcomes[0].object.as_ref().unwrap();
        let kept = json!([{"http01": {"ingress": {"podTemplate": {"spec": {}}}}}]);
        assert_eq!(ours["spec"]["acme"]["solvers"], kept);
        let noted: Vec<_> = outcomes[0].notes.iter().map(|note| note.path.clone()).collect();
        let lost = format!("spec.acme.solvers[0].dns01.{lost}");
        assert_eq!(noted, [lost, "spec.acme.solvers[1].http01.ingress.podTemplate".to_owned()]);
        for outcome in &outcomes {
            assert!(matches!(&outcome.fitness, Fitness::Incomplete(_)), "{outcome:#?}");
        }
    }
}

/// An Issuer with this solver for dns-01.
fn solved_by(provider: &str) -> String {
    format!(
        "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {{ name: ca, namespace: shop }}\nspec:\n  acme:\n    server: \
         https://ca.example.com/directory\n    privateKeySecretRef: {{ name: key }}\n    solvers:\n      - {{ selector: {{ \
         dnsZones: [example.com] }}, dns01: {{ {provider} }} }}\n"
    )
}

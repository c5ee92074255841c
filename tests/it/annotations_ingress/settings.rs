//! Settings of the operator, and annotations that choose how control is proved.

use super::*;

#[tokio::test]
async fn an_ingress_says_that_control_is_proved_by_its_own_paths_or_with_which_class() -> Result<()> {
    TestNamespace::with("overrides", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        // No controller serves this class.
        let solvers = json!([{ "http01": { "ingress": { "ingressClassName": "none" } } }]);
        ns.apply(&dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        for (name, annotation, value, set) in [
            ("place", "http01-edit-in-place", "true", "http01-override-ingress-name"),
            ("class", "http01-ingress-ingressclassname", "router", "http01-override-ingress-ingressclassname"),
        ] {
            let annotations = json!({ ISSUER: "ca", format!("acme.certwright.dev/{annotation}"): value });
            ns.apply(&ingress(name, &annotations, &[(name, &[&host(ns, name)])])).await?;
            let made = issued(ns, name).await?;
            let set = &made["metadata"]["annotations"][format!("acme.certwright.dev/{set}")];
            assert_eq!(set, if value == "true" { name } else { value });
            assert_eq!(told(ns, name).await?, [format!("CertificateCreated: Certificate {name} was created")]);
        }
        // A Certificate of one's own, with cert-manager's name.
        let own = certificate("own", &[&host(ns, "own")], "");
        let annotated = "metadata: { name: own, annotations: { acme.cert-manager.io/http01-override-ingress-ingressclassname: \
            router } }";
        ns.apply(&own.replace("metadata: { name: own }", annotated)).await?;
        issued(ns, "own").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn annotations_are_copied_and_request_certificates_as_the_flags_say() -> Result<()> {
    TestNamespace::with("copied", async |ns| {
        let _operator = Operator::builder(ns)
            .argument("--default-issuer-name", "ca")
            .argument("--auto-certificate-annotations", "example.com/tls")
            .argument("--extra-certificate-annotations", "example.com/team,example.com/contact")
            .start()
            .await?;
        let annotations =
            json!({ "example.com/tls": "true", "example.com/team": "web", "example.com/other": "x" });
        ns.apply(&ingress("shop", &annotations, &[("tls", &["a.test"])])).await?;
        let found = made(ns, "tls").await?["metadata"]["annotations"].clone();
        assert_eq!((&found["example.com/team"], &found["example.com/other"]), (&json!("web"), &Value::Null));
        let change = json!({ "metadata": { "annotations": { "example.com/team": "shop" } } });
        ns.patch("ingress/shop", change).await?;
        let team = |object: &Value| object["metadata"]["annotations"]["example.com/team"].clone();
        certificate_that(ns, "tls", |object| team(object) == "shop").await?;
        let none = json!({ "metadata": { "annotations": { "example.com/team": null } } });
        ns.patch("ingress/shop", none).await?;
        certificate_that(ns, "tls", |object| team(object).is_null()).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn turned_off_nothing_is_watched_or_made() -> Result<()> {
    TestNamespace::with("off", async |ns| {
        let _operator = Operator::builder(ns).argument("--annotations", "false").start().await?;
        ns.apply(&ingress("shop", &by_ca(), &[("tls", &["a.test"])])).await?;
        ns.apply(&certificate("own", &["own.test"], "")).await?;
        ns.wait_condition("certificate/own", "Ready", "False", SOON).await?;
        let requests = requests(ns)?;
        ensure!(requests.iter().any(|request| request.ends_with(" certificates")), "it works: {requests:?}");
        let watched =
            |request: &&String| ["ingresses", "gateways"].iter().any(|resource| request.ends_with(resource));
        assert_eq!(requests.iter().find(watched), None);
        assert_eq!(certificates(ns).await?, ["own"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_default_issuer_is_for_ingresses_that_say_tls_acme() -> Result<()> {
    TestNamespace::with("tls-acme", async |ns| {
        let _operator = Operator::builder(ns)
            .argument("--default-issuer-name", "letsencrypt")
            .argument("--default-issuer-kind", "ClusterIssuer")
            .start()
            .await?;
        ns.apply(&ingress("plain", &json!({}), &[("plain", &["a.test"])])).await?;
        ns.apply(&ingress("acme", &json!({ "kubernetes.io/tls-acme": "true" }), &[("acme", &["b.test"])]))
            .await?;
        let made = made(ns, "acme").await?;
        let issuer = json!({ "name": "letsencrypt", "kind": "ClusterIssuer", "group": "certwright.dev" });
        assert_eq!(made["spec"]["issuerRef"], issuer);
        caught_up(ns, "marker").await?;
        assert_eq!(certificates(ns).await?, ["acme", "marker"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn annotations_of_cert_manager_are_read_only_if_that_is_wanted() -> Result<()> {
    TestNamespace::with("theirs", async |ns| {
        let operator = Operator::builder(ns).start().await?;
        let theirs =
            json!({ "cert-manager.io/cluster-issuer": "ca", "cert-manager.io/private-key-algorithm": "ECDSA" });
        ns.apply(&ingress("shop", &theirs, &[("tls", &["a.test"])])).await?;
        caught_up(ns, "marker").await?;
        assert_eq!(certificates(ns).await?, ["marker"]);
        operator.terminate().await?;

        let _operator = Operator::builder(ns).argument("--cert-manager-annotations", "true").start().await?;
        let made = made(ns, "tls").await?;
        assert_eq!(made["spec"]["issuerRef"]["kind"], "ClusterIssuer");
        assert_eq!(made["spec"]["privateKey"], json!({ "algorithm": "ECDSA" }));
        let both = json!({ "cert-manager.io/cluster-issuer": "ca", ISSUER: "ours" });
        ns.apply(&ingress("shop", &both, &[("tls", &["a.test"])])).await?;
        certificate_that(ns, "tls", |object| object["spec"]["issuerRef"]["name"] == "ours").await.map(drop)
    })
    .await
}

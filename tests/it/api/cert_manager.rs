//! Objects that were written for cert-manager.

use super::*;

#[tokio::test]
async fn a_certificate_written_for_cert_manager_is_accepted_as_it_is() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let good = [
            "dnsNames: [a.test], renewal: { policy: RenewBefore, windows: [{ cron: '*/15 1-5,22 1,15 JAN-mar Mon,5-7', windowDuration: 1h30m, timezone: Europe/Paris }] }",
            "dnsNames: [a.test], renewal: { policy: Disabled }",
            "dnsNames: ['*.a.test'], served: { check: true, port: 465, addresses: [192.0.2.1, '2001:db8::1'], serverName: www.a.test }",
            "dnsNames: [a.test, '*.a.test', xn--mnchen-3ya.test, A.Example.TEST, a]",
            "ipAddresses: [192.0.2.1, '2001:db8::1']",
            "commonName: a.test",
            "dnsNames: [a.test], commonName: a.test, isCA: false",
            "dnsNames: [a.test], uris: [], emailAddresses: [], otherNames: [], additionalOutputFormats: []",
            "dnsNames: [a.test], usages: [digital signature, key encipherment]",
            "dnsNames: [a.test], usages: [server auth, client auth], encodeUsagesInRequest: true, signatureAlgorithm: SHA256WithRSA",
            "dnsNames: [a.test], literalSubject: 'CN=a,O=Shop', commonName: Example Shop, deletionPolicy: Delete",
            "dnsNames: [a.test], subject: { organizations: [Shop], countries: [FR], organizationalUnits: [IT], localities: [Lyon], provinces: [Rhône], streetAddresses: [1 Rue], postalCodes: ['69001'], serialNumber: '1' }",
            "dnsNames: [a.test], keystores: { pkcs12: { create: true, profile: Modern2026, password: a } }",
            "dnsNames: [a.test], renewBefore: 360h0m0s, revisionHistoryLimit: 1",
            "dnsNames: [a.test], renewBeforePercentage: 33",
            "dnsNames: [a.test], privateKey: { algorithm: RSA, encoding: PKCS8, size: 4096, rotationPolicy: Never }",
            "dnsNames: [a.test], privateKey: { algorithm: ECDSA, size: 521 }",
            "dnsNames: [a.test], privateKey: { algorithm: Ed25519 }, duration: 2160h",
            "dnsNames: [a.test], additionalOutputFormats: [{ type: CombinedPEM }, { type: DER }]",
            "dnsNames: [a.test], keystores: { jks: { create: true, alias: a, passwordSecretRef: { name: a, key: b } } }",
            "dnsNames: [a.test], keystores: { pkcs12: { create: true, profile: LegacyRC2, passwordSecretRef: { name: a, key: b } } }",
            "dnsNames: [a.test], keystores: { pkcs12: { create: false }, jks: { create: true, password: changeit } }",
            "dnsNames: [a.test], secretTemplate: { labels: { a.test/b: c }, annotations: { d: 'e f' } }",
        ];
        for fields in good {
            let reference = "issuerRef: { name: ca, kind: Issuer, group: cert-manager.io }";
            let yaml = spelled(&format!("secretName: a-tls, {reference}, {fields}"));
            ns.apply(&yaml).await.with_context(|| fields.to_owned())?;
            ns.delete_object("certificate/a").await?;
        }
        let yaml = spelled("secretName: a-tls, issuerRef: { name: ca }, dnsNames: [a.test]");
        ns.apply(&yaml).await?;
        let stored = ns.get("certificate/a").await?.context("it is gone")?;
        assert_eq!(stored["spec"]["issuerRef"]["kind"], "Issuer", "the default is filled in");
        assert_eq!(stored["spec"]["issuerRef"]["group"], "certwright.dev");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_written_for_cert_manager_is_accepted_as_it_is() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let server = "server: 'https://a.test/dir'";
        let good = [
            server.to_owned(),
            format!("{server}, email: '', solvers: []"),
            "server: 'http://ca.internal:8080/acme'".to_owned(),
            format!("{server}, caBundle: YQ==, skipTLSVerify: false"),
            format!("{server}, requestTimeout: 2m30s"),
            format!("{server}, caaCheck: None"),
            format!("{server}, authorizations: [{{ dnsName: a.test }}, {{ dnsName: B.test, subdomains: true }}]"),
            format!("{server}, skipTLSVerify: true, preferredChain: ISRG Root X1, profile: shortlived"),
            format!("{server}, accountKey: {{ algorithm: RSA }}, privateKeySecretRef: {{ name: a, key: b }}"),
            format!("{server}, accountKey: {{ size: 384, rolloverInterval: 1h }}"),
            format!("{server}, solvers: [{{ waitInsteadOfSelfCheck: 0s, http01: {{ ingress: {{ podTemplate: {{ spec: {{ nodeSelector: {{ a: b }} }} }} }} }} }}]"),
            format!("{server}, solvers: [{{ http01: {{ gatewayHTTPRoute: {{ parentRefs: [{{ name: a }}], podTemplate: {{ metadata: {{ labels: {{ a: b }} }} }} }} }} }}]"),
            format!("{server}, solvers: [{{ dns01: {{ rfc2136: {{ nameserver: 192.0.2.1 }}, nameservers: [192.0.2.2] }} }}]"),
            format!("{server}, accountKey: {{ rolloverInterval: 2160h0m0s }}"),
            format!(
                "{server}, externalAccountBinding: {{ keyID: a, keyAlgorithm: HS512, keySecretRef: {{ name: b, key: c }} }}"
            ),
        ];
        for fields in good {
            let yaml = format!(
                "{{ apiVersion: certwright.dev/v1alpha1, kind: Issuer, metadata: {{ name: a }}, spec: {{ acme: {{ {fields} }} }} }}"
            );
            ns.apply(&yaml).await.with_context(|| fields.clone())?;
            ns.delete_object("issuer/a").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sectigos_cluster_issuer_for_cert_manager_works_with_another_api_version() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("api", async |ns| {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sectigo-clusterissuer.yaml");
        let published = fs::read_to_string(&fixture)?;
        let (server, key_id) = ("https://acme.sectigo.com/v2/DV", "8LFTBfZ6OLbXjF1xJGaEGw");
        ensure!(published.contains(server) && published.contains(key_id), "{published}");
        // The API knows all of its fields: kubectl rejects fields that would be dropped.
        kubectl(ns, &["apply", "--dry-run=server", "--filename", &fixture.display().to_string()])?;

        let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
        let pebble = Pebble::builder().eab(key_id, key).start(&ns.cluster).await?;
        // Instead of the public roots, which the real CA chains to.
        let roots = ns.cluster.description.state.join(format!("{}.roots.pem", ns.name));
        fs::write(&roots, &pebble.ca_pem)?;
        let _operator = Operator::builder(ns)
            .argument("--cluster-issuers", "true")
            .environment("SSL_CERT_FILE", &roots.display().to_string())
            .start()
            .await?;
        ns.apply(&mac_key("sectigo-eab", key)).await?;
        ns.apply(&published.replace(server, &pebble.directory_url)).await?;
        let ready = ns.wait_condition("clusterissuer/sectigo", "Ready", "True", SOON).await;
        let key_secret = ns.get("secret/sectigo-account-key").await;
        ns.delete_object("clusterissuer/sectigo").await?;
        let account = &ready?["status"]["acme"];
        assert_eq!(account["lastRegisteredEmail"], "admin@example.com");
        assert_eq!(account["boundKeyID"], key_id);
        assert!(key_secret?.is_some(), "the account key's Secret has a default name");
        Ok(())
    })
    .await
}

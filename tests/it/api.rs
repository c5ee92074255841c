//! What the API rejects and accepts, and its messages.

mod cert_manager;
mod definitions;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use crate::common::api::{is_refused, kubectl};
use crate::common::{CLUSTER_ISSUERS, SOON, certificate, condition, issued, issuer, mac_key};
use anyhow::{Context, Result, ensure};
use certwright_api::{crds, crds_yaml};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::Value;

/// A second, plus some time for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_certificate_that_cannot_be_honoured_is_refused_with_a_sentence() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let long = "a".repeat(64);
        let cases = [
            ("", "a certificate needs a name: set dnsNames, ipAddresses or commonName"),
            ("dnsNames: []", "a certificate needs a name"),
            ("commonName: ''", "a certificate needs a name"),
            (
                "dnsNames: [a.test], renewBefore: 24h, renewBeforePercentage: 20",
                "renewBefore and renewBeforePercentage are mutually exclusive; remove one",
            ),
            ("dnsNames: [a.test], renewBefore: 30d", "spec.renewBefore"),
            ("dnsNames: [a.test], renewBeforePercentage: 0", "spec.renewBeforePercentage"),
            ("dnsNames: [a.test], renewBeforePercentage: 100", "spec.renewBeforePercentage"),
            ("dnsNames: [exa mple.test]", "'exa mple.test' is not a DNS name"),
            ("dnsNames: [-a.test]", "'-a.test' is not a DNS name"),
            ("dnsNames: [a-.test]", "'a-.test' is not a DNS name"),
            ("dnsNames: [a..test]", "'a..test' is not a DNS name"),
            ("dnsNames: [a_b.test]", "'a_b.test' is not a DNS name"),
            ("dnsNames: [a.test.]", "'a.test.' is not a DNS name"),
            ("dnsNames: ['https://a.test']", "'https://a.test' is not a DNS name"),
            ("dnsNames: [münchen.test]", "write other scripts as xn-- labels"),
            (&format!("dnsNames: [{long}.test]"), "is not a DNS name: labels of letters, digits and '-', at most 63 each"),
            ("dnsNames: ['']", "spec.dnsNames[0]"),
            ("dnsNames: [a.*.test]", "'a.*.test': a wildcard must be the whole leftmost label, as in *.example.com"),
            ("dnsNames: ['*a.test']", "'*a.test': a wildcard must be the whole leftmost label"),
            ("dnsNames: ['*.*.test']", "'*.*.test': a wildcard must be the whole leftmost label"),
            ("dnsNames: ['*']", "'*': a wildcard must be the whole leftmost label"),
            ("dnsNames: [a.test, b.test, a.test]", "Duplicate value: \"a.test\""),
            ("ipAddresses: [192.0.2.1, 192.0.2.1]", "Duplicate value: \"192.0.2.1\""),
            ("ipAddresses: [192.0.2.256]", "'192.0.2.256' is not an IP address"),
            ("ipAddresses: [a.test]", "'a.test' is not an IP address"),
            (&format!("commonName: {long}a"), "spec.commonName"),
            ("dnsNames: [a.test], privateKey: { size: 1024 }", "privateKey.size: must be 2048 to 8192 for RSA"),
            (
                "dnsNames: [a.test], privateKey: { algorithm: RSA, size: 16384 }",
                "privateKey.size: must be 2048 to 8192 for RSA",
            ),
            (
                "dnsNames: [a.test], privateKey: { algorithm: ECDSA, size: 224 }",
                "privateKey.size: must be 256, 384 or 521 for ECDSA",
            ),
            (
                "dnsNames: [a.test], privateKey: { algorithm: ECDSA, size: 2048 }",
                "privateKey.size: must be 256, 384 or 521 for ECDSA",
            ),
            ("dnsNames: [a.test], privateKey: { algorithm: DSA }", "supported values: \"RSA\", \"ECDSA\", \"Ed25519\""),
            ("dnsNames: [a.test], privateKey: { encoding: DER }", "supported values: \"PKCS1\", \"PKCS8\""),
            ("dnsNames: [a.test], privateKey: { rotationPolicy: Often }", "supported values: \"Always\", \"Never\""),
            ("dnsNames: [a.test], revocation: { onDelete: Always }", "supported values: \"Never\", \"unspecified\", \"keyCompromise\""),
            ("dnsNames: [a.test], revocation: { onReplace: KeyCompromise }", "spec.revocation.onReplace"),
            (
                "dnsNames: [a.test], revocation: { onReplace: superseded, deletionTimeout: 1m }",
                "revocation.deletionTimeout: has no effect without onDelete; set onDelete or remove the field",
            ),
            ("dnsNames: [a.test], revocation: { onDelete: superseded, deletionTimeout: 1d }", "deletionTimeout"),
            ("dnsNames: [a.test], revocation: { onRevoked: Never }", "supported values: \"Reissue\", \"Report\""),
            (
                "dnsNames: [a.test], fallbackIssuerRefs: [{ name: b }, { name: ca }]",
                "fallbackIssuerRefs: must not name the issuer in issuerRef",
            ),
            (
                "dnsNames: [a.test], fallbackIssuerRefs: [{ name: b }, { name: b, kind: Issuer }]",
                "fallbackIssuerRefs: must not name an issuer twice",
            ),
            ("dnsNames: [a.test], fallbackPolicy: { after: 721h }", "must be a duration from 0s to 720h"),
            ("dnsNames: [a.test], fallbackPolicy: { validationFailures: 0 }", "fallbackPolicy.validationFailures"),
            (
                "dnsNames: [a.test], rehearsalIssuerRef: { name: ca }",
                "rehearsalIssuerRef: must not name the issuer in issuerRef",
            ),
            (
                "dnsNames: [a.test], fallbackIssuerRefs: [{ name: b }], rehearsalIssuerRef: { name: b }",
                "rehearsalIssuerRef: must not name an issuer in fallbackIssuerRefs",
            ),
            ("dnsNames: [a.test], renewal: { policy: Never }", "supported values: \"RenewBefore\", \"Disabled\""),
            (
                "dnsNames: [a.test], renewal: { policy: Disabled, windows: [{ cron: '0 2 * * *', windowDuration: 1h }] }",
                "renewal: windows have no effect with policy Disabled; remove one",
            ),
            (
                "dnsNames: [a.test], renewal: { windows: [{ cron: '60 2 * * *', windowDuration: 1h }] }",
                "cron: must have five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12)",
            ),
            (
                "dnsNames: [a.test], renewal: { windows: [{ cron: '0 2 * *', windowDuration: 1h }] }",
                "cron: must have five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12)",
            ),
            (
                "dnsNames: [a.test], renewal: { windows: [{ cron: '@daily', windowDuration: 1h }] }",
                "cron: must have five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12)",
            ),
            (
                "dnsNames: [a.test], renewal: { windows: [{ cron: '0 2 * * *', windowDuration: 10s }] }",
                "must be a duration from 1m to 8784h",
            ),
            (
                "dnsNames: [a.test], renewal: { windows: [{ cron: '0 2 * * *' }] }",
                "windowDuration: Required value",
            ),
            (
                "dnsNames: [a.test], renewal: { windows: [{ cron: '0 2 * * *', windowDuration: 1h, timezone: 'Paris, France' }] }",
                "timezone: must be an IANA time zone, such as Europe/Paris",
            ),
            ("dnsNames: [a.test], isCA: true", "isCA: an ACME CA does not issue CA certificates; remove the field"),
            (
                "dnsNames: [a.test], uris: ['spiffe://a.test/b']",
                "uris: an ACME CA validates only DNS names and IP addresses; remove the field",
            ),
            (
                "dnsNames: [a.test], emailAddresses: [a@a.test]",
                "emailAddresses: an ACME CA validates only DNS names and IP addresses; remove the field",
            ),
            (
                "dnsNames: [a.test], otherNames: [{ oid: 1.3.6.1.4.1.311.20.2.3, utf8Value: a@a.test }]",
                "otherNames: an ACME CA validates only DNS names and IP addresses; remove the field",
            ),
            (
                "dnsNames: [a.test], nameConstraints: { critical: true }",
                "nameConstraints: an ACME CA does not issue CA certificates; remove the field",
            ),
            (
                "dnsNames: [a.test], keystores: { pkcs12: { create: true } }",
                "keystores.pkcs12: set either passwordSecretRef or password",
            ),
            (
                "dnsNames: [a.test], keystores: { jks: { create: true, password: a, passwordSecretRef: { name: a } } }",
                "keystores.jks: set either passwordSecretRef or password",
            ),
            (
                "dnsNames: [a.test], keystores: { jks: { create: true, password: a, alias: 'schlüssel' } }",
                "keystores.jks.alias: must consist of printable ASCII characters",
            ),
            (
                "dnsNames: [a.test], keystores: { jks: { create: true, passwordSecretRef: { name: A } } }",
                "passwordSecretRef.name: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit",
            ),
            (
                "dnsNames: [a.test], keystores: { jks: { create: true, passwordSecretRef: { name: a, key: 'b/c' } } }",
                "passwordSecretRef.key: must consist of letters, digits, '-', '_' and '.'",
            ),
            (&format!("dnsNames: [a.test], literalSubject: {}", "a".repeat(4097)), "spec.literalSubject"),
            (&format!("dnsNames: [a.test], usages: [{}any]", "any, ".repeat(64)), "spec.usages"),
            ("dnsNames: [a.test], served: { port: 0 }", "spec.served.port"),
            ("dnsNames: [a.test], served: { addresses: [a.test] }", "'a.test' is not an IP address"),
            ("dnsNames: [a.test], served: { serverName: '*.a.test' }", "serverName: must be a DNS name without a wildcard"),
            ("dnsNames: [a.test], served: { addresses: ['::1', '::2', '::3', '::4', '::5', '::6', '::7', '::8', '::9'] }", "spec.served.addresses"),
            ("dnsNames: [a.test], deletionPolicy: Keep", "supported values: \"Delete\", \"Orphan\""),
            ("dnsNames: [a.test], additionalOutputFormats: [{ type: PFX }]", "supported values: \"DER\", \"CombinedPEM\""),
            ("dnsNames: [a.test], additionalOutputFormats: [{ type: DER }, { type: DER }]", "Duplicate value"),
        ];
        for (fields, sentence) in cases {
            let yaml = spelled(&format!("secretName: a-tls, issuerRef: {{ name: ca }}, {fields}"));
            is_refused(ns, &yaml, sentence).await?;
        }
        let whole = [
            ("issuerRef: { name: ca }, dnsNames: [a.test]", "spec.secretName: Required value"),
            ("issuerRef: { name: ca }, secretName: '', dnsNames: [a.test]", "spec.secretName"),
            (
                "issuerRef: { name: ca }, secretName: A_TLS, dnsNames: [a.test]",
                "secretName: must consist of lower-case letters, digits, '-' and '.', and start and end with a letter or digit",
            ),
            ("secretName: a-tls, dnsNames: [a.test]", "spec.issuerRef: Required value"),
            (
                "secretName: a-tls, dnsNames: [a.test], issuerRef: { name: ca, group: awspca.cert-manager.io }",
                "issuerRef.group: must be certwright.dev, or cert-manager.io, which means the same; remove the field",
            ),
            (
                "secretName: a-tls, dnsNames: [a.test], issuerRef: { name: ca, kind: AWSPCAIssuer }",
                "supported values: \"Issuer\", \"ClusterIssuer\"",
            ),
        ];
        for (fields, sentence) in whole {
            is_refused(ns, &spelled(fields), sentence).await?;
        }
        assert!(ns.get("certificate/a").await?.is_none(), "nothing of it was stored");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_that_cannot_be_honoured_is_refused_with_a_sentence() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let url = "server: must be the http or https URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory";
        let server = "server: 'https://a.test/dir'";
        let cases = [
            ("email: a@a.test".to_owned(), "spec.acme.server: Required value"),
            ("server: ''".into(), "spec.acme.server"),
            ("server: a.test/dir".into(), url),
            ("server: 'ftp://a.test/dir'".into(), url),
            (
                format!("{server}, caBundle: YQ==, skipTLSVerify: true"),
                "caBundle and skipTLSVerify are mutually exclusive; remove one",
            ),
            (format!("{server}, caaCheck: Warn"), "caaCheck: Unsupported value"),
            (format!("{server}, authorizations: [{{ dnsName: '*.a.test' }}]"), "authorizations[0].dnsName"),
            (format!("{server}, authorizations: [{{ dnsName: a.test }}, {{ dnsName: a.test }}]"), "Duplicate value"),
            (format!("{server}, authorizations: [{{ subdomains: true }}]"), "dnsName: Required value"),
            (format!("{server}, requestTimeout: 4s"), "must be a duration from 5s to 5m"),
            (format!("{server}, requestTimeout: 301s"), "must be a duration from 5s to 5m"),
            (
                format!("{server}, accountKey: {{ algorithm: RSA, size: 1024 }}"),
                "accountKey.size: must be 2048, 3072 or 4096 for RSA",
            ),
            (
                format!("{server}, accountKey: {{ rolloverInterval: 59m }}"),
                "must be a duration from 1h to 87600h",
            ),
            (format!("{server}, accountKey: {{ rolloverInterval: 90d }}"), "accountKey.rolloverInterval"),
            (
                format!("{server}, accountKey: {{ size: 521 }}"),
                "accountKey.size: must be 256 or 384 for ECDSA",
            ),
            (
                format!("{server}, externalAccountBinding: {{ keySecretRef: {{ name: eab }} }}"),
                "externalAccountBinding: set either keyID or keyIDSecretRef",
            ),
            (
                format!("{server}, externalAccountBinding: {{ keyID: a, keyAlgorithm: MD5, keySecretRef: {{ name: eab }} }}"),
                "supported values: \"HS256\", \"HS384\", \"HS512\"",
            ),
            (
                format!("{server}, privateKeySecretRef: {{ name: My_Key }}"),
                "privateKeySecretRef.name: must consist of lower-case letters, digits, '-' and '.'",
            ),
            (
                format!("{server}, privateKeySecretRef: {{ name: a, key: 'my key' }}"),
                "privateKeySecretRef.key: must consist of letters, digits, '-', '_' and '.'",
            ),
            (
                format!("{server}, externalAccountBinding: {{ keyID: a, keySecretRef: {{ name: a/b }} }}"),
                "keySecretRef.name: must consist of lower-case letters, digits, '-' and '.'",
            ),
        ];
        for kind in ["Issuer", "ClusterIssuer"] {
            for (fields, sentence) in &cases {
                let yaml = format!(
                    "{{ apiVersion: certwright.dev/v1alpha1, kind: {kind}, metadata: {{ name: {} }}, spec: {{ acme: \
                     {{ {fields} }} }} }}",
                    ns.name
                );
                is_refused(ns, &yaml, sentence).await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refusal_is_what_kubectl_apply_shows() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let path = ns.cluster.description.state.join(format!("{}.yaml", ns.name));
        fs::write(
            &path,
            spelled("secretName: a-tls, issuerRef: { name: ca }, dnsNames: [a.test], isCA: true"),
        )?;
        let applied =
            kubectl(ns, &["apply", "--namespace", &ns.name, "--filename", &path.display().to_string()]);
        let shown = applied.err().context("accepted")?.to_string();
        let sentence = "isCA: an ACME CA does not issue CA certificates; remove the field";
        assert!(shown.contains("spec.isCA: Invalid value") && shown.contains(sentence), "{shown}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_this_version_does_not_know_is_refused_by_kubectl_and_not_dropped() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let path = ns.cluster.description.state.join(format!("{}.yaml", ns.name));
        for (fields, unknown) in [
            ("solvers: [{ dns01: { hetzner: {} } }]", "spec.acme.solvers[0].dns01.hetzner"),
            ("accountURL: 'https://a.test/1'", "spec.acme.accountURL"),
        ] {
            let yaml = format!(
                "{{ apiVersion: certwright.dev/v1alpha1, kind: Issuer, metadata: {{ name: a }}, spec: {{ acme: {{ server: \
                 'https://a.test/dir', {fields} }} }} }}"
            );
            fs::write(&path, yaml)?;
            let applied =
                kubectl(ns, &["apply", "--namespace", &ns.name, "--filename", &path.display().to_string()]);
            let error = applied.err().context("accepted")?.to_string();
            assert!(error.contains(&format!("unknown field \"{unknown}\"")), "{error}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_needs_more_than_a_rule_of_the_crd_is_said_in_a_condition_at_once() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        let cases = [
            (
                "size",
                "dnsNames: [a.test], privateKey: { algorithm: RSA, size: 2304 }",
                "privateKey.size: RSA keys of 2304 bits are not supported; use 2048, 3072, 4096 or 8192",
            ),
            (
                "name",
                "commonName: Example Shop",
                "commonName: 'Example Shop' is not a DNS name, and an ACME CA accepts only names that it can validate; use \
                 dnsNames",
            ),
            (
                "label",
                "dnsNames: [a.test], secretTemplate: { labels: { app.kubernetes.io/managed-by: me } }",
                "secretTemplate: 'app.kubernetes.io/managed-by' belongs to Certwright; choose another key",
            ),
            (
                "annotation",
                "dnsNames: [a.test], secretTemplate: { annotations: { certwright.dev/issuer-name: me } }",
                "secretTemplate: 'certwright.dev/issuer-name' belongs to Certwright; choose another key",
            ),
            (
                "label-key",
                "dnsNames: [a.test], secretTemplate: { labels: { 'no key': a } }",
                "secretTemplate.labels: ",
            ),
            (
                "label-value",
                "dnsNames: [a.test], secretTemplate: { labels: { a: 'no value!' } }",
                "secretTemplate.labels: ",
            ),
            (
                "annotation-key",
                "dnsNames: [a.test], secretTemplate: { annotations: { 'no/key/at/all': a } }",
                "secretTemplate.annotations: ",
            ),
        ];
        for (name, fields, sentence) in cases {
            let yaml = spelled(&format!("secretName: a-tls, issuerRef: {{ name: ca }}, {fields}"));
            let yaml = yaml.replace("name: a }", &format!("name: {name} }}")).replace("a-tls", &format!("{name}-tls"));
            ns.apply(&yaml).await?;
            let said = |object: &Value| {
                ["Ready", "Issuing"].into_iter().all(|of| {
                    condition(object, of)
                        .is_some_and(|(_, reason, message)| reason == "InvalidSpec" && message.starts_with(sentence))
                })
            };
            let object = ns.wait(&format!("certificate/{name}"), AT_ONCE, said).await?;
            assert_eq!(condition(&object, "Ready").context("no condition")?.0, "False");
        }

        ns.apply(&issuer("https://a.test/dir", "no certificate", "")).await?;
        let said = |issuer: &Value| condition(issuer, "Ready").is_some_and(|ready| ready.1 == "InvalidSpec");
        let said = ns.wait("issuer/ca", AT_ONCE, said).await?;
        let message = condition(&said, "Ready").context("no condition")?.2;
        assert!(message.to_lowercase().contains("ca bundle contains no usable pem certificate"), "{message}");
        Ok(())
    })
    .await
}

/// A Certificate called `a` with these fields in its spec.
fn spelled(fields: &str) -> String {
    format!(
        "{{ apiVersion: certwright.dev/v1alpha1, kind: Certificate, metadata: {{ name: a }}, spec: {{ {fields} }} }}"
    )
}

//! Further formats of the certificate and its key, and keystores, as `openssl` and Java's `keytool` read them.

use std::process::Command;
use std::time::Duration;

use crate::common::faults::issuing;
use crate::common::{SOON, certificate, issued, ready, revision, stays_as_it_is, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::TestNamespace;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

const KEYSTORES: &str = "  additionalOutputFormats: [{ type: DER }, { type: CombinedPEM }]
  keystores:
    pkcs12: { create: true, passwordSecretRef: { name: store } }
    jks: { create: true, alias: Shop, passwordSecretRef: { name: store, key: java } }
";

/// The Secret with the passwords.
fn passwords(pkcs12: &str, jks: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "store" },
        "stringData": { "password": pkcs12, "java": jks },
    })
    .to_string()
}

#[tokio::test]
async fn every_format_is_read_back_by_openssl_and_keytool() -> Result<()> {
    TestNamespace::with("keystores", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&passwords("pkcs-pass", "java-pass")).await?;
        for (name, algorithm) in [("ec", "ECDSA"), ("rsa", "RSA")] {
            let yaml = certificate(name, &[&format!("{name}.example.com")], KEYSTORES);
            ns.apply(&yaml.replace("algorithm: ECDSA", &format!("algorithm: {algorithm}"))).await?;
        }
        for name in ["ec", "rsa"] {
            issued(ns, name).await?;
            let files = Files::of(ns, &format!("{name}-tls")).await?;
            let found = tls(ns, &format!("{name}-tls")).await?;

            let key = files.openssl(&["pkey", "-inform", "DER", "-in", "key.der", "-pubout"])?;
            ensure!(key == files.openssl(&["pkey", "-in", "tls.key", "-pubout"])?, "key.der is another key");
            let combined = files.text("tls-combined.pem")?;
            assert_eq!(combined, format!("{}\n{}", files.text("tls.key")?, files.text("tls.crt")?));

            let p12 = ["pkcs12", "-in", "keystore.p12", "-passin", "pass:pkcs-pass", "-nodes"];
            let opened = files.openssl(&p12)?;
            for part in ["BEGIN PRIVATE KEY", "friendlyName: certificate"] {
                assert!(opened.contains(part), "{part}: {opened}");
            }
            assert_eq!(opened.matches("BEGIN CERTIFICATE").count(), found.chain.certificates().len());
            let about = files.openssl(&[
                "pkcs12",
                "-in",
                "keystore.p12",
                "-passin",
                "pass:pkcs-pass",
                "-info",
                "-noout",
            ])?;
            assert!(about.contains("AES-256-CBC"), "{about}");

            for (store, password, alias) in
                [("keystore.p12", "pkcs-pass", "certificate"), ("keystore.jks", "java-pass", "shop")]
            {
                let listed = files.keytool(&["-list", "-v", "-keystore", store, "-storepass", password])?;
                assert!(listed.contains(&format!("Alias name: {alias}")), "{listed}");
                assert!(listed.contains("Entry type: PrivateKeyEntry"), "{listed}");
                assert!(listed.contains("Certificate chain length: 2"), "{listed}");
                assert!(listed.contains(&format!("DNSName: {name}.example.com")), "{listed}");
                // The key has the same password: it can be imported into another keystore.
                let copied = format!("{store}.copy");
                files.keytool(&[
                    "-importkeystore",
                    "-noprompt",
                    "-srckeystore",
                    store,
                    "-srcstorepass",
                    password,
                    "-destkeystore",
                    &copied,
                    "-deststoretype",
                    "PKCS12",
                    "-deststorepass",
                    "copied",
                ])?;
                let copy = ["pkcs12", "-in", &copied, "-passin", "pass:copied", "-nodes", "-nocerts"];
                let pem = files.openssl(&copy)?;
                std::fs::write(files.0.path().join("copy.pem"), pem)?;
                let public = files.openssl(&["pkey", "-in", "copy.pem", "-pubout"])?;
                ensure!(public == key, "{store} has another key");
            }
            for (store, password) in [("truststore.p12", "pkcs-pass"), ("truststore.jks", "java-pass")] {
                let listed = files.keytool(&["-list", "-keystore", store, "-storepass", password])?;
                assert!(listed.contains("trustedCertEntry"), "{listed}");
                assert!(listed.contains("ca,"), "{listed}");
            }
            ensure!(
                files.keytool(&["-list", "-keystore", "keystore.jks", "-storepass", "another"]).is_err(),
                "another password opens it"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_legacy_profiles_are_what_they_say() -> Result<()> {
    TestNamespace::with("keystores", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        for (name, profile) in [("des", "LegacyDES"), ("rc2", "LegacyRC2")] {
            let store = format!(
                "  keystores: {{ pkcs12: {{ create: true, profile: {profile}, password: changeit }} }}\n"
            );
            ns.apply(&certificate(name, &[&format!("{name}.example.com")], &store)).await?;
        }
        for (name, algorithm) in
            [("des", "pbeWithSHA1And3-KeyTripleDES-CBC"), ("rc2", "pbeWithSHA1And40BitRC2-CBC")]
        {
            issued(ns, name).await?;
            let files = Files::of(ns, &format!("{name}-tls")).await?;
            let open =
                ["pkcs12", "-legacy", "-in", "keystore.p12", "-passin", "pass:changeit", "-info", "-noout"];
            let about = files.openssl(&open)?;
            assert!(about.contains(algorithm), "{about}");
            assert!(about.contains("MAC: sha1"), "{about}");
            files.keytool(&["-list", "-keystore", "keystore.p12", "-storepass", "changeit"])?;
        }
        Ok(())
    })
    .await
}

/// OpenSSL reads PBMAC1 since 3.4, and Python's `cryptography` comes with a newer one than most systems.
#[tokio::test]
async fn the_profile_of_2026_is_read_by_a_current_openssl() -> Result<()> {
    TestNamespace::with("keystores", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let store = "  keystores: { pkcs12: { create: true, profile: Modern2026, password: pässword } }\n";
        ns.apply(&certificate("web", &["web.example.com"], store)).await?;
        issued(ns, "web").await?;
        let files = Files::of(ns, "web-tls").await?;
        let python = certwright_cluster::venv::ACME2CERTIFIER.python()?.display().to_string();
        let script = "
import sys
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
with open(sys.argv[1], 'rb') as file: content = file.read()
key, certificate, others = pkcs12.load_key_and_certificates(content, sys.argv[2].encode())
assert key is None or key.public_key() == certificate.public_key()
print(key is not None, len(others))
";
        let read = |file: &str, password: &str| files.run(&python, &["-c", script, file, password]);
        assert_eq!(read("keystore.p12", "pässword")?, "True 1\n");
        assert_eq!(read("truststore.p12", "pässword")?, "False 1\n");
        ensure!(read("keystore.p12", "another").is_err(), "another password opens it");
        let about = files.openssl(&["asn1parse", "-inform", "DER", "-in", "keystore.p12"])?;
        assert!(about.contains("PBMAC1") || about.contains("1.2.840.113549.1.5.14"), "{about}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_keystore_that_is_added_changed_or_removed_costs_one_write_and_no_certificate() -> Result<()> {
    TestNamespace::with("keystores", async |ns| {
        let (_pebble, operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        let serial = issued(ns, "web").await?["status"]["serialNumber"].clone();
        let writes = async || -> Result<f64> {
            let metrics = operator.metrics().await?;
            let lines = metrics.lines().filter(|line| line.starts_with("certwright_api_writes_total"));
            let secrets = lines.filter(|line| line.contains("kind=\"Secret\""));
            Ok(secrets.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
        };
        let before = writes().await?;

        let keystore = json!({ "create": true, "passwordSecretRef": { "name": "store" } });
        ns.patch("certificate/web", json!({ "spec": { "keystores": { "pkcs12": keystore } } })).await?;
        let (_, message) = issuing(ns, "web", "PasswordNotFound").await?;
        assert_eq!(
            message,
            "Secret store with the password of keystore.p12 does not exist; create it, or remove the keystore from the spec"
        );
        assert_eq!(writes().await?, before, "nothing was written");
        ns.apply(&passwords("first", "")).await?;
        let opens = async |password: &str| {
            let files = Files::of(ns, "web-tls").await?;
            files.openssl(&["pkcs12", "-in", "keystore.p12", "-passin", &format!("pass:{password}"), "-noout"])
        };
        ns.wait("secret/web-tls", SOON, |secret| secret["data"]["keystore.p12"].is_string()).await?;
        opens("first").await?;
        ns.wait_condition("certificate/web", "Issuing", "False", SOON).await?;
        assert_eq!(writes().await?, before + 1.0);

        // Nothing is written again while nothing changes, not even by an operator that was restarted.
        let first = ns.get("secret/web-tls").await?.context("no Secret")?["data"]["keystore.p12"].clone();
        operator.restart().await?;
        stays_as_it_is(ns, "web", Duration::from_secs(2)).await?;
        let same = ns.get("secret/web-tls").await?.context("no Secret")?["data"]["keystore.p12"].clone();
        assert_eq!(same, first);

        // With the next change of the Certificate, the operator reads the new password.
        ns.apply(&passwords("second", "")).await?;
        ns.patch("certificate/web", json!({ "metadata": { "labels": { "look": "again" } } })).await?;
        ns.wait("secret/web-tls", SOON, |secret| secret["data"]["keystore.p12"] != first).await?;
        opens("second").await?;
        ensure!(opens("first").await.is_err(), "the old password opens it");

        ns.patch("certificate/web", json!({ "spec": { "keystores": null } })).await?;
        ns.wait("secret/web-tls", SOON, |secret| secret["data"]["keystore.p12"].is_null()).await?;
        let end = issued(ns, "web").await?;
        assert_eq!(end["status"]["serialNumber"], serial, "it is the same certificate");
        for line in operator.logs() {
            ensure!(!line.contains("first") && !line.contains("second"), "a password is in the logs: {line}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_is_ordered_while_a_password_is_missing() -> Result<()> {
    TestNamespace::with("keystores", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&passwords("", "java")).await?;
        ns.apply(&certificate("web", &["web.example.com"], KEYSTORES)).await?;
        let (object, message) = issuing(ns, "web", "PasswordNotFound").await?;
        assert_eq!(
            message,
            "Secret store has an empty value for key password for the password of keystore.p12; put the password there"
        );
        assert!(object["status"]["order"].is_null(), "{}", object["status"]);
        ns.apply(&passwords("there", "java")).await?;
        revision(ns, "web", 1).await?;
        Files::of(ns, "web-tls").await?.keytool(&["-list", "-keystore", "keystore.p12", "-storepass", "there"])?;
        Ok(())
    })
    .await
}

/// The data of a Secret, as files.
struct Files(tempfile::TempDir);

impl Files {
    async fn of(ns: &TestNamespace, secret: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for (name, content) in ns.api::<Secret>().get(secret).await?.data.unwrap_or_default() {
            std::fs::write(folder.path().join(name), content.0)?;
        }
        Ok(Self(folder))
    }

    fn text(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.0.path().join(name)).with_context(|| format!("no {name}"))
    }

    fn openssl(&self, arguments: &[&str]) -> Result<String> {
        self.run("openssl", arguments)
    }

    fn keytool(&self, arguments: &[&str]) -> Result<String> {
        self.run("keytool", arguments)
    }

    /// The output of a program for these files, from stdout and stderr.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        let output = command.args(arguments).env("LC_ALL", "C").current_dir(self.0.path()).output();
        let output = output.with_context(|| format!("{program} is missing"))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(output.status.success(), "{program} {arguments:?}: {said}");
        Ok(said)
    }
}

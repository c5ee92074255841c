//! `certwright list`: which Certificates exist, which expire, and output for scripts.

use std::time::Duration;

use crate::common::program::{certwright, command, run};
use crate::common::{SOON, certificate, issued, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::Value;

#[tokio::test]
async fn certificates_are_listed_with_expiry_issuer_and_what_comes_next() -> Result<()> {
    TestNamespace::with("list", async |ns| {
        let pebble = Pebble::builder()
            .profile("default", "Lasts a while", Duration::from_secs(90 * 86_400))
            .profile("short", "Expires within two days", Duration::from_secs(2 * 86_400))
            .start(&ns.cluster)
            .await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ns.apply(&certificate("long", &["long.example.com"], "  profile: default\n")).await?;
        ns.apply(&certificate("short", &["short.example.com"], "  profile: short\n")).await?;
        ns.apply(&of_issuer("nobody", &certificate("lost", &["lost.example.com"], ""))).await?;
        for name in ["long", "short"] {
            issued(ns, name).await?;
        }
        ns.wait_condition("certificate/lost", "Ready", "False", SOON).await?;

        let all = certwright(ns, &["list"]).await?.ended(0)?;
        let rows: Vec<Vec<&str>> = all
            .output
            .lines()
            .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(rows[0], ["NAME", "READY", "ISSUER", "EXPIRES", "NEXT"], "{}", all.output);
        assert_eq!(&rows[1][..3], ["long", "True", "Issuer/ca"]);
        ensure!(rows[1][4].starts_with("renews in "), "{}", all.output);
        assert_eq!(rows[2], ["lost", "False", "Issuer/nobody", "-", "waits: IssuerNotFound"]);
        ensure!(rows[3][3].starts_with("in 1d"), "{}", all.output);

        let soon = certwright(ns, &["list", "--expiring", "3d"]).await?.ended(3)?;
        ensure!(soon.output.lines().count() == 2 && soon.output.contains("\nshort "), "{}", soon.output);
        let sooner = certwright(ns, &["list", "--expiring", "1h"]).await?.ended(0)?;
        ensure!(
            sooner.output.is_empty() && sooner.errors.contains("No Certificate expires soon"),
            "{sooner:?}"
        );

        let renewing = certwright(ns, &["list", "--renewing"]).await?.ended(0)?;
        ensure!(renewing.output.lines().count() == 2, "{}", renewing.output);
        renewing.says(&["PHASE", "\nlost ", "IssuerNotFound", " ago\n"])?;
        let none = certwright(ns, &["list", "--renewing", "--expiring", "3d"]).await?.ended(0)?;
        ensure!(
            none.output.is_empty()
                && none.errors.contains("No Certificate that expires soon is being issued"),
            "{none:?}"
        );

        let json = certwright(ns, &["list", "-o", "json"]).await?.ended(0)?;
        let json: Value = serde_json::from_str(&json.output)?;
        assert_eq!((&json["kind"], &json["items"][0]["kind"]), (&"List".into(), &"Certificate".into()));
        let yaml = certwright(ns, &["list", "-o", "yaml"]).await?.ended(0)?;
        assert_eq!(serde_yaml::from_str::<Value>(&yaml.output)?, json, "the same as YAML");
        certwright(ns, &["list", "-o", "wide"])
            .await?
            .ended(0)?
            .says(&["long-tls   long.example.com", "IssuerNotFound"])?;

        let everywhere = certwright(ns, &["list", "-A"]).await?.ended(0)?;
        let head = everywhere.output.lines().next().context("nothing")?;
        ensure!(
            head.starts_with("NAMESPACE") && everywhere.output.contains(&ns.name),
            "{}",
            everywhere.output
        );
        let labelled = certwright(ns, &["list", "-l", "app=none"]).await?.ended(0)?;
        ensure!(labelled.output.is_empty(), "{labelled:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_cannot_be_understood_or_reached_has_a_code_of_its_own() -> Result<()> {
    TestNamespace::with("list", async |ns| {
        for arguments in [&["list", "--expiring", "soon"][..], &["list", "-o", "xml"], &["lsit"], &["renew"]]
        {
            certwright(ns, arguments).await?.ended(2)?;
        }
        let mut nowhere = command(ns, &["list", "--kubeconfig", "/nonexistent"]);
        nowhere.env_remove("KUBECONFIG");
        let ran = run(nowhere).await?.ended(1)?;
        ensure!(
            ran.errors.contains("check --kubeconfig and --context") && ran.errors.contains("/nonexistent"),
            "{ran:?}"
        );
        Ok(())
    })
    .await
}

//! Metrics: their names and units, and what they count.

use super::*;

#[tokio::test]
async fn metrics_have_names_with_units_and_name_no_object() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let (_pebble, operator) = ready(ns).await?;
        ns.apply(&certificate("shop-front", &["a.example.com"], "")).await?;
        let issued = issued(ns, "shop-front").await?;
        let metrics = Metrics::parse(&operator.metrics().await?);

        let expected = [
            ("certwright_build_info", ""),
            ("certwright_reconciles_total", "counter"),
            ("certwright_reconcile_duration_seconds", "histogram"),
            ("certwright_acme_requests_total", "counter"),
            ("certwright_acme_request_duration_seconds", "histogram"),
            ("certwright_issuances_total", "counter"),
            ("certwright_issuance_duration_seconds", "histogram"),
            ("certwright_api_writes_total", "counter"),
            ("certwright_leader", "gauge"),
            ("certwright_issuances_queued", "gauge"),
            ("certwright_issuances_in_progress", "gauge"),
            ("certwright_issuer_ready", "gauge"),
            ("certwright_certificate_ready", "gauge"),
            ("certwright_certificate_not_after_timestamp_seconds", "gauge"),
            ("certwright_certificate_renewal_timestamp_seconds", "gauge"),
        ];
        for (name, type_) in expected {
            let family = metrics.families.get(name.trim_end_matches("_total").trim_end_matches("_info"));
            let family = family.with_context(|| format!("there is no {name}"))?;
            assert!(type_.is_empty() || family.type_ == type_, "{name} is a {}", family.type_);
            assert!(!family.help.is_empty(), "{name} has no help");
        }
        for (name, family) in &metrics.families {
            assert!(name.starts_with("certwright_") || name.starts_with("process_"), "{name}");
            if family.type_ == "histogram" || name.contains("timestamp") {
                assert!(name.ends_with("_seconds"), "{name} says no unit");
                assert_eq!(family.unit, "seconds", "{name}");
            }
        }
        let mut with_names = BTreeSet::new();
        for sample in &metrics.samples {
            if sample.contains("shop-front") || sample.contains(&ns.name) || sample.contains("example.com") {
                with_names.insert(sample.split('{').next().unwrap_or_default());
            }
        }
        let of_one_object = [
            "certwright_certificate_not_after_timestamp_seconds",
            "certwright_certificate_ready",
            "certwright_certificate_renewal_timestamp_seconds",
            "certwright_issuer_ready",
        ];
        assert_eq!(Vec::from_iter(with_names), of_one_object);
        let issuer =
            format!("certwright_issuer_ready{{kind=\"Issuer\",namespace=\"{}\",name=\"ca\"}}", ns.name);
        assert_eq!(metrics.sum(&issuer), 1.0);
        assert_eq!(metrics.sum("certwright_certificate_ready"), 1.0);
        let not_after: jiff::Timestamp =
            issued["status"]["notAfter"].as_str().context("no notAfter")?.parse()?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
        let seconds = not_after.as_second() as f64;
        assert_eq!(metrics.sum("certwright_certificate_not_after_timestamp_seconds"), seconds);
        assert_eq!(metrics.sum("certwright_issuances_total{"), 1.0);
        assert_eq!(metrics.sum("certwright_issuance_duration_seconds_count"), 1.0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn metrics_of_single_certificates_can_be_turned_off() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).argument("--per-certificate-metrics", "false").start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("shop-front", &["a.example.com"], "")).await?;
        issued(ns, "shop-front").await?;
        let metrics = operator.metrics().await?;
        assert!(!metrics.contains("shop-front") && !metrics.contains("certwright_certificate_"), "{metrics}");
        assert!(metrics.contains("certwright_issuances_total{"), "{metrics}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_write_and_every_acme_request_is_counted() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let api_server = Proxy::of_api_server(&ns.cluster).await?;
        let operator = Operator::builder(ns).api_server(&api_server.url).start().await?;
        ns.apply(&issuer(&format!("{}/dir", ca.url), &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        let metrics = Metrics::parse(&operator.metrics().await?);
        let written = Vec::from_iter(
            api_server
                .requests()
                .into_iter()
                .filter(|one| !one.method.is_safe())
                .map(|one| (one.method, one.path)),
        );
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let counts = (written.len() as f64, ca.requests().len() as f64);
        let counted =
            (metrics.sum("certwright_api_writes_total{"), metrics.sum("certwright_acme_requests_total{"));
        assert_eq!(counted, counts, "{written:#?}");
        Ok(())
    })
    .await
}

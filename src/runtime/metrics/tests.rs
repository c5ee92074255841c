use certwright_runtime::clock;
use certwright_runtime::leader::Observer;

use super::*;

#[test]
fn names_and_labels_are_those_that_are_documented() {
    let metrics = Metrics::default();
    metrics.reconciled("Certificate", ReconcileOutcome::Unchanged, Duration::from_millis(2));
    metrics.acme_requested("newOrder", Some(201), Duration::from_millis(200));
    metrics.acme_requested("newOrder", None, Duration::from_secs(30));
    metrics.issued("Renewing", Duration::from_secs(3), true);
    metrics.issuance_failed("RateLimited");
    metrics.api_written("Secret", ApiVerb::Patch);
    metrics.leading(true);
    let text = metrics.encode().unwrap();
    for line in [
        concat!("certwright_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "certwright_reconciles_total{kind=\"Certificate\",outcome=\"unchanged\"} 1",
        "certwright_reconcile_duration_seconds_count{kind=\"Certificate\"} 1",
        "certwright_reconcile_duration_seconds_bucket{le=\"0.003\",kind=\"Certificate\"} 1",
        "certwright_acme_requests_total{operation=\"newOrder\",status=\"201\"} 1",
        "certwright_acme_requests_total{operation=\"newOrder\",status=\"none\"} 1",
        "certwright_acme_request_duration_seconds_sum{operation=\"newOrder\"} 30.2",
        "certwright_issuances_total{result=\"succeeded\",reason=\"Renewing\"} 1",
        "certwright_issuances_total{result=\"failed\",reason=\"RateLimited\"} 1",
        "certwright_issuance_duration_seconds_count 1",
        "certwright_api_writes_total{kind=\"Secret\",verb=\"patch\"} 1",
        "certwright_leader 1",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_certificate_is_shown_until_it_is_forgotten() {
    let metrics = Metrics::default();
    let time = |text: &str| Some(text.parse().unwrap());
    let facts =
        CertificateFacts { ready: true, not_after: time("2026-06-30T00:00:00Z"), ..Default::default() };
    metrics.certificate("web", "www", facts);
    metrics.certificate("web", "new", CertificateFacts::default());
    assert_eq!(
        shown(&metrics),
        [
            "certwright_certificate_not_after_timestamp_seconds{namespace=\"web\",name=\"www\"} 1782777600",
            "certwright_certificate_ready{namespace=\"web\",name=\"new\"} 0",
            "certwright_certificate_ready{namespace=\"web\",name=\"www\"} 1",
        ]
    );

    let renewed = CertificateFacts { renewal: time("2026-05-31T00:00:00Z"), ..facts };
    metrics.certificate("web", "www", renewed);
    metrics.forget_certificate("web", "new");
    assert_eq!(
        shown(&metrics),
        [
            "certwright_certificate_not_after_timestamp_seconds{namespace=\"web\",name=\"www\"} 1782777600",
            "certwright_certificate_renewal_timestamp_seconds{namespace=\"web\",name=\"www\"} 1780185600",
            "certwright_certificate_ready{namespace=\"web\",name=\"www\"} 1",
        ]
    );
}

#[test]
fn certificates_that_wait_for_a_place_are_counted_also_without_metrics_of_each() {
    let metrics = Metrics::new(PerCertificate::Off);
    let issuing = CertificateFacts { issuing: true, ..Default::default() };
    let queued = CertificateFacts { queued: true, ..issuing };
    metrics.certificate("web", "www", queued);
    metrics.certificate("web", "new", queued);
    metrics.certificate("web", "new", CertificateFacts::default());
    metrics.certificate("web", "api", issuing);
    metrics.certificate("web", "mail", issuing);
    let encoded = metrics.encode().unwrap();
    assert!(encoded.contains("\ncertwright_issuances_queued 1\n"), "{encoded}");
    assert!(encoded.contains("\ncertwright_issuances_in_progress 2\n"), "{encoded}");
}

#[test]
fn an_issuer_is_shown_until_it_is_forgotten() {
    let metrics = Metrics::default();
    metrics.issuer("Issuer", "web", "ca", false);
    metrics.issuer("ClusterIssuer", "", "ca", true);
    let shown = |line: &str| metrics.encode().unwrap().lines().any(|written| written == line);
    assert!(shown("certwright_issuer_ready{kind=\"Issuer\",namespace=\"web\",name=\"ca\"} 0"));
    assert!(shown("certwright_issuer_ready{kind=\"ClusterIssuer\",namespace=\"\",name=\"ca\"} 1"));
    metrics.forget_issuer("Issuer", "web", "ca");
    assert!(!metrics.encode().unwrap().contains("kind=\"Issuer\""));
}

#[test]
fn metrics_of_single_certificates_can_be_turned_off() {
    let metrics = Metrics::new(PerCertificate::Off);
    metrics.certificate("web", "www", CertificateFacts::default());
    metrics.forget_certificate("web", "www");
    assert!(!metrics.encode().unwrap().contains("certwright_certificate"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_measures_itself() {
    let text = Metrics::default().encode().unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes ") > 1_000_000.0);
    assert!(value("process_start_time_seconds ") > 1_700_000_000.0);
    assert!(value("process_cpu_seconds_total ") >= 0.0);
}

fn shown(metrics: &Metrics) -> Vec<String> {
    let text = metrics.encode().unwrap();
    text.lines().filter(|line| line.starts_with("certwright_certificate_")).map(str::to_owned).collect()
}

#[test]
fn an_issuance_waits_for_one_reason_and_only_known_ones_become_labels() {
    let metrics = Metrics::default();
    let since = |text: &str| text.parse().unwrap();
    let waiting = |reason, time| CertificateFacts {
        waiting: Some(Waiting::of(reason, since(time))),
        ..Default::default()
    };
    metrics.certificate("web", "new", waiting("WaitingForSolver", "2026-01-02T00:00:00Z"));
    metrics.certificate("web", "old", waiting("WaitingForSolver", "2026-01-01T00:00:00Z"));
    metrics.certificate("web", "odd", waiting("a\"} 1\nb", "2026-01-01T00:00:00Z"));
    metrics.certificate("web", "ready", CertificateFacts::default());
    let text = metrics.encode().unwrap();
    let ages: Vec<(&str, i64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("certwright_issuance_waiting_seconds{reason=")?.split_once("} "))
        .map(|(reason, age)| (reason, age.parse().unwrap()))
        .collect();
    let [("\"Other\"", other), ("\"WaitingForSolver\"", solver)] = ages[..] else { panic!("{ages:?}") };
    let expected = clock::now().duration_since(since("2026-01-01T00:00:00Z")).as_secs();
    assert!((expected - 5..=expected).contains(&solver), "the oldest: {solver}, not {expected}");
    assert!((expected - 5..=expected).contains(&other));
}

#[test]
fn the_number_of_servers_with_labels_is_bounded() {
    let metrics = Metrics::default();
    for server in 0..200 {
        metrics.acme_server(&format!("{server}.example.com")).count(None);
    }
    metrics.acme_server("0.example.com").count(Some(429));
    let text = metrics.encode().unwrap();
    let value = |labels: &str| {
        let line = format!("certwright_acme_server_requests_total{{{labels}}} ");
        text.lines().find_map(|found| found.strip_prefix(&line).map(str::to_owned))
    };
    assert_eq!(value("server=\"0.example.com\",result=\"failed\"").as_deref(), Some("1"));
    assert_eq!(value("server=\"0.example.com\",result=\"answered\"").as_deref(), Some("1"));
    assert_eq!(value("server=\"199.example.com\",result=\"failed\""), None);
    assert_eq!(value("server=\"other\",result=\"failed\"").as_deref(), Some("150"));
}

//! step-ca: an ACME server that can handle load, unlike Pebble.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use jiff::Timestamp;
use rcgen::{
    CertificateRevocationListParams, CertifiedIssuer, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use reqwest::Certificate;
use serde_json::json;
use tokio::process::Command;

use crate::{ADDRESS, Cluster, ca::ca_params, ports, process::Process};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running step-ca; it is stopped when this is dropped.
pub struct StepCa {
    /// URL of its ACME directory.
    pub directory_url: String,
    /// Its root, in PEM. The HTTPS port can be verified against it, too.
    pub root_pem: String,
    /// URL of its revocation list, over HTTP. It has a new one after each revocation.
    pub revocation_list_url: String,
    intermediate: Issuer<'static, KeyPair>,
    process: Process,
}

impl StepCa {
    /// Starts one on a free port.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        Self::start_with_dns_server(cluster, &cluster.description.dns.to_string()).await
    }

    /// Starts one that resolves names at this server, given as `ip:port`.
    pub async fn start_with_dns_server(cluster: &Cluster, dns_server: &str) -> Result<Self> {
        Self::start_with(cluster, dns_server, |_| None).await
    }

    /// Starts one whose certificates name a revocation list at the URL that `list_at` returns, which may be its own.
    pub async fn start_with_revocation_list(
        cluster: &Cluster,
        list_at: impl FnOnce(&str) -> String,
    ) -> Result<Self> {
        Self::start_with(cluster, &cluster.description.dns.to_string(), |own| Some(list_at(own))).await
    }

    async fn start_with(
        cluster: &Cluster,
        dns_server: &str,
        list_at: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self> {
        let description = &cluster.description;
        let name = format!("step-ca-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = description.state.join(&name);
        fs::create_dir_all(&directory)?;

        let root = CertifiedIssuer::self_signed(ca_params("step-ca root"), KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(ca_params("step-ca root"), root.key());
        let intermediate = ca_params("step-ca intermediate").signed_by(&key, &issuer)?;
        fs::write(directory.join("root.crt"), root.pem())?;
        fs::write(directory.join("intermediate.crt"), intermediate.pem())?;
        fs::write(directory.join("intermediate.key"), key.serialize_pem())?;

        let address = format!("{ADDRESS}:{}", ports::free(ADDRESS)?);
        let insecure_address = format!("{ADDRESS}:{}", ports::free(ADDRESS)?);
        let revocation_list_url = format!("http://{insecure_address}/crl");
        let mut config = json!({
            "root": directory.join("root.crt"),
            "crt": directory.join("intermediate.crt"),
            "key": directory.join("intermediate.key"),
            "address": address,
            "dnsNames": [ADDRESS],
            "logger": {"format": "text"},
            "db": {"type": "badgerv2", "dataSource": directory.join("db")},
            "authority": {"provisioners": [{"type": "ACME", "name": "acme"}]},
        });
        if let Some(url) = list_at(&revocation_list_url) {
            config["insecureAddress"] = json!(insecure_address);
            config["crl"] = json!({"enabled": true, "generateOnRevoke": true});
            config["authority"]["provisioners"][0]["options"] = json!({"x509": {"template": template(&url)}});
        }
        let config_file = directory.join("ca.json");
        fs::write(&config_file, serde_json::to_vec_pretty(&config)?)?;

        let mut command = Command::new(description.tools.program("step-ca")?);
        command
            .arg(&config_file)
            .args(["--insecure", "--acme-http-port", "80"])
            .args(["--resolver", dns_server]);
        let mut process = Process::start(&name, command, &description.state.join("logs"))?;
        let directory_url = format!("https://{address}/acme/acme/directory");
        let root_pem = root.pem();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([Certificate::from_pem(root_pem.as_bytes())?])
            .build()?;
        let ready = || async { http.get(&directory_url).send().await.is_ok() };
        process.wait_ready(Duration::from_secs(20), ready).await?;
        let intermediate = Issuer::new(ca_params("step-ca intermediate"), key);
        Ok(Self { directory_url, root_pem, revocation_list_url, intermediate, process })
    }

    /// A revocation list as it could make one, made and replaced at these times: with this certificate, whose serial number is given
    /// in hexadecimal.
    pub fn revocation_list(
        &self,
        serial_number: &str,
        reason: RevocationReason,
        (made, replaced): (Timestamp, Timestamp),
    ) -> Result<Vec<u8>> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(&bytes(serial_number)?),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: Some(reason),
            invalidity_date: None,
        };
        let at = |time: Timestamp| -> Result<_> {
            Ok(rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(time.as_second().try_into()?))
        };
        let params = CertificateRevocationListParams {
            this_update: at(made)?,
            next_update: at(replaced)?,
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.intermediate)?.der().to_vec())
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

/// The bytes of a number in hexadecimal.
fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digits = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2).unwrap_or_default());
    Ok(digits.map(|two| u8::from_str_radix(two, 16)).collect::<Result<_, _>>()?)
}

/// The template of certificates that name this revocation list. Two of its values are not JSON.
fn template(list: &str) -> String {
    let template = json!({
        "subject": "SUBJECT",
        "sans": "SANS",
        "keyUsage": ["digitalSignature"],
        "extKeyUsage": ["serverAuth", "clientAuth"],
        "crlDistributionPoints": [list],
    });
    template
        .to_string()
        .replace("\"SUBJECT\"", "{{ toJson .Subject }}")
        .replace("\"SANS\"", "{{ toJson .SANs }}")
}

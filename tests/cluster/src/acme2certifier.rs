//! acme2certifier: an ACME server by other authors, with external accounts and profiles.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use rcgen::{CertifiedIssuer, Issuer, KeyPair};
use reqwest::Certificate;
use serde_json::json;
use tokio::process::Command;

use crate::{ADDRESS, Cluster, ca::ca_params, ports, process::Process, venv};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Its program is a WSGI application, and includes a server.
const SERVE: &str = "\
import sys
from werkzeug.serving import run_simple
from acme2certifier.share.acme2certifier_wsgi import application
host, port, certificate, key = sys.argv[1:]
run_simple(host, int(port), application, ssl_context=(certificate, key), threaded=True)
";

/// A running acme2certifier that requires external account binding; it is stopped when this is dropped.
pub struct Acme2certifier {
    /// URL of its ACME directory.
    pub directory_url: String,
    /// The certificate that its HTTPS port can be verified against.
    pub ca_pem: String,
    process: Process,
}

impl Acme2certifier {
    /// The profiles that it offers. They do not affect its certificates.
    pub const PROFILES: [&str; 2] = ["default", "other"];

    /// Starts one on a free port. It knows one external account: its key id, and its MAC key in base64url. It resolves names at
    /// port 53 of `resolver`.
    pub async fn start(cluster: &Cluster, resolver: IpAddr, key_id: &str, mac_key: &str) -> Result<Self> {
        let state = &cluster.description.state;
        let name = format!("acme2certifier-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = state.join(&name);
        fs::create_dir_all(&directory)?;
        let ca = cluster.ca()?;
        ca.sign("acme2certifier", &[ADDRESS])?.write(&directory, "tls")?;
        write_issuer(&directory)?;
        fs::write(directory.join("accounts.json"), json!({ key_id: mac_key }).to_string())?;
        fs::write(directory.join("acme_srv.cfg"), config(&directory, resolver))?;

        let port = ports::free(ADDRESS)?;
        let mut command = Command::new(venv::ACME2CERTIFIER.python()?);
        command
            .args(["-c", SERVE, ADDRESS, &port.to_string()])
            .arg(directory.join("tls.crt"))
            .arg(directory.join("tls.key"))
            .env("ACME_SRV_CONFIGFILE", directory.join("acme_srv.cfg"))
            .current_dir(&directory);
        let mut process = Process::start(&name, command, &state.join("logs"))?;
        let directory_url = format!("https://{ADDRESS}:{port}/directory");
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([Certificate::from_pem(ca.pem.as_bytes())?])
            .build()?;
        let ready = || async { http.get(&directory_url).send().await.is_ok() };
        process.wait_ready(Duration::from_secs(30), ready).await?;
        Ok(Self { directory_url, ca_pem: ca.pem, process })
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

fn write_issuer(directory: &Path) -> Result<()> {
    let root = CertifiedIssuer::self_signed(ca_params("acme2certifier root"), KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(ca_params("acme2certifier root"), root.key());
    let intermediate = ca_params("acme2certifier intermediate").signed_by(&key, &issuer)?;
    fs::write(directory.join("root.crt"), root.pem())?;
    fs::write(directory.join("intermediate.crt"), intermediate.pem())?;
    fs::write(directory.join("intermediate.key"), key.serialize_pem())?;
    fs::create_dir_all(directory.join("certificates"))?;
    Ok(())
}

fn config(directory: &Path, resolver: IpAddr) -> String {
    let at = |file: &str| directory.join(file).display().to_string();
    let profiles: serde_json::Map<_, _> = Acme2certifier::PROFILES
        .into_iter()
        .map(|name| (name.to_owned(), json!(format!("https://ca.example/{name}"))))
        .collect();
    let sections = [
        format!("[DEFAULT]\ndebug: False\ndns_server_list: {}", json!([resolver])),
        format!(
            "[CAhandler]\nhandler_module: acme2certifier.cahandlers.openssl_ca_handler\nissuing_ca_key: {}\n\
             issuing_ca_cert: {}\nca_cert_chain_list: {}\nissuing_ca_crl: {}\ncert_save_path: {}",
            at("intermediate.key"),
            at("intermediate.crt"),
            json!([at("root.crt")]),
            at("crl.pem"),
            at("certificates"),
        ),
        format!(
            "[DBhandler]\nhandler_module: acme2certifier.dbhandlers.wsgi_handler\ndbfile: {}",
            at("acme.db")
        ),
        format!(
            "[EABhandler]\neab_handler_module: acme2certifier.eabhandlers.json_handler\nkey_file: {}",
            at("accounts.json")
        ),
        format!("[Order]\nprofiles: {}", serde_json::Value::from(profiles)),
    ];
    sections.join("\n\n") + "\n"
}

//! HAProxy with the configuration in the documentation of tls-alpn-01, in front of a site.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certwright_cluster::process::Process;
use certwright_cluster::{Operator, TestNamespace, packages, ports};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::markdown::Page;

const PAGE: &str = "docs/tls-alpn01.md";
const HOST: &str = "127.0.0.1";
const START_LIMIT: Duration = Duration::from_secs(10);
/// What the site answers.
const GREETING: &str = "Welcome to the shop";

/// A running HAProxy, and the site behind it, which has TLS.
pub struct HaProxy {
    address: &'static str,
    /// The certificate of the site.
    certificate: Vec<u8>,
    _process: Process,
    _app: JoinSet<()>,
}

impl HaProxy {
    /// Listens on port 443 of `address`, with a certificate for `name`. Connections with `acme-tls/1` lead to `operator`, if there is
    /// one; otherwise they are treated like all others.
    pub async fn start(
        ns: &TestNamespace,
        address: &'static str,
        name: &str,
        operator: Option<&Operator>,
    ) -> Result<Self> {
        let directory = ns.cluster.description.state.join(format!("haproxy-{}-{address}", ns.name));
        fs::create_dir_all(&directory)?;
        let (key, params) = (KeyPair::generate()?, CertificateParams::new([name.to_owned()])?);
        let certificate = params.self_signed(&key)?;
        let pem = directory.join("site.pem");
        fs::write(&pem, format!("{}{}", certificate.pem(), key.serialize_pem()))?;
        let (app, tasks) = app()?;
        let site = ports::free(HOST)?;
        let mut text = configuration()?;
        for (documented, ours) in [
            ("bind :443", format!("bind {address}:443")),
            (
                "certwright.certwright.svc.cluster.local:8090",
                operator.map_or_else(|| format!("{HOST}:1"), |operator| operator.tls_responder.clone()),
            ),
            ("127.0.0.1:8443", format!("{HOST}:{site}")),
            ("127.0.0.1:8080", format!("{HOST}:{app}")),
            ("/etc/haproxy/site.pem", pem.display().to_string()),
        ] {
            ensure!(text.contains(documented), "{PAGE} has no {documented}");
            text = text.replace(documented, &ours);
        }
        if operator.is_none() {
            let lines = text.lines().filter(|line| !line.contains("req.ssl_alpn"));
            text = lines.collect::<Vec<_>>().join("\n") + "\n";
        }
        let file = directory.join("haproxy.cfg");
        fs::write(&file, text)?;
        let program = packages::find("haproxy").context("haproxy is missing. Run `make tools`")?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file);
        let mut process = Process::start(
            &format!("haproxy-{}", ns.name),
            command,
            &ns.cluster.description.state.join("logs"),
        )?;
        process
            .wait_ready(START_LIMIT, || async { TcpStream::connect((address, 443)).await.is_ok() })
            .await?;
        Ok(Self { address, certificate: certificate.pem().into_bytes(), _process: process, _app: tasks })
    }

    /// Checks that the site answers under `name`.
    pub async fn serves_the_site(&self, name: &str) -> Result<()> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .resolve(name, format!("{}:443", self.address).parse()?)
            .tls_certs_only([reqwest::Certificate::from_pem(&self.certificate)?])
            .build()?;
        let answer = http.get(format!("https://{name}/")).send().await?.text().await?;
        ensure!(answer == GREETING, "{answer}");
        Ok(())
    }
}

/// The configuration on the page.
fn configuration() -> Result<String> {
    let page = Page::read(PAGE)?;
    let mut blocks = page.blocks().into_iter().filter(|block| block.mark == "haproxy");
    Ok(blocks.next().with_context(|| format!("{PAGE} has no configuration for HAProxy"))?.code)
}

/// The application behind the site, and its port.
fn app() -> Result<(u16, JoinSet<()>)> {
    let listener: TcpListener = ports::listen(HOST)?;
    let port = listener.local_addr()?.port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}", GREETING.len());
                let _ = stream.write_all(format!("{head}\r\n\r\n{GREETING}").as_bytes()).await;
            });
        }
    });
    Ok((port, tasks))
}

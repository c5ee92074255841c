//! An internet for one test: a proxy that leads each host name to a fake service, with certificates of the tests' authority.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use certwright_cluster::{ADDRESS, Bind, Cluster};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::compare::{ZONE, environment};
use crate::driver::Environment;

/// A running internet; it ends when this is dropped.
pub struct Lab {
    pub cluster: Cluster,
    hosts: Arc<Mutex<HashMap<String, (TlsAcceptor, Router)>>>,
    proxy: String,
    directory: TempDir,
    name_server: Bind,
    task: JoinHandle<()>,
}

impl Lab {
    /// Starts one, with a name server that knows the zone of the tests.
    pub async fn start() -> Result<Self> {
        let cluster = Cluster::from_env()?;
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("ca.pem"), cluster.ca()?.pem)?;
        let name_server = Bind::builder().zone(ZONE).start(&cluster).await?;
        let listener = TcpListener::bind((ADDRESS, 0)).await?;
        let proxy = format!("http://{}", listener.local_addr()?);
        let hosts = Arc::<Mutex<HashMap<_, _>>>::default();
        let known = Arc::clone(&hosts);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let known = Arc::clone(&known);
                tokio::spawn(async move {
                    if let Err(error) = serve(connection, &known).await {
                        eprintln!("the proxy of the test: {error:#}");
                    }
                });
            }
        });
        Ok(Self { cluster, hosts, proxy, directory, name_server, task })
    }

    /// Answers for a host name.
    pub fn host(&self, name: &str, router: Router) -> Result<()> {
        let directory = self.directory.path().join(name);
        std::fs::create_dir_all(&directory)?;
        self.cluster.ca()?.sign(name, &[name])?.write(&directory, "tls")?;
        let read = |file: &str| std::fs::read(directory.join(file));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read("tls.crt")?).collect();
        let key = PrivateKeyDer::from_pem_slice(&read("tls.key")?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain?, key)?;
        self.hosts.lock().insert(name.to_owned(), (TlsAcceptor::from(Arc::new(config)), router));
        Ok(())
    }

    /// The environment in which programs are in this internet.
    pub fn environment(&self) -> Environment {
        let certificates: PathBuf = self.directory.path().join("ca.pem");
        environment(&[
            ("HTTPS_PROXY", &self.proxy),
            ("https_proxy", &self.proxy),
            ("NO_PROXY", ""),
            ("SSL_CERT_FILE", &certificates.to_string_lossy()),
            ("SSL_CERT_DIR", "/nonexistent"),
        ])
    }

    /// The address of the name server that knows the zone.
    pub fn name_server(&self) -> String {
        self.name_server.address()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection to the proxy.
async fn serve(
    mut connection: TcpStream,
    hosts: &Mutex<HashMap<String, (TlsAcceptor, Router)>>,
) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) if head.len() < 4096 => head.push(byte),
            _ => return Ok(()),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(host) = target.and_then(|target| target.strip_suffix(":443")) else {
        bail!("not a connection to port 443: {head}");
    };
    let Some((acceptor, router)) = hosts.lock().get(host).cloned() else {
        connection.write_all(b"HTTP/1.1 502 No Such Host\r\ncontent-length: 0\r\n\r\n").await?;
        bail!("there is no host {host}");
    };
    connection.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let stream = acceptor.accept(connection).await.context("TLS")?;
    let service = TowerToHyperService::new(router);
    // The client may close the connection as it likes.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    Ok(())
}

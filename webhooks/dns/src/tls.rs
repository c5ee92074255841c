//! TLS towards the API server: with the certificate that is shown, and for clients that the front proxy's authorities vouch for.

use std::future::Future;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tracing::error;

use crate::access::front_proxy::FrontProxy;
use crate::certificates::Shown;

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The TLS library rejected the certificate or its key.
    #[error("the certificate cannot be served")]
    Certificate(#[from] rustls::Error),
    /// The TLS library rejected the authorities.
    #[error("the authorities of the API server's certificates cannot be used")]
    Authorities(#[from] VerifierBuilderError),
}

/// The first configuration, as soon as both sides are known.
pub async fn first(
    shown: &mut watch::Receiver<Option<Arc<Shown>>>,
    front_proxy: &mut watch::Receiver<Option<Arc<FrontProxy>>>,
) -> Option<Arc<ServerConfig>> {
    loop {
        let (certificate, proxy) =
            (shown.borrow_and_update().clone(), front_proxy.borrow_and_update().clone());
        if let (Some(certificate), Some(proxy)) = (certificate, proxy)
            && let Some(config) = usable(&certificate, &proxy)
        {
            return Some(config);
        }
        changed(shown, front_proxy).await?;
    }
}

/// Replaces the configuration whenever one of the two sides changes.
pub fn follow(
    mut shown: watch::Receiver<Option<Arc<Shown>>>,
    mut front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
    first: Arc<ServerConfig>,
) -> (watch::Receiver<Arc<ServerConfig>>, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = watch::channel(first);
    let task = async move {
        while changed(&mut shown, &mut front_proxy).await.is_some() {
            if let Some(config) = self::first(&mut shown, &mut front_proxy).await {
                sender.send_replace(config);
            }
        }
        std::future::pending().await
    };
    (receiver, task)
}

/// Waits for a change; `None` if there will be no more.
async fn changed(
    shown: &mut watch::Receiver<Option<Arc<Shown>>>,
    front_proxy: &mut watch::Receiver<Option<Arc<FrontProxy>>>,
) -> Option<()> {
    tokio::select! {
        changed = shown.changed() => changed.ok(),
        changed = front_proxy.changed() => changed.ok(),
    }
}

fn usable(shown: &Shown, front_proxy: &FrontProxy) -> Option<Arc<ServerConfig>> {
    let failed = |error: &TlsError| error!(error = error as &dyn std::error::Error, "TLS cannot be set up");
    config(shown, front_proxy).inspect_err(failed).ok().map(Arc::new)
}

fn config(shown: &Shown, front_proxy: &FrontProxy) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(front_proxy.authorities.iter().cloned());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match roots.is_empty() {
        true => builder.with_no_client_auth(),
        false => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
    };
    let mut config = builder.with_single_cert(shown.chain.clone(), shown.key.clone_key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would keep the client of an authority that is no longer trusted.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

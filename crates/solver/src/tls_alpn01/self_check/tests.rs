use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls_alpn01::{PendingChallenge, PendingChallenges, Responder};

const EXPECTED: &str = "token.thumb";
const REMEDY: &str = "do something";

#[tokio::test]
async fn the_answer_of_the_responder_is_seen() {
    assert_eq!(check("a.test", responder).await, Ok(()));
    assert_eq!(check("192.0.2.1", responder).await, Ok(()));
    let rejected = check("b.test", responder).await.unwrap_err().to_string();
    assert_eq!(
        rejected,
        "192.0.2.20:443 rejected the TLS handshake with the protocol acme-tls/1 (AccessDenied); do something"
    );
}

#[tokio::test]
async fn a_site_is_told_by_the_kind_of_its_certificate_which_is_not_quoted() {
    for (names, got) in [
        (&["a.test", "secret.test"][..], "a certificate for this name"),
        (&["secret.test"], "a certificate for other names"),
    ] {
        let site = |stream| serve(site(names, &[]), stream);
        let words = format!(
            "192.0.2.20:443 answers with {got}, without the protocol acme-tls/1: something else serves port 443 of a.test; \
             do something"
        );
        assert_eq!(check("a.test", site).await.unwrap_err().to_string(), words);
    }
    let knows_others = |stream| serve(with_protocol(site(&["a.test"], &[]), b"h2"), stream);
    let words = check("a.test", knows_others).await.unwrap_err().to_string();
    assert!(
        words.contains("rejected the TLS handshake with the protocol acme-tls/1 (NoApplicationProtocol)"),
        "{words}"
    );
}

#[tokio::test]
async fn answers_to_other_challenges_and_to_none_are_told_apart() {
    let other = CustomExtension::new_acme_identifier(&[7; 32]);
    let other =
        |stream| serve(with_protocol(site(&["a.test"], std::slice::from_ref(&other)), PROTOCOL), stream);
    let failure = check("a.test", other).await.unwrap_err();
    assert_eq!(failure, HandshakeFailure::OtherChallenge { at: at() });
    let none = |stream| serve(with_protocol(site(&["a.test"], &[]), PROTOCOL), stream);
    let failure = check("a.test", none).await.unwrap_err();
    assert_eq!(failure, HandshakeFailure::NoIdentifier { at: at(), remedy: REMEDY.to_owned() });
    // The right certificate without the protocol is not what a CA accepts.
    let right = CustomExtension::new_acme_identifier(&acme_identifier(EXPECTED));
    let right = |stream| serve(site(&["a.test"], std::slice::from_ref(&right)), stream);
    let failure = check("a.test", right).await.unwrap_err();
    assert!(matches!(failure, HandshakeFailure::SomethingElse { .. }), "{failure}");
}

#[tokio::test]
async fn what_does_not_speak_tls_is_told() {
    let plain = |mut stream: DuplexStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nsecret: 1\r\n\r\n").await;
    };
    let failure = check("a.test", plain).await.unwrap_err();
    assert_eq!(failure, HandshakeFailure::NotTls { at: at(), remedy: REMEDY.to_owned() });
    let failure = check("a.test", |stream: DuplexStream| async move { drop(stream) }).await.unwrap_err();
    assert_eq!(failure, HandshakeFailure::Closed { at: at(), remedy: REMEDY.to_owned() });
}

#[test]
fn what_cannot_be_reached_is_told_with_the_port_of_the_challenge() {
    let others = crate::http01::OtherAddresses::default();
    let told = |failure| HandshakeFailure::Unreached(failure).to_string();
    let refused = told(SelfCheckFailure::Refused { at: at(), others: others.clone() });
    assert!(
        refused.starts_with("192.0.2.20:443 refused the connection; ") && refused.ends_with("port 443"),
        "{refused}"
    );
    let timed_out = told(SelfCheckFailure::ConnectTimeout { at: at(), others });
    assert!(timed_out.contains("did not accept a connection in time; "), "{timed_out}");
    let unknown = told(SelfCheckFailure::NoSuchName { name: "a.test".to_owned() });
    assert!(unknown.starts_with("DNS has no name a.test (NXDOMAIN); "), "{unknown}");
}

fn at() -> SocketAddr {
    ([192, 0, 2, 20], PORT).into()
}

/// Makes the handshake for `identifier` with a server.
async fn check<F>(identifier: &str, server: impl FnOnce(DuplexStream) -> F) -> Result<(), HandshakeFailure>
where
    F: Future<Output = ()>,
{
    let (ours, theirs) = duplex(64 * 1024);
    let name = ServerName::try_from(server_name(identifier)).unwrap();
    let target = Target { identifier, name, at: at(), remedy: REMEDY };
    let (seen, ()) = tokio::join!(target.handshake(ours, EXPECTED), server(theirs));
    seen
}

async fn responder(stream: DuplexStream) {
    let responder = Responder::new(Arc::new(Pending)).unwrap();
    let _ = responder.answer(stream, || {}).await;
}

async fn serve(config: ServerConfig, stream: DuplexStream) {
    let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
}

/// A server with a certificate for these names.
fn site(names: &[&str], extensions: &[CustomExtension]) -> ServerConfig {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.custom_extensions = extensions.to_vec();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    // The library itself would reject a certificate with a critical extension that it does not know.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], any_supported_type(&key).unwrap());
    builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
}

fn with_protocol(mut config: ServerConfig, protocol: &[u8]) -> ServerConfig {
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

struct Pending;

impl PendingChallenges for Pending {
    fn pending(&self, name: &str) -> Option<PendingChallenge> {
        let identifier = match name {
            "a.test" => "a.test",
            "1.2.0.192.in-addr.arpa" => "192.0.2.1",
            _ => return None,
        };
        Some(PendingChallenge { identifier: identifier.to_owned(), key_authorization: EXPECTED.to_owned() })
    }
}

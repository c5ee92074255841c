//! Runs rust-web-server's Gateway API controller, and nothing else of it, until it is ended.

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    rust_web_server::gateway_api::start_from_env();
    tokio::signal::ctrl_c().await
}

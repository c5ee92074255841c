//! Runs only the Gateway API controller of rust-web-server, until it is killed.

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    rust_web_server::gateway_api::start_from_env();
    tokio::signal::ctrl_c().await
}

//! What the unit tests of the controllers share.

use std::future;
use std::sync::Arc;

use clap::Parser;
use kube::Client;
use kube::client::Body;

use super::api_server::ApiServer;
use super::cache::{Cache, WatchHandler, Watches};
use super::config::ResponderPorts;
use super::context::Context;
use crate::cli::{Cli, Command};
use crate::operator;
use crate::runtime::metrics::Metrics;
use certwright_core::ledger::LedgerKeys;
use certwright_runtime::liveness::Liveness;

/// A context of an API server that never answers.
pub fn context() -> (Arc<Context>, Watches<dyn WatchHandler>) {
    let silent = tower::service_fn(|_: http::Request<Body>| {
        future::pending::<Result<http::Response<Body>, tower::BoxError>>()
    });
    let client = Client::new(silent, "certwright");
    let Command::Run(settings) = Cli::try_parse_from(["certwright", "run"]).unwrap().command else {
        panic!("not run")
    };
    let config = operator::config(&settings, ResponderPorts { http01: 0, tls_alpn01: 0 });
    let (cache, watches) = Cache::new(&client, &ApiServer::default(), &config, &Metrics::default());
    let keys = LedgerKeys::new(&[0; 32], []);
    let context = Context::new(
        client,
        ApiServer::default(),
        config,
        Metrics::default(),
        Liveness::default(),
        cache,
        keys,
    )
    .unwrap();
    (context, watches)
}

//! A small ingress and Gateway controller: it follows Ingresses, HTTPRoutes and TLSRoutes, Services and EndpointSlices, and
//! routes plain HTTP, and TLS without ending it.
//!
//! It serves Ingresses of the class `router` or without a class, and Gateways of GatewayClasses that name [`CONTROLLER_NAME`]. As
//! in real controllers, an exact host wins over a wildcard, an exact path over a prefix, a longer prefix over a shorter one, and
//! the oldest object over others with the same host and path.

use std::{cmp::Reverse, convert::Infallible, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice, networking::v1::Ingress},
    jiff::Timestamp,
};
use kube::{
    Client, Resource, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

mod follow;
mod forward;
mod gateway;
mod ingress;
mod passthrough;
mod route;
mod status;

pub(crate) use forward::end_to_end;
pub use gateway::CONTROLLER_NAME;
use gateway::{Gateway, GatewayClass, HttpRoute, TlsRoute};

/// The name of the ingress class it serves, and of the tests' GatewayClass.
pub const CLASS: &str = "router";

/// A running router; it is stopped when this is dropped.
pub struct Router {
    _tasks: JoinSet<()>,
}

impl Router {
    /// Listens on ports 80 and 443 of `address` and follows the cluster of `client`. HTTPRoutes and TLSRoutes are followed while the
    /// cluster has the Gateway API.
    pub async fn start(client: Client, address: &str) -> Result<Self> {
        let listener = TcpListener::bind((address, 80))
            .await
            .context("cannot listen on port 80 of the ingress address")?;
        let tls_listener = TcpListener::bind((address, 443))
            .await
            .context("cannot listen on port 443 of the ingress address")?;
        let mut tasks = JoinSet::new();
        let changed = Arc::new(Notify::new());
        let routes = Arc::new(Routes {
            ingresses: follow::always(&mut tasks, &client, &changed),
            services: follow::always(&mut tasks, &client, &changed),
            slices: follow::always(&mut tasks, &client, &changed),
            gateway_classes: follow::while_defined(&mut tasks, &client, &changed),
            gateways: follow::while_defined(&mut tasks, &client, &changed),
            http_routes: follow::while_defined(&mut tasks, &client, &changed),
            tls_routes: follow::while_defined(&mut tasks, &client, &changed),
            // A test that stops a backend expects that the next connection is refused and that no old one is reused.
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .connect_timeout(Duration::from_secs(5))
                .build()?,
        });
        tasks.spawn(serve(listener, routes.clone()));
        tasks.spawn(passthrough::serve(tls_listener, routes.clone()));
        tasks.spawn(status::report(client, address.to_owned(), routes, changed));
        Ok(Self { _tasks: tasks })
    }
}

/// The state of the cluster, and a client for forwarding.
struct Routes {
    ingresses: Store<Ingress>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    gateway_classes: Store<GatewayClass>,
    gateways: Store<Gateway>,
    http_routes: Store<HttpRoute>,
    tls_routes: Store<TlsRoute>,
    http: reqwest::Client,
}

/// A Service that a host and path are routed to.
#[derive(Clone, Debug, PartialEq)]
struct Backend {
    namespace: String,
    service: String,
    port: Port,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq)]
enum Port {
    Number(i32),
    Name(String),
}

/// How well a host matches, how well a path matches, and how old the object is: the greatest wins.
type Rank = (u8, PathRank, Reverse<Age>);
/// Whether it matches exactly, and the length of the prefix.
type PathRank = (u8, usize);
type Age = (Option<Timestamp>, String, String);

async fn serve(listener: TcpListener, routes: Arc<Routes>) {
    while let Ok((stream, _)) = listener.accept().await {
        let routes = routes.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let routes = routes.clone();
                async move { Ok::<_, Infallible>(routes.forward(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Routes {
    /// The backend of a host and path.
    fn backend(&self, host: &str, path: &str) -> Option<Backend> {
        let ingresses = self.ingresses.state();
        let of_ingresses = ingresses.iter().flat_map(|one| ingress::candidates(one, host, path));
        let of_routes = self.route_candidates(host, path);
        let best = of_ingresses.chain(of_routes).max_by(|(left, _), (right, _)| left.cmp(right));
        best.map(|(_, backend)| backend)
    }

    /// `ip:port` of all ready endpoints of a backend.
    fn addresses(&self, backend: &Backend) -> Vec<String> {
        let Some(port_name) = self.port_name(backend) else { return Vec::new() };
        let mut addresses = Vec::new();
        for slice in self.slices.state() {
            let owner = slice.labels().get("kubernetes.io/service-name");
            if owner != Some(&backend.service) || slice.namespace().as_ref() != Some(&backend.namespace) {
                continue;
            }
            let target =
                slice.ports.iter().flatten().find(|port| port.name.clone().unwrap_or_default() == port_name);
            let Some(number) = target.and_then(|port| port.port) else { continue };
            for endpoint in &slice.endpoints {
                let ready =
                    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
                if ready {
                    addresses.extend(endpoint.addresses.iter().map(|address| format!("{address}:{number}")));
                }
            }
        }
        addresses
    }

    /// The name of a backend's port, if the Service and the port exist.
    fn port_name(&self, backend: &Backend) -> Option<String> {
        let service = self.services.get(&ObjectRef::new(&backend.service).within(&backend.namespace))?;
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
        let port = ports.into_iter().find(|port| match &backend.port {
            Port::Name(name) => port.name.as_ref() == Some(name),
            Port::Number(number) => port.port == *number,
        });
        port.map(|port| port.name.unwrap_or_default())
    }
}

fn age<K: Resource>(object: &K) -> Age {
    let created = object.meta().creation_timestamp.as_ref().map(|time| time.0);
    (created, object.namespace().unwrap_or_default(), object.name_any())
}

/// How well a path matches an exact path.
fn exact_path(wanted: &str, path: &str) -> Option<PathRank> {
    (wanted == path).then_some((2, wanted.len()))
}

/// How well a path matches a prefix of whole path elements: `/foo` matches `/foo/bar`, but not `/foobar`.
fn path_prefix(wanted: &str, path: &str) -> Option<PathRank> {
    let prefix = wanted.trim_end_matches('/');
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some((1, prefix.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_fits_whole_path_elements() {
        assert_eq!(path_prefix("/foo", "/foo/bar"), Some((1, 4)));
        assert_eq!(path_prefix("/foo/", "/foo"), Some((1, 4)));
        assert_eq!(path_prefix("/foo", "/foobar"), None);
        assert_eq!(path_prefix("/", "/anything"), Some((1, 0)));
        assert_eq!(exact_path("/foo", "/foo"), Some((2, 4)));
        assert_eq!(exact_path("/foo", "/foo/"), None);
    }
}

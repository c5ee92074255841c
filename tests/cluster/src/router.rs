//! A small ingress controller: it follows Ingresses, Services and EndpointSlices, and routes plain HTTP.
//!
//! It serves Ingresses of the class `router`, and those of no class. As in real ones, an exact host wins over a
//! wildcard, an exact path over a prefix, a longer prefix over a shorter one, and the oldest Ingress over others that
//! claim the same host and path.

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::EndpointSlice,
    networking::v1::{HTTPIngressPath, Ingress, IngressBackend, IngressSpec},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt, reflector,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::{net::TcpListener, task::JoinSet};

/// The name of the ingress class it serves.
pub const CLASS: &str = "router";

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

type Body = BoxBody<Bytes, reqwest::Error>;

/// A running router; it ends when this is dropped.
pub struct Router {
    _tasks: JoinSet<()>,
}

impl Router {
    /// Listens on port 80 of `address` and follows the cluster that `client` talks to.
    pub async fn start(client: Client, address: &str) -> Result<Self> {
        let listener = TcpListener::bind((address, 80))
            .await
            .context("cannot listen on port 80 of the ingress address")?;
        let mut tasks = JoinSet::new();
        let routes = Arc::new(Routes {
            ingresses: follow(&mut tasks, client.clone()),
            services: follow(&mut tasks, client.clone()),
            slices: follow(&mut tasks, client),
            // A test that stops a backend expects the next connection to be refused, not an old one to be reused.
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .connect_timeout(Duration::from_secs(5))
                .build()?,
        });
        tasks.spawn(serve(listener, routes));
        Ok(Self { _tasks: tasks })
    }
}

/// What the cluster says, and a client to forward with.
struct Routes {
    ingresses: Store<Ingress>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    http: reqwest::Client,
}

/// Keeps a copy of all objects of a kind.
fn follow<K>(tasks: &mut JoinSet<()>, client: Client) -> Store<K>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client), watcher::Config::default());
    tasks.spawn(reflector(writer, events).default_backoff().touched_objects().for_each(|_| async {}));
    store
}

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
    async fn forward(&self, request: Request<Incoming>) -> Response<Body> {
        let host =
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let Some((namespace, backend)) = self.backend(&host, request.uri().path()) else {
            return answer(
                StatusCode::NOT_FOUND,
                format!("router: no Ingress for {host}{}\n", request.uri().path()),
            );
        };
        let addresses = self.addresses(&namespace, &backend);
        if addresses.is_empty() {
            return answer(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("router: the backend of {host} in namespace {namespace} has no ready address\n"),
            );
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return answer(StatusCode::BAD_REQUEST, "router: the request broke off\n".into());
        };
        let body = body.to_bytes();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        for address in addresses {
            let sent = self
                .http
                .request(parts.method.clone(), format!("http://{address}{path}"))
                .headers(end_to_end(&parts.headers))
                .body(body.clone())
                .send()
                .await;
            match sent {
                Ok(response) => return pass_on(response),
                Err(error) if error.is_connect() => continue,
                Err(error) => {
                    return answer(StatusCode::BAD_GATEWAY, format!("router: {address}: {error}\n"));
                }
            }
        }
        answer(StatusCode::BAD_GATEWAY, format!("router: no address of {host} accepts connections\n"))
    }

    /// The backend for a host and path, with its namespace.
    fn backend(&self, host: &str, path: &str) -> Option<(String, IngressBackend)> {
        let mut candidates = Vec::new();
        for ingress in self.ingresses.state() {
            let Some(spec) = ingress.spec.as_ref().filter(|spec| is_ours(&ingress, spec)) else { continue };
            let namespace = ingress.namespace().unwrap_or_default();
            let age =
                (ingress.creation_timestamp().map(|time| time.0), namespace.clone(), ingress.name_any());
            for rule in spec.rules.iter().flatten() {
                let Some(host_rank) = host_rank(rule.host.as_deref(), host) else { continue };
                for http_path in rule.http.iter().flat_map(|http| &http.paths) {
                    let Some(path_rank) = path_rank(http_path, path) else { continue };
                    let rank = (host_rank, path_rank, std::cmp::Reverse(age.clone()));
                    candidates.push((rank, namespace.clone(), http_path.backend.clone()));
                }
            }
            if let Some(backend) = &spec.default_backend {
                candidates.push(((0, (0, 0), std::cmp::Reverse(age)), namespace, backend.clone()));
            }
        }
        let best = candidates.into_iter().max_by(|(left, ..), (right, ..)| left.cmp(right));
        best.map(|(_, namespace, backend)| (namespace, backend))
    }

    /// `ip:port` of every ready endpoint of a backend.
    fn addresses(&self, namespace: &str, backend: &IngressBackend) -> Vec<String> {
        let Some(reference) = &backend.service else { return Vec::new() };
        let Some(service) = self.services.get(&ObjectRef::new(&reference.name).within(namespace)) else {
            return Vec::new();
        };
        let wanted = reference.port.clone().unwrap_or_default();
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
        let port = ports.into_iter().find(|port| match &wanted.name {
            Some(name) => port.name.as_ref() == Some(name),
            None => Some(port.port) == wanted.number,
        });
        let Some(port) = port else { return Vec::new() };
        let port_name = port.name.unwrap_or_default();

        let mut addresses = Vec::new();
        for slice in self.slices.state() {
            let owner = slice.labels().get("kubernetes.io/service-name");
            if owner != Some(&reference.name) || slice.namespace().as_deref() != Some(namespace) {
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
}

fn is_ours(ingress: &Ingress, spec: &IngressSpec) -> bool {
    let annotation = ingress.annotations().get(CLASS_ANNOTATION);
    let class = spec.ingress_class_name.as_ref().or(annotation);
    class.is_none_or(|class| class == CLASS)
}

/// How well a rule's host fits: not at all, any host, a wildcard, exactly.
fn host_rank(rule: Option<&str>, host: &str) -> Option<u8> {
    let Some(rule) = rule.filter(|rule| !rule.is_empty()) else { return Some(1) };
    if let Some(domain) = rule.strip_prefix("*.") {
        let (label, rest) = host.split_once('.')?;
        return (!label.is_empty() && rest == domain).then_some(2);
    }
    (rule == host).then_some(3)
}

/// How well a rule's path fits: whether exactly, and how long a prefix.
fn path_rank(rule: &HTTPIngressPath, path: &str) -> Option<(u8, usize)> {
    let wanted = rule.path.as_deref().unwrap_or("/");
    if rule.path_type == "Exact" {
        return (wanted == path).then_some((2, wanted.len()));
    }
    // A prefix matches whole path elements: `/foo` fits `/foo/bar`, and not `/foobar`.
    let prefix = wanted.trim_end_matches('/');
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some((1, prefix.len()))
}

/// The headers that concern both ends, not only one connection (RFC 9110 section 7.6.1).
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::CONTENT_LENGTH]
    {
        headers.remove(name);
    }
    headers
}

fn pass_on(response: reqwest::Response) -> Response<Body> {
    let mut answer = Response::builder().status(response.status());
    if let Some(headers) = answer.headers_mut() {
        *headers = end_to_end(response.headers());
    }
    let body = BodyExt::boxed(StreamBody::new(response.bytes_stream().map_ok(Frame::data)));
    answer.body(body).unwrap_or_else(|_| Response::new(empty()))
}

fn answer(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(full(text.into()));
    *response.status_mut() = status;
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn empty() -> Body {
    full(Bytes::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_host_ranks_above_a_wildcard_above_none() {
        assert_eq!(host_rank(Some("a.example.com"), "a.example.com"), Some(3));
        assert_eq!(host_rank(Some("*.example.com"), "a.example.com"), Some(2));
        assert_eq!(host_rank(None, "a.example.com"), Some(1));
        assert_eq!(host_rank(Some("*.example.com"), "a.b.example.com"), None);
        assert_eq!(host_rank(Some("*.example.com"), "example.com"), None);
        assert_eq!(host_rank(Some("b.example.com"), "a.example.com"), None);
    }

    #[test]
    fn a_prefix_fits_whole_path_elements() {
        let rule = |path_type: &str, path: &str| HTTPIngressPath {
            path: Some(path.into()),
            path_type: path_type.into(),
            backend: IngressBackend::default(),
        };
        assert_eq!(path_rank(&rule("Prefix", "/foo"), "/foo/bar"), Some((1, 4)));
        assert_eq!(path_rank(&rule("Prefix", "/foo/"), "/foo"), Some((1, 4)));
        assert_eq!(path_rank(&rule("Prefix", "/foo"), "/foobar"), None);
        assert_eq!(path_rank(&rule("Prefix", "/"), "/anything"), Some((1, 0)));
        assert_eq!(path_rank(&rule("Exact", "/foo"), "/foo"), Some((2, 4)));
        assert_eq!(path_rank(&rule("Exact", "/foo"), "/foo/"), None);
    }
}

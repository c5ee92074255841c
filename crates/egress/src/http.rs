use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

use ::http::{Method, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response, Url};

use crate::{Egress, Forbidden, Purpose};

/// An HTTP client that connects only where the rules permit it. It does not follow redirects.
///
/// The operator resolves names and connects only to permitted addresses. Addresses in URLs are checked before a request is
/// sent, because they are not resolved.
///
/// A proxy in the environment (`HTTPS_PROXY` and others) is the administrator's: it may be anywhere, and it resolves names
/// itself, according to its own rules. Addresses in URLs and `localhost` are still checked.
#[derive(Clone, Debug)]
pub struct HttpClient {
    direct: reqwest::Client,
    proxied: Option<Proxied>,
    egress: Egress,
    purpose: Purpose,
}

/// The connection through proxies. It has its own client, whose resolver looks up only the names of proxies.
#[derive(Clone, Debug)]
struct Proxied {
    matcher: std::sync::Arc<Matcher>,
    client: reqwest::Client,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The rules forbid the connection.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The request failed.
    #[error(transparent)]
    Http(reqwest::Error),
}

impl HttpClient {
    /// A client with the settings from `configure`.
    ///
    /// # Errors
    /// If the TLS library rejects the settings.
    #[expect(clippy::disallowed_methods, reason = "here is where addresses are checked")]
    pub fn new(
        egress: &Egress,
        purpose: Purpose,
        configure: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        let builder = || configure(reqwest::Client::builder()).redirect(Policy::none()).referer(false);
        let resolver = Resolver { egress: egress.clone(), purpose };
        let direct = builder().no_proxy().dns_resolver(resolver).build()?;
        let matcher = Matcher::from_system();
        let proxied = match has_proxy(&matcher) {
            true => Some(Proxied { matcher: matcher.into(), client: builder().build()? }),
            false => None,
        };
        Ok(Self { direct, proxied, egress: egress.clone(), purpose })
    }

    /// Sends a request, completed by `fill`.
    ///
    /// # Errors
    /// [`SendError`]
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, SendError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        if let Some(address) = literal(&host) {
            self.egress.check(self.purpose, &host, address)?;
        }
        let client = match self.proxied.as_ref().filter(|proxied| proxied.intercepts(&url)) {
            Some(proxied) => {
                if is_localhost(&host) {
                    self.egress.check(self.purpose, &host, Ipv4Addr::LOCALHOST.into())?;
                }
                &proxied.client
            }
            None => &self.direct,
        };
        fill(client.request(method, url)).send().await.map_err(SendError::of)
    }
}

impl Proxied {
    fn intercepts(&self, url: &Url) -> bool {
        url.as_str().parse::<Uri>().is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

impl SendError {
    /// The resolver's own error is one of the sources.
    fn of(error: reqwest::Error) -> Self {
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        match causes.into_iter().any(|cause| cause.is::<Forbidden>()) {
            true => Self::Forbidden(Forbidden),
            false => Self::Http(error),
        }
    }
}

/// Whether there is a proxy for any URL at all.
fn has_proxy(matcher: &Matcher) -> bool {
    // A list of exceptions contains this name only if it contains all.
    ["http", "https"].into_iter().any(|scheme| {
        let uri = format!("{scheme}://certwright.invalid/").parse::<Uri>();
        uri.is_ok_and(|uri| matcher.intercept(&uri).is_some())
    })
}

/// The address in a URL that has no name. All notations of addresses, such as `2130706433`, are already parsed.
fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Whether a name is this host's by definition (RFC 6761 section 6.3).
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

/// Resolves names as the system does, and returns only permitted addresses.
struct Resolver {
    egress: Egress,
    purpose: Purpose,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, purpose) = (self.egress.clone(), self.purpose);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (permitted, forbidden): (Vec<_>, Vec<_>) =
                found.partition(|address| egress.permits(address.ip()));
            if let (true, Some(address)) = (permitted.is_empty(), forbidden.first()) {
                egress.check(purpose, name.as_str(), address.ip())?;
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

//! The self-check, and the messages about its result.

use super::*;

#[tokio::test]
async fn what_keeps_the_answer_from_being_seen_is_told_apart_and_written_once() -> Result<()> {
    TestNamespace::with("self-check", async |ns| {
        let (_pebble, _operator) = with_solver(ns, "{ ingressClassName: router }").await?;
        let dns = ns.cluster.dns()?;
        let [refused, servfail, no_address, redirected, broken, status] =
            ["refused", "servfail", "no-address", "redirected", "broken", "status"]
                .map(|name| host(ns, name));
        let _held = hold(ns, &refused).await?;
        dns.set_servfail(&servfail).await?;
        // Not an IPv4 address, and so not an answer.
        dns.set_a(&no_address, &["2001:db8::1"]).await?;
        let location = format!("location: https://{redirected}/\r\n");
        dns.set_a(&redirected, &[REDIRECTS]).await?;
        let _redirects = answers(REDIRECTS, "301 Moved Permanently", &location, "").await?;
        dns.set_a(&broken, &[BREAKS_OFF]).await?;
        let _breaks_off = breaks_off(BREAKS_OFF).await?;
        dns.set_a(&status, &[FORBIDS]).await?;
        let _forbids = answers(FORBIDS, "403 Forbidden", "", "no entry").await?;
        let expected = [
            (&refused, "refused the connection"),
            (&servfail, "looking up"),
            (&no_address, "has no A or AAAA record"),
            (&redirected, "after a redirect to https://"),
            (&broken, "closed the connection without an answer"),
            (&status, "answered with status 403"),
        ];
        let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        ns.apply(&certificate("web", &names, "")).await?;
        let told = |object: &Value| {
            let challenges = object["status"]["challenges"].as_array();
            challenges.is_some_and(|all| all.len() == 6 && all.iter().all(|one| one["reason"].is_string()))
        };
        let web = ns.wait("certificate/web", SOON, told).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSelfCheck").await?;
        for (name, words) in expected {
            let challenges = web["status"]["challenges"].as_array().context("no challenges")?;
            let challenge = challenges.iter().find(|challenge| challenge["name"] == name.as_str());
            let reason = challenge.and_then(|challenge| challenge["reason"].as_str()).context("no reason")?;
            ensure!(reason.contains(words), "{name}: {reason}");
            ensure!(message.contains(reason), "the condition tells it, too: {message}");
        }
        stays_as_it_is(ns, "web", Duration::from_secs(10)).await?;

        for name in names {
            dns.clear_servfail(name).await?;
            dns.clear_a(name).await?;
        }
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_ingress_that_takes_the_path_is_told_as_such() -> Result<()> {
    TestNamespace::with("competing", async |ns| {
        // Nothing serves the class of our Ingress, but another Ingress has the name.
        let (_pebble, _operator) = with_solver(ns, "{ ingressClassName: nobody }").await?;
        let name = host(ns, "shop");
        let port = ports::free(ADDRESS)?;
        let _shop =
            answers(&format!("{ADDRESS}:{port}"), "200 OK", "", "<html>Welcome to the shop</html>").await?;
        ns.apply(&competitor(&name, port)).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSelfCheck").await?;
        ensure!(message.contains("answered with an HTML page"), "what came instead: {message}");
        ensure!(message.contains("another Ingress"), "what may be wrong: {message}");
        stays_as_it_is(ns, "web", Duration::from_secs(5)).await
    })
    .await
}

#[tokio::test]
async fn after_the_deadline_of_the_self_check_the_ca_is_asked_all_the_same() -> Result<()> {
    TestNamespace::with("deadline", async |ns| {
        let pebble = steady().always_valid().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--http01-self-check-timeout", "2s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let name = host(ns, "seen-by-the-ca-only");
        let _held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        issued(ns, "web").await?;
        let requests = proxy.requests();
        let at =
            |path: &str| requests.iter().find(|record| record.path.starts_with(path)).map(|record| record.at);
        let waited =
            at("/chalZ/").zip(at("/authZ/")).map(|(asked, read)| asked - read).context("not asked")?;
        ensure!(waited >= Duration::from_secs(2), "it gave the self-check {waited:?} only");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_slow_ingress_is_waited_for() -> Result<()> {
    TestNamespace::with("slow", async |ns| {
        let (_pebble, _operator) = with_solver(ns, "{ ingressClassName: router }").await?;
        let name = host(ns, "slow");
        ns.cluster.dns()?.set_a(&name, &[SLOW]).await?;
        let _slow = forwards(SLOW, Duration::from_secs(2)).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_ipv6_address_that_leads_nowhere_does_not_keep_the_answer_from_being_seen() -> Result<()> {
    TestNamespace::with("aaaa", async |ns| {
        // Unlike other CAs, Pebble tries only one address.
        let pebble = steady().always_valid().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--http01-self-check-timeout", "10m").start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        let dns = ns.cluster.dns()?;
        let [no_route, refused] = [host(ns, "no-route"), host(ns, "refused")];
        dns.set_aaaa(&no_route, &["2001:db8::1"]).await?;
        dns.set_aaaa(&refused, &["::1"]).await?;
        ns.apply(&certificate("web", &[&no_route, &refused], "")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

const SLOW: &str = "127.80.0.2";

const REDIRECTS: &str = "127.80.0.3";

const BREAKS_OFF: &str = "127.80.0.4";

const FORBIDS: &str = "127.80.0.5";

/// A listener that is closed when this is dropped.
struct Listener(tokio::task::JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Handles each connection to `address`, by default on port 80, in this way.
async fn listen<F, R>(address: &str, serve: F) -> Result<Listener>
where
    F: Fn(TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<()>> + Send + 'static,
{
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    let serve = Arc::new(serve);
    Ok(Listener(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    })))
}

/// Gives all requests the same answer.
async fn answers(address: &str, status: &str, headers: &str, body: &str) -> Result<Listener> {
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    listen(address, move |mut stream| {
        let answer = answer.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await?;
            stream.write_all(answer.as_bytes()).await
        }
    })
    .await
}

/// Closes each connection after the request.
async fn breaks_off(address: &str) -> Result<Listener> {
    listen(address, |mut stream| async move { stream.read(&mut [0; 4096]).await.map(drop) }).await
}

/// Forwards each connection to the router after a delay.
async fn forwards(address: &str, after: Duration) -> Result<Listener> {
    listen(address, move |mut stream| async move {
        let mut router = TcpStream::connect((ADDRESS, 80)).await?;
        // This is the behavior under test: a slow ingress.
        let _ = tokio::time::timeout(after, std::future::pending::<()>()).await;
        copy_bidirectional(&mut stream, &mut router).await.map(drop)
    })
    .await
}

/// An Ingress that routes all requests for a host to one of our ports.
fn competitor(host: &str, port: u16) -> String {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "shop", "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS]}],
        "ports": [{"name": "http", "port": port}],
    });
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {
            "ingressClassName": "router",
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    });
    format!("{service}\n---\n{slice}\n---\n{ingress}")
}

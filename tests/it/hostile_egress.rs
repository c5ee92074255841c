//! A tenant tries to make the operator connect to where the tenant cannot: to the operator's own pod, to the metadata service of
//! a cloud, to services within the cluster. The operator must not connect to the first two, and must not show what the third
//! answers.

use crate::common;

use std::net::UdpSocket as StdUdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::dns::{http_request, issuer, key, rfc2136, with};
use crate::common::hostile::Scene;
use crate::common::{SOON, certificate, condition, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Address, Bind, Cluster, Resolver, TestNamespace, Zone, ports};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const FORBIDDEN: &str = "is not allowed: the operator's egress rules forbid its address; an administrator can allow it with --egress-allow";
const SECRET: &str = "hunter2";

#[tokio::test]
async fn a_ca_on_loopback_or_the_link_is_not_connected_to_whatever_its_name() -> Result<()> {
    let metrics = ports::free("127.0.0.1")?;
    let trap = Trap::on_loopback().await?;
    let address = format!("127.0.0.1:{metrics}");
    Scene::with_operator(
        "loopback",
        |builder| builder.argument("--metrics-addr", &address),
        async |scene| {
            let port = trap.port;
            let directory = json!({
                "newNonce": format!("http://127.0.0.1:{port}/nonce"),
                "newAccount": format!("http://localhost:{port}/account"),
                "newOrder": format!("http://[::ffff:127.0.0.1]:{port}/order"),
            });
            let hostile = Service::answering(200, "application/json", &directory.to_string()).await?;
            let servers = [
                ("metrics", format!("http://127.0.0.1:{metrics}/metrics"), "127.0.0.1"),
                ("plain", format!("http://127.0.0.1:{port}/dir"), "127.0.0.1"),
                ("other", format!("http://127.4.5.6:{port}/dir"), "127.4.5.6"),
                ("number", format!("http://2130706433:{port}/dir"), "127.0.0.1"),
                ("zero", format!("http://0:{port}/dir"), "0.0.0.0"),
                ("mapped", format!("http://[::ffff:127.0.0.1]:{port}/dir"), "[::ffff:7f00:1]"),
                ("named", format!("http://localhost:{port}/dir"), "localhost"),
                ("cloud", "http://169.254.169.254/latest/meta-data/".to_owned(), "169.254.169.254"),
                ("nat64", "http://[64:ff9b::169.254.169.254]/".to_owned(), "[64:ff9b::a9fe:a9fe]"),
                ("directory", hostile.url.clone(), "127.0.0.1"),
            ];
            for (name, server, _) in &servers {
                scene.apply(&issuer_at(name, server)).await?;
            }
            for (name, server, host) in &servers {
                let message = refused(&scene.ns, name).await?;
                let words = format!("failed: {host} {FORBIDDEN}");
                ensure!(message.contains(&words), "{server} is told as: {message}");
            }
            trap.is_untouched()?;
            let metrics = scene.operator.metrics().await?;
            let refusals = metrics.lines().find(|line| line.starts_with("certwright_egress_refused_total"));
            ensure!(refusals.is_some_and(|line| line.contains(r#"purpose="acme""#)), "counted: {refusals:?}");
            let told = |line: &&String| {
                line.contains("egress rules forbid a connection") && line.contains("127.4.5.6")
            };
            let lines = scene.operator.logs().iter().filter(told).count();
            ensure!(lines == 1, "it was logged {lines} times");
            scene.aftermath().await?;
            trap.is_untouched()
        },
    )
    .await
}

#[tokio::test]
async fn the_self_check_goes_to_loopback_neither_by_a_name_nor_by_a_redirect() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let (web, dns) = (Address::free(&cluster)?, cluster.dns()?);
    let trap = Trap::at("127.0.0.77", 80).await?;
    let redirecting = Service::at(web.ip(), 80, |_| {
        let target = "http://127.0.0.77/.well-known/acme-challenge/inner";
        format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n")
    })
    .await?;
    let (named, redirected) = (format!("named.{}.test", web.ip()), format!("redirected.{}.test", web.ip()));
    dns.set_a(&named, &["127.0.0.77"]).await?;
    dns.set_aaaa(&named, &["::ffff:127.0.0.77", "64:ff9b::7f00:4d"]).await?;
    dns.set_a(&redirected, &[web.ip()]).await?;
    // Pebble does not follow our rules, and would trigger the trap.
    let timeout = "--http01-self-check-timeout";
    Scene::with_operator(
        "self-check",
        |builder| builder.argument(timeout, "1h"),
        async |scene| {
            scene.apply(&common::issuer(&scene.pebble.directory_url, &scene.pebble.ca_pem, "")).await?;
            scene.apply(&certificate("named", &[&named], "")).await?;
            scene.apply(&certificate("redirected", &[&redirected], "")).await?;
            for (name, words) in [
                ("named", format!("{named} {FORBIDDEN}")),
                ("redirected", format!("after a redirect to http://127.0.0.77: 127.0.0.77 {FORBIDDEN}")),
            ] {
                let said = |object: &Value| {
                    condition(object, "Issuing").is_some_and(|(_, _, message)| message.contains(&words))
                };
                scene.ns.wait(&format!("certificate/{name}"), SOON, said).await.context(words.clone())?;
            }
            ensure!(redirecting.asked() > 0, "nobody was redirected");
            trap.is_untouched()?;
            scene.aftermath().await?;
            trap.is_untouched()
        },
    )
    .await
}

#[tokio::test]
async fn providers_and_name_servers_on_loopback_are_not_asked() -> Result<()> {
    let _alone = common::CLUSTER_ISSUERS.lock().await;
    let cluster = Cluster::from_env()?;
    let key = key();
    // The zone's second server is on the loopback network.
    let lame = Zone::new("lame.test").name_server("127.0.0.78");
    let bind = Bind::builder().zone("a.test").zone(lame).tsig_key(&key).start(&cluster).await?;
    let resolver = Resolver::builder().zone_at("a.test", &bind).zone_at("lame.test", &bind);
    let resolver = resolver.start(&cluster).await?;
    let trap = Trap::on_loopback().await?;
    let name_server = Trap::at("127.0.0.78", 53).await?;
    let servers = resolver.address();
    Scene::with_operator("providers", |builder| builder.argument("--dns01-recursive-nameservers", &servers).argument("--cluster-issuers", "true"), async |scene| {
        let (port, ns) = (trap.port, &scene.ns);
        scene.apply(&key.object("tsig")).await?;
        let account = json!({ "acme-dns.a.test": {
            "username": "u", "password": "p", "subdomain": "s", "fulldomain": "a.test",
        }});
        let accounts = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "accounts" },
            "stringData": { "acmedns.json": account.to_string() },
        });
        scene.apply(&accounts.to_string()).await?;
        let by = |nameserver: String| {
            with(json!({ "rfc2136": rfc2136(&bind.address()) }), json!({ "propagation": { "nameservers": [nameserver] } }))
        };
        let acme_dns = json!({ "host": format!("http://localhost:{port}"), "accountSecretRef": { "name": "accounts" } });
        let solvers = [
            ("update", "a.test", json!({ "rfc2136": rfc2136(&format!("127.0.0.1:{port}")) })),
            ("tcp", "a.test", json!({ "rfc2136": with(rfc2136(&format!("2130706433:{port}")), json!({ "protocol": "TCP" })) })),
            ("http", "a.test", http_request(&format!("http://[::ffff:127.0.0.1]:{port}"), json!({}))),
            ("acme-dns", "a.test", json!({ "acmeDNS": acme_dns })),
            ("recursive", "a.test", by(format!("127.0.0.1:{port}"))),
            ("https", "a.test", by(format!("https://localhost:{port}/dns-query"))),
            ("zone", "lame.test", json!({ "rfc2136": rfc2136(&bind.address()) })),
        ];
        for (name, zone, solver) in &solvers {
            let solvers = json!([{ "dns01": solver }]);
            let ca = issuer(name, &scene.pebble.directory_url, &scene.pebble.ca_pem, &solvers);
            scene.apply(&ca.to_string()).await?;
            scene.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.{zone}")], ""))).await?;
        }
        for (name, ..) in &solvers {
            let said = |object: &Value| {
                condition(object, "Issuing").is_some_and(|(_, _, message)| message.contains(FORBIDDEN))
            };
            ns.wait(&format!("certificate/{name}"), SOON, said).await.with_context(|| (*name).to_owned())?;
        }
        trap.is_untouched()?;
        name_server.is_untouched()?;
        scene.aftermath().await?;
        trap.is_untouched()
    })
    .await
}

/// Attack: the tenant tries to read the answers of a service within the cluster in the status of its own Issuer.
#[tokio::test]
async fn what_an_inner_service_answers_reaches_neither_status_nor_events_nor_the_log() -> Result<()> {
    Scene::with("inner", async |scene| {
        let long = format!("{SECRET} ").repeat(100);
        let problem = json!({ "type": "about:blank", "title": long, "detail": long, "instance": long });
        let answers = [
            (
                "string",
                200,
                "application/json",
                json!(SECRET).to_string(),
                "200 application/json, not an ACME directory",
            ),
            (
                "object",
                200,
                "application/json",
                json!({ "newNonce": { SECRET: 1 } }).to_string(),
                "not an ACME directory",
            ),
            ("page", 200, "text/html", format!("<h1>{SECRET}</h1>"), "200 text/html, not an ACME directory"),
            ("text", 200, "text/plain", SECRET.to_owned(), "200 text/plain, not an ACME directory"),
            ("refusal", 403, "text/plain", SECRET.to_owned(), "answered HTTP 403 (text/plain)"),
            (
                "problem",
                403,
                "application/problem+json",
                problem.to_string(),
                "answered HTTP 403 (application/problem+json)",
            ),
        ];
        let mut services = Vec::new();
        for (name, status, typ, body, words) in &answers {
            let service = Service::answering(*status, typ, body).await?;
            scene.apply(&issuer_at(name, &service.url)).await?;
            services.push((*name, service, *words));
        }
        // A directory of the tenant, in which all other URLs are those of an inner service.
        let inner = Service::answering(403, "application/problem+json", &problem.to_string()).await?;
        let directory = json!({ "newNonce": inner.url, "newAccount": inner.url, "newOrder": inner.url });
        let own = Service::answering(200, "application/json", &directory.to_string()).await?;
        scene.apply(&issuer_at("own", &own.url)).await?;
        services.push(("own", own, "answered HTTP 403 (application/problem+json)"));
        // A server that redirects.
        let away = Service::at("192.0.2.10", 0, |_| {
            format!(
                "HTTP/1.1 302 Found\r\nlocation: http://sso.example.com/{SECRET}\r\ncontent-length: 0\r\n\r\n"
            )
        })
        .await?;
        scene.apply(&issuer_at("away", &away.url)).await?;
        services.push(("away", away, "answered HTTP 302 (a redirect to another host)"));

        for (name, service, words) in &services {
            let message = refused(&scene.ns, name).await?;
            ensure!(message.contains(words), "{name} is told as: {message}");
            ensure!(service.asked() > 0, "{name} was not asked");
        }
        for kind in [
            "apis/certwright.dev/v1alpha1/namespaces/NS/issuers",
            "api/v1/namespaces/NS/events",
            "apis/events.k8s.io/v1/namespaces/NS/events",
        ] {
            let path = format!("/{}", kind.replace("NS", &scene.ns.name));
            let all: Value = scene.ns.client.request(http::Request::get(path).body(Vec::new())?).await?;
            ensure!(!all["items"].as_array().context("no list")?.is_empty(), "there are no {kind}");
            ensure!(!all.to_string().contains(SECRET), "it stands in {all:#}");
        }
        let log = scene.operator.logs().join("\n");
        ensure!(!log.contains(SECRET), "it stands in the log: {log}");
        scene.aftermath().await
    })
    .await
}

/// An Issuer with this server and no other settings that matter.
fn issuer_at(name: &str, server: &str) -> String {
    of_issuer(name, &common::issuer(server, "", "")).replace("    caBundle: \n", "")
}

/// Waits until an Issuer is not ready, and returns the message.
async fn refused(ns: &TestNamespace, name: &str) -> Result<String> {
    let not_ready = |object: &Value| condition(object, "Ready").is_some_and(|(status, ..)| status == "False");
    let issuer = ns.wait(&format!("issuer/{name}"), SOON, not_ready).await?;
    Ok(condition(&issuer, "Ready").context("no condition")?.2)
}

/// Listens where nobody may connect.
struct Trap {
    port: u16,
    udp: StdUdpSocket,
    sprung: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Trap {
    async fn on_loopback() -> Result<Self> {
        // IPv4-mapped addresses and all of 127.0.0.0/8 lead here.
        Self::at("0.0.0.0", ports::free("127.0.0.1")?).await
    }

    async fn at(ip: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((ip, port)).await?;
        let udp = StdUdpSocket::bind((ip, port))?;
        udp.set_read_timeout(Some(Duration::from_millis(1)))?;
        let sprung = Arc::new(AtomicUsize::new(0));
        let (count, mut tasks) = (sprung.clone(), JoinSet::new());
        tasks.spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(Self { port, udp, sprung, _tasks: tasks })
    }

    fn is_untouched(&self) -> Result<()> {
        let sprung = self.sprung.load(Ordering::SeqCst);
        ensure!(sprung == 0, "{sprung} connections were made");
        ensure!(self.udp.recv(&mut [0; 512]).is_err(), "a datagram came");
        Ok(())
    }
}

/// A service within the cluster that answers all requests in the same way.
struct Service {
    url: String,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Service {
    async fn answering(status: u16, content_type: &str, body: &str) -> Result<Self> {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Such\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        Self::at("192.0.2.10", 0, move |_| answer.clone()).await
    }

    /// The path determines the answer.
    async fn at(
        ip: &str,
        port: u16,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = match port {
            0 => ports::listen(ip)?,
            port => TcpListener::bind((ip, port)).await?,
        };
        let url = format!("http://{}/", listener.local_addr()?);
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, mut tasks) = (asked.clone(), JoinSet::new());
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let whole = answer(path);
                let sent = match request.starts_with("HEAD") {
                    true => whole.split_inclusive("\r\n\r\n").next().unwrap_or_default(),
                    false => &whole,
                };
                let _ = stream.write_all(sent.as_bytes()).await;
            }
        });
        Ok(Self { url, asked, _tasks: tasks })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

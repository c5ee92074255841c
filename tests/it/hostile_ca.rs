//! The answers of a CA, a provider or a name server are bounded: one that sends too much affects only the Issuer that names it,
//! and the operator's memory stays within the chart's limit.

mod provider;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::dns::{self, http_request};
use crate::common::faults::{change_json, path, refusal, requests_to};
use crate::common::hostile::Scene;
use crate::common::{CLUSTER_ISSUERS, HTTP01, SOON, certificate, condition, issuer, of_issuer, wait_all};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Address, Bind, Cluster, FakeClock, Proxy, Reply, Resolver, ScriptedProvider, Zone};
use futures::future::try_join_all;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// A larger answer than any CA needs.
const FAT: usize = 900_000;
/// Longer than the operator waits for an answer.
const LONGER_THAN_AN_ANSWER: Duration = Duration::from_secs(60);
/// The number of authorizations of the order that has too many.
const MANY: usize = 400;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a hostile CA does with a request that is meant for a real one.
type Script = fn(&RequestInfo) -> Action;

#[tokio::test]
async fn a_ca_that_answers_without_measure_harms_only_its_own_issuer() -> Result<()> {
    Scene::with("measure", async |scene| {
        let directories: [(&str, Script, &str); 3] = [
            ("long", |_| respond("x".repeat(10 << 20)), "it is longer than 64 KiB"),
            ("headers", fat_headers, "its headers are longer than 32 KiB"),
            (
                "urls",
                |_| {
                    respond(r#"{"newNonce":"file:///etc/passwd","newAccount":"x","newOrder":"x"}"#.to_owned())
                },
                "its newNonce URL is not an http or https URL",
            ),
        ];
        let orders: [(&str, Script, &str); 7] = [
            (
                "many",
                many_fat_authorizations,
                "an order with 400 authorizations for 1 name; none of them was read",
            ),
            (
                "fat",
                |request| at(request, path::AUTHORIZATION, || respond(fat())),
                "it is longer than 64 KiB",
            ),
            (
                "token",
                |request| at(request, path::AUTHORIZATION, climbing_token),
                "22 to 256 characters of the base64url",
            ),
            (
                "stranger",
                |request| {
                    at(request, path::AUTHORIZATION, || {
                        change_json(|authz| authz["identifier"]["value"] = json!("victim.test"))
                    })
                },
                "The CA requires validation of \"victim.test\", which the Certificate does not list",
            ),
            (
                "other",
                |request| {
                    at(request, path::NEW_ORDER, || {
                        change_json(|order| order["identifiers"][0]["value"] = json!("victim.test"))
                    })
                },
                "The CA created an order for names other than those requested",
            ),
            (
                "chain",
                |request| {
                    at(request, path::CERTIFICATE, || {
                        Action::ReplaceBody(Box::new(|pem: Bytes| pem.repeat(20).into()))
                    })
                },
                "certificates, but at most 10 are accepted",
            ),
            ("subproblems", |request| at(request, path::NEW_ORDER, subproblems), "one of many"),
        ];
        let slow = ports(trickle).await?;
        scene.apply(&at_server("slow", &slow.url, "")).await?;
        let directories = directories.map(async |(name, script, words)| {
            let proxy = mallorys_ca(scene, name, script).await?;
            not_ready(scene, name, "AnswerRefused", words).await?;
            anyhow::Ok(proxy)
        });
        let orders = orders.map(async |(name, script, words)| {
            let proxy = mallorys_ca(scene, name, script).await?;
            scene.ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON).await?;
            let host = format!("{name}.{}.example.com", scene.ns.name);
            scene.apply(&of_issuer(name, &certificate(name, &[&host], ""))).await?;
            let failed = |object: &Value| {
                condition(object, "Issuing")
                    .is_some_and(|(status, _, message)| status == "False" && message.contains(words))
            };
            let failed = scene.ns.wait(&format!("certificate/{name}"), SOON, failed).await;
            failed.with_context(|| format!("{name} did not fail with {words:?}"))?;
            anyhow::Ok((name, proxy))
        });
        let (proxies, ()) = futures::try_join!(try_join_all(orders), async {
            try_join_all(directories).await?;
            not_ready(scene, "slow", "CAUnavailable", "in time").await
        })?;
        wait_all::<Ingress>(&scene.ns, HTTP01, <[_]>::is_empty).await?;
        alternates_without_end(scene).await?;
        for (name, proxy) in &proxies {
            let orders = requests_to(proxy, path::NEW_ORDER).len();
            ensure!(orders == 1, "{name}: {orders} orders");
            ensure!(requests_to(proxy, "/fat/").is_empty(), "{name}: an authorization too many was read");
        }
        scene.aftermath().await
    })
    .await
}

/// A CA says that each chain has hundreds of alternates, and none is the preferred one: ten are read, and the certificate is
/// issued.
async fn alternates_without_end(scene: &Scene<'_>) -> Result<()> {
    let name = "alternates";
    let script: Script = |request| {
        let url = format!("https://{}{}", host(request), request.path);
        let link = format!("<{url}>;rel=\"alternate\"");
        at(request, path::CERTIFICATE, || Action::AddHeaders(vec![("link", vec![link; 200].join(","))]))
    };
    let proxy = mallorys_ca(scene, name, script).await?;
    let wish = json!({ "spec": { "acme": { "preferredChain": "Nobody" } } });
    scene.mallory.patch(&format!("issuer/{name}"), wish).await?;
    let host = format!("{name}.{}.example.com", scene.ns.name);
    scene.apply(&of_issuer(name, &certificate(name, &[&host], ""))).await?;
    scene.ns.wait_condition(&format!("certificate/{name}"), "Ready", "True", SOON).await?;
    let chains = requests_to(&proxy, path::CERTIFICATE).len();
    ensure!((2..=11).contains(&chains), "{chains} chains were downloaded");
    Ok(())
}

/// A CA that never issues the certificate, and does not say when the order expires.
#[tokio::test]
async fn an_order_without_end_is_given_up() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let clock = FakeClock::fast(&cluster, 1)?;
    Scene::with_operator(
        "endless",
        |operator| operator.clock(&clock),
        async |scene| {
            let endless: Script = |request| match request.path.as_str() {
                path if path.starts_with(path::FINALIZE) || path.starts_with(path::ORDER) => {
                    change_json(|order| {
                        order["expires"].take();
                        if order["status"] == "valid" {
                            order["status"] = json!("processing");
                        }
                    })
                }
                path::NEW_ORDER => change_json(|order| drop(order["expires"].take())),
                _ => Action::Pass,
            };
            let proxy = mallorys_ca(scene, "endless", endless).await?;
            let host = format!("endless.{}.example.com", scene.ns.name);
            scene.apply(&of_issuer("endless", &certificate("endless", &[&host], ""))).await?;
            let target = "certificate/endless";
            let reads = "The CA is issuing the certificate";
            let issuing = |words: &'static str| {
                move |object: &Value| {
                    condition(object, "Issuing").is_some_and(|(_, _, message)| message.contains(words))
                }
            };
            scene.ns.wait(target, SOON, issuing(reads)).await?;
            clock.leap(DAY * 8)?;
            let given_up = "The CA has not completed the order within 7 days, so it is abandoned";
            scene.ns.wait(target, SOON, issuing(given_up)).await?;
            let orders = requests_to(&proxy, path::NEW_ORDER).len();
            ensure!(orders == 1, "{orders} orders");
            scene.aftermath().await
        },
    )
    .await
}

#[tokio::test]
async fn six_hundred_issuers_with_servers_of_their_own_do_not_grow_the_operator() -> Result<()> {
    Scene::with("servers", async |scene| {
        let good = ports(good_directory).await?;
        let tls = Proxy::start(&scene.bystander.cluster, &scene.pebble.address).await?;
        let issuers = (0..600).map(|number| {
            // Those that fail are retried, and their status is written: there must be few of them, since writes are counted.
            let (server, more) = match number % 20 {
                // No root of the system has signed its certificate.
                0 => (format!("{}/{number}", tls.url), ""),
                1 => (format!("{}/{number}", tls.url), "    skipTLSVerify: true\n"),
                _ => (format!("{}/{number}", good.url), ""),
            };
            at_server(&format!("number-{number}"), &server, more)
        });
        let issuers: Vec<String> = issuers.collect();
        for some in issuers.chunks(100) {
            scene.apply(&some.join("\n---\n")).await?;
        }
        let told = async {
            // So many watches would cost more than repeated reads.
            let mut again = interval(Duration::from_secs(1));
            loop {
                again.tick().await;
                let list = format!("/apis/certwright.dev/v1alpha1/namespaces/{}/issuers", scene.ns.name);
                let list: Value = scene.ns.client.request(http::Request::get(list).body(Vec::new())?).await?;
                let items = list["items"].as_array().context("no list")?;
                if items.iter().filter(|issuer| condition(issuer, "Ready").is_some()).count() == issuers.len()
                {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(LONGER_THAN_AN_ANSWER * 2, told).await.context("not every Issuer was looked at")??;
        scene.memory_is_bounded()?;
        scene.aftermath().await
    })
    .await
}

/// An Issuer with a server whose certificate must chain to the system's roots.
fn at_server(name: &str, server: &str, more: &str) -> String {
    of_issuer(name, &issuer(server, "", more)).replace("    caBundle: \n", "")
}

/// An Issuer of the attacker with a CA that does what the script says.
async fn mallorys_ca(scene: &Scene<'_>, name: &str, script: Script) -> Result<Proxy> {
    let proxy = Proxy::start(&scene.bystander.cluster, &scene.pebble.address).await?;
    proxy.script(script);
    let directory = format!("{}{}", proxy.url, path::DIRECTORY);
    scene.apply(&of_issuer(name, &issuer(&directory, &scene.pebble.ca_pem, ""))).await?;
    Ok(proxy)
}

async fn not_ready(scene: &Scene<'_>, name: &str, reason: &str, words: &str) -> Result<()> {
    let told = |object: &Value| {
        condition(object, "Ready").is_some_and(|(status, found, message)| {
            status == "False" && found == reason && message.contains(words)
        })
    };
    let told = scene.ns.wait(&format!("issuer/{name}"), LONGER_THAN_AN_ANSWER, told).await;
    told.map(drop).with_context(|| format!("{name} is not unready with {reason} and {words:?}"))
}

fn at(request: &RequestInfo, path: &str, answer: impl FnOnce() -> Action) -> Action {
    if request.path.starts_with(path) { answer() } else { Action::Pass }
}

/// The host of the operator's requests.
fn host(request: &RequestInfo) -> &str {
    request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default()
}

fn respond(body: String) -> Action {
    let headers = vec![("content-type", "application/json".to_owned())];
    Action::Respond { status: 200, headers, body }
}

fn fat() -> String {
    json!({ "status": "pending", "identifier": { "type": "dns", "value": "a.test" }, "padding": "x".repeat(FAT) }).to_string()
}

fn fat_headers(_: &RequestInfo) -> Action {
    Action::Respond { status: 200, headers: vec![("x-fat", "f".repeat(40 << 10))], body: "{}".to_owned() }
}

fn many_fat_authorizations(request: &RequestInfo) -> Action {
    let host = host(request);
    let urls: Vec<String> = (0..MANY).map(|number| format!("https://{host}/fat/{number}")).collect();
    match request.path.as_str() {
        path if path.starts_with("/fat/") => respond(fat()),
        path if path == path::NEW_ORDER || path.starts_with(path::ORDER) => {
            change_json(move |order| order["authorizations"] = json!(urls))
        }
        _ => Action::Pass,
    }
}

fn climbing_token() -> Action {
    change_json(|authorization| {
        for challenge in authorization["challenges"].as_array_mut().into_iter().flatten() {
            challenge["token"] = json!(format!("../../../{}", "a".repeat(30)));
        }
    })
}

fn subproblems() -> Action {
    let subproblem =
        json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "one of many \u{1f525}" });
    let problem =
        json!({ "type": "urn:ietf:params:acme:error:malformed", "subproblems": vec![subproblem; 600] });
    refusal(400, &problem)
}

/// A server on a free port; it is stopped when this is dropped.
struct Server {
    url: String,
    _tasks: JoinSet<()>,
}

/// Handles each connection with `handle`, over plain HTTP.
async fn ports<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    handle: fn(TcpStream, String) -> F,
) -> Result<Server> {
    let listener: TcpListener = certwright_cluster::ports::listen(certwright_cluster::ADDRESS)?;
    let url = format!("http://{}", listener.local_addr()?);
    let (mut tasks, base) = (JoinSet::new(), url.clone());
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(handle(stream, base.clone()));
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(Server { url, _tasks: tasks })
}

/// Sends a byte from time to time, without end.
async fn trickle(mut stream: TcpStream, _: String) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096]).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n{").await?;
    let mut again = interval(Duration::from_millis(500));
    loop {
        again.tick().await;
        stream.write_all(b" ").await?;
    }
}

/// A CA with a directory of 60 KiB, which registers everybody.
async fn good_directory(mut stream: TcpStream, base: String) -> std::io::Result<()> {
    let mut request = vec![0; 16 << 10];
    let mut length = 0;
    loop {
        let read = stream.read(&mut request[length..]).await?;
        length += read;
        let text = String::from_utf8_lossy(&request[..length]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 { return Ok(()) } else { continue }
        };
        let announced = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() < announced.unwrap_or(0) {
            continue;
        }
        let (status, body) = match head.split(' ').nth(1).unwrap_or_default() {
            "/nonce" => ("200 OK", String::new()),
            "/account" => ("201 Created", json!({ "status": "valid" }).to_string()),
            _ => {
                let directory = json!({
                    "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"),
                    "newOrder": format!("{base}/order"), "padding": "x".repeat(60_000),
                });
                ("200 OK", directory.to_string())
            }
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nreplay-nonce: {}\r\nlocation: {base}/account/1\r\ncontent-length: {}\r\n\r\n{body}",
            "n".repeat(40),
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        length = 0;
    }
}

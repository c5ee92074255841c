//! The Gateway API in the tests' cluster, and how the router follows it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certwright_cluster::{
    ADDRESS, TestNamespace, ports,
    router::{self, CONTROLLER_NAME},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_router_takes_a_route_and_leads_where_it_says() -> Result<()> {
    TestNamespace::with("route", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let host = format!("web.{}.test", ns.name);
        backend(ns, "here").await?;
        ns.apply(&gateway(router::CLASS, "public", &json!({}))).await?;
        ns.wait_condition("gateway/public", "Programmed", "True", SOON).await?;
        ns.apply(&route("web", &json!([{"name": "public"}]), &host)).await?;
        let route = ns.wait("httproute/web", SOON, |route| route["status"]["parents"][0].is_object()).await?;
        let parents = route["status"]["parents"].as_array().context("no parents")?;
        assert_eq!(parents.len(), 1);
        assert_eq!(parents[0]["controllerName"], CONTROLLER_NAME);
        assert_eq!(
            said(&route, 0),
            [("Accepted", "True", "Accepted"), ("ResolvedRefs", "True", "ResolvedRefs")]
        );
        leads(&host, "/exact", "here").await?;
        leads(&host, "/prefix/below", "here").await?;
        assert_eq!(get(&host, "/exact/below").await?, None);
        assert_eq!(get(&format!("other.{host}"), "/exact").await?, None);

        ns.delete_object("httproute/web").await?;
        let gone = async {
            while get(&host, "/exact").await?.is_some() {}
            anyhow::Ok(())
        };
        tokio::time::timeout(SOON, gone).await.context("the router does not follow")?
    })
    .await
}

#[tokio::test]
async fn what_keeps_a_route_from_being_taken_is_said_and_taken_back() -> Result<()> {
    TestNamespace::with("refused", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let other = TestNamespace::create("refused-other").await?;
        let host = format!("web.{}.test", ns.name);
        other.apply(&gateway(router::CLASS, "closed", &json!({}))).await?;
        ns.apply(&gateway(router::CLASS, "elsewhere", &json!({"hostname": "example.org"}))).await?;
        ns.apply(&gateway(router::CLASS, "open", &json!({}))).await?;
        let parents = json!([
            {"name": "closed", "namespace": other.name},
            {"name": "elsewhere"},
            {"name": "open", "sectionName": "https"},
            {"name": "open", "sectionName": "http"},
            {"name": "missing"},
        ]);
        ns.apply(&route("web", &parents, &host)).await?;
        let four = |route: &Value| route["status"]["parents"].as_array().is_some_and(|all| all.len() == 4);
        let refused = ns.wait("httproute/web", SOON, four).await?;
        let accepted: Vec<_> = (0..4).map(|parent| said(&refused, parent)[0]).collect();
        assert_eq!(
            accepted,
            [
                ("Accepted", "False", "NotAllowedByListeners"),
                ("Accepted", "False", "NoMatchingListenerHostname"),
                ("Accepted", "False", "NoMatchingParent"),
                ("Accepted", "True", "Accepted"),
            ]
        );
        assert_eq!(said(&refused, 3)[1], ("ResolvedRefs", "False", "BackendNotFound"));
        assert_eq!(get(&host, "/exact").await?, None);

        backend(ns, "here").await?;
        let all = json!({"allowedRoutes": {"namespaces": {"from": "All"}}});
        other.apply(&gateway(router::CLASS, "closed", &all)).await?;
        ns.apply(&gateway(router::CLASS, "elsewhere", &json!({"hostname": "*.test"}))).await?;
        let taken = |route: &Value| {
            let said = [said(route, 0), said(route, 1), said(route, 3)].concat();
            said.len() == 6 && said.iter().all(|(_, status, _)| *status == "True")
        };
        ns.wait("httproute/web", SOON, taken).await?;
        leads(&host, "/exact", "here").await?;
        other.delete().await
    })
    .await
}

#[tokio::test]
async fn the_router_follows_a_gateway_api_that_goes_and_comes_again() -> Result<()> {
    TestNamespace::with("absent", async |ns| {
        let absent = ns.cluster.without_gateway_api().await?;
        let url = "/apis/gateway.networking.k8s.io/v1/httproutes";
        let list = async || {
            ns.client
                .request_text(http::Request::get(url).body(Vec::new())?)
                .await
                .map_err(anyhow::Error::from)
        };
        ensure!(list().await.is_err(), "the API server still knows HTTPRoutes");
        absent.install().await?;
        list().await?;
        let host = format!("web.{}.test", ns.name);
        backend(ns, "here").await?;
        ns.apply(&gateway(router::CLASS, "public", &json!({}))).await?;
        ns.apply(&route("web", &json!([{"name": "public"}]), &host)).await?;
        leads(&host, "/exact", "here").await
    })
    .await
}

/// A Gateway with a listener `http`.
fn gateway(class: &str, name: &str, listener: &Value) -> String {
    let mut http = json!({"name": "http", "port": 80, "protocol": "HTTP"});
    for (key, value) in listener.as_object().into_iter().flatten() {
        http[key] = value.clone();
    }
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name},
        "spec": {"gatewayClassName": class, "listeners": [http]},
    });
    gateway.to_string()
}

/// A route to the Service `answer`.
fn route(name: &str, parents: &Value, host: &str) -> String {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {
            "parentRefs": parents,
            "hostnames": [host],
            "rules": [{
                "matches": [
                    {"path": {"type": "Exact", "value": "/exact"}},
                    {"path": {"type": "PathPrefix", "value": "/prefix"}},
                ],
                "backendRefs": [{"name": "answer", "port": 8080}],
            }],
        },
    });
    route.to_string()
}

/// The conditions of a parent: type, status and reason of each.
fn said(route: &Value, parent: usize) -> Vec<(&str, &str, &str)> {
    let conditions = route["status"]["parents"][parent]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .filter_map(|one| Some((one["type"].as_str()?, one["status"].as_str()?, one["reason"].as_str()?)))
        .collect()
}

/// A Service `answer` that answers all requests with `text` until the test ends.
async fn backend(ns: &TestNamespace, text: &'static str) -> Result<()> {
    let port = ports::free(ADDRESS)?;
    let listener = TcpListener::bind((ADDRESS, port)).await?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
            let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
        }
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "answer"},
        "spec": {"ports": [{"name": "http", "port": 8080}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "answer", "labels": {"kubernetes.io/service-name": "answer"}},
        "addressType": "IPv4", "endpoints": [{"addresses": [ADDRESS]}], "ports": [{"name": "http", "port": port}],
    });
    ns.apply(&format!("{service}\n---\n{slice}")).await?;
    Ok(())
}

/// Waits until a path of a host is answered with `text`.
async fn leads(host: &str, path: &str, text: &str) -> Result<()> {
    let routed = async {
        while !get(host, path).await.is_ok_and(|answer| answer.as_deref() == Some(text)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, routed).await.context("the router does not follow")
}

/// The router's answer, if it has a route.
async fn get(host: &str, path: &str) -> Result<Option<String>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer = http.get(format!("http://{ADDRESS}{path}")).header("host", host).send().await?;
    Ok(if answer.status().is_success() { Some(answer.text().await?) } else { None })
}

//! Tests of the harness itself, which the operator's tests depend on. Run by `make test`.

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use certwright_cluster::{
    ADDRESS, ApiServerMetrics, INGRESS_CONTROLLER_ADDRESS, IngressController, Operator, Pebble, Proxy,
    RequestKind, StepCa, TestNamespace, ports,
    proxy::{self, Action},
    router,
};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_client_gets_a_certificate_from_pebble_through_the_router() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let pebble = Pebble::builder().start(&namespace.cluster).await?;
        let chain = order(namespace, &pebble.directory_url, &pebble.ca_pem).await?;
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(pebble.root_pem().await?.contains("BEGIN CERTIFICATE"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_gets_a_certificate_from_step_ca() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let ca = StepCa::start(&namespace.cluster).await?;
        let chain = order(namespace, &ca.directory_url, &ca.root_pem).await?;
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_proxy_keeps_the_acme_servers_urls_to_itself() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let pebble = Pebble::builder().start(&namespace.cluster).await?;
        let proxy = Proxy::start(&namespace.cluster, &pebble.address).await?;
        order(namespace, &format!("{}/dir", proxy.url), &pebble.ca_pem).await?;
        let finalized = |record: &proxy::Record| record.path.starts_with("/finalize-order/");
        proxy.wait_request(SECOND, finalized).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_proxy_does_what_its_script_says() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let proxy = Proxy::of_api_server(&namespace.cluster).await?;
        let ca = reqwest::Certificate::from_pem(namespace.cluster.ca()?.pem.as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).timeout(SECOND).build()?;
        let get = || async { http.get(format!("{}/version", proxy.url)).send().await };

        let whole = get().await?.text().await?;
        assert!(whole.contains("gitVersion"));

        proxy.script(|_| Action::Respond {
            status: 429,
            headers: vec![("retry-after", "7".into())],
            body: "slow down".into(),
        });
        let response = get().await?;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "7");

        for action in [|| Action::Drop, || Action::PassThenDrop] {
            proxy.script(move |_| action());
            let error = get().await.unwrap_err();
            assert!(!error.is_timeout(), "{error:?}");
        }
        proxy.script(|_| Action::Hang);
        assert!(get().await.unwrap_err().is_timeout());

        proxy.script(|_| Action::CutBody);
        assert!(get().await?.text().await.is_err());

        proxy.script(|_| Action::ReplaceBody(Box::new(|_| "other".into())));
        assert_eq!(get().await?.text().await?, "other");

        let called = Arc::new(AtomicBool::new(false));
        let note = called.clone();
        proxy.script(move |_| {
            let note = note.clone();
            Action::PassThen(Box::new(move || note.store(true, Ordering::Relaxed)))
        });
        assert_eq!(get().await?.text().await?, whole);
        assert!(called.load(Ordering::Relaxed));

        assert_eq!((proxy.reads(), proxy.writes()), (8, 0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stopped_pebble_refuses_connections_until_it_is_started_again() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let mut pebble = Pebble::builder().start(&namespace.cluster).await?;
        pebble.stop().await?;
        assert!(pebble.root_pem().await.is_err());
        pebble.start().await?;
        assert!(pebble.root_pem().await.is_ok());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wait_ends_with_the_change_it_waits_for_or_tells_what_it_saw() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let config = |value: &str| {
            format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: test}}, data: {{key: {value}}}}}")
        };
        namespace.apply(&config("old")).await?;
        let wait = namespace.wait("configmap/test", 5 * SECOND, |object| object["data"]["key"] == "new");
        let (changed, applied) = tokio::join!(wait, async {
            tokio::time::sleep(SECOND / 10).await;
            namespace.apply(&config("new")).await
        });
        applied?;
        assert_eq!(changed?["data"]["key"], "new");

        let error = namespace.wait("configmap/test", SECOND / 10, |_| false).await.unwrap_err().to_string();
        assert!(error.contains("not as wanted"), "{error}");
        namespace.delete_object("configmap/test").await?;
        namespace.wait_gone("configmap/test", 5 * SECOND).await
    })
    .await
}

#[tokio::test]
async fn an_operator_behind_a_proxy_is_killed_started_again_and_ended() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let proxy = Proxy::of_api_server(&namespace.cluster).await?;
        let operator = Operator::builder(namespace).api_server(&proxy.url).start().await?;
        assert!(operator.metrics().await?.contains("# TYPE"));
        assert!(operator.memory()? > 1_000_000);
        operator.cpu_time()?;
        let lists = |record: &proxy::Record| record.path.contains("/certificates?");
        proxy.wait_request(5 * SECOND, lists).await?;

        operator.kill9()?;
        assert!(!operator.is_running()?);
        operator.restart().await?;
        operator.terminate().await?;
        assert!(!operator.is_running()?);
        assert!(!operator.logs().is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn writes_to_the_api_server_are_counted() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let kind =
            RequestKind { verb: "APPLY".into(), resource: "limitranges".into(), subresource: "".into() };
        let count = async || {
            let writes = ApiServerMetrics::read(&namespace.client).await?.writes();
            anyhow::Ok(writes.get(&kind).copied().unwrap_or_default())
        };
        let before = count().await?;
        namespace
            .apply("{apiVersion: v1, kind: LimitRange, metadata: {name: test}, spec: {limits: []}}")
            .await?;
        assert_eq!(count().await?, before + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_real_ingress_controller_routes_to_the_endpoints_of_a_selectorless_service() -> Result<()> {
    TestNamespace::with("smoke", async |namespace| {
        let _controller = IngressController::start(&namespace.cluster).await?;
        let host = format!("{}.example.com", namespace.name);
        let text = "from behind the ingress";
        let port = answer(text.into())?;
        publish(namespace, IngressController::CLASS, &host, port).await?;
        wait_routed(INGRESS_CONTROLLER_ADDRESS, &host, text).await
    })
    .await
}

/// Orders a certificate for a name of this namespace, like the operator: with an Ingress and a Service without a selector, whose
/// EndpointSlice points here.
async fn order(namespace: &TestNamespace, directory: &str, ca_pem: &str) -> Result<String> {
    let ca_file = namespace.cluster.description.state.join(format!("{}.ca.crt", namespace.name));
    std::fs::write(&ca_file, ca_pem)?;
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let (account, _) = Account::builder_with_root(&ca_file)?.create(&new, directory.into(), None).await?;
    let host = format!("{}.example.com", namespace.name);
    let mut order = account.new_order(&NewOrder::new(&[Identifier::Dns(host.clone())])).await?;

    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(ChallengeType::Http01).context("no http-01 challenge")?;
        let text = challenge.key_authorization().as_str().to_owned();
        let port = answer(text.clone())?;
        publish(namespace, router::CLASS, &host, port).await?;
        wait_routed(ADDRESS, &host, &text).await?;
        challenge.set_ready().await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    ensure!(status == OrderStatus::Ready, "the order is {status:?}");
    order.finalize().await?;
    Ok(order.poll_certificate(&RetryPolicy::default()).await?)
}

/// Answers all HTTP requests with `text`, and returns the port.
fn answer(text: String) -> io::Result<u16> {
    let port = ports::free(ADDRESS)?;
    let listener = TcpListener::bind((ADDRESS, port))?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
            let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
        }
    });
    Ok(port)
}

/// Routes a host to one of our ports.
async fn publish(namespace: &TestNamespace, class: &str, host: &str, port: u16) -> Result<()> {
    let objects = format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: answer}}
spec:
  ports: [{{name: http, port: 8080}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: answer
  labels: {{kubernetes.io/service-name: answer}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: ["{ADDRESS}"]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
# EasyHAProxy cannot do without annotations, nor with a port that is given by name.
metadata: {{name: answer, annotations: {{easyhaproxy.balance: roundrobin}}}}
spec:
  ingressClassName: {class}
  rules:
  - host: {host}
    http:
      paths:
      - path: /.well-known/acme-challenge/
        pathType: Prefix
        backend: {{service: {{name: answer, port: {{number: 8080}}}}}}
"#
    );
    namespace.apply(&objects).await?;
    Ok(())
}

/// Waits until the answer arrives: before that, an ingress controller may show its own welcome page.
async fn wait_routed(address: &str, host: &str, text: &str) -> Result<()> {
    let url = format!("http://{address}/.well-known/acme-challenge/any");
    let http = reqwest::Client::builder().no_proxy().build()?;
    let routed = async {
        let get = async || http.get(&url).header("host", host).send().await?.text().await;
        while !get().await.is_ok_and(|answer| answer == text) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(10 * SECOND, routed).await.context("the ingress does not follow")
}

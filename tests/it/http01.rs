//! http-01: the objects that lead to an answer, the self-check, and the messages about both.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

mod self_check;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::common::faults::{event, issuing, ready_behind_proxy, steady};
use crate::common::http01::{hold, host, ingresses, nothing_is_left, ours, presented};
use crate::common::{SOON, certificate, issued, issuer, stays_as_it_is};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{
    ADDRESS, INGRESS_CONTROLLER_ADDRESS, IngressController, Operator, Pebble, TestNamespace, ports,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn an_ingress_a_service_and_a_slice_lead_to_the_operator_and_go_once_issued() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        let (_pebble, operator) = with_solver(ns, "{ ingressClassName: router }").await?;
        let names = [host(ns, "a"), host(ns, "b")];
        let held = hold(ns, &names[0]).await?;
        ns.apply(&certificate("web", &[&names[0], &names[1]], "")).await?;
        let web = presented(ns, "web").await?;
        let uid = web["metadata"]["uid"].as_str().context("no uid")?;

        let [ingress] = &ingresses(ns).await?[..] else { anyhow::bail!("not one Ingress") };
        assert_eq!(ingress.labels()["certwright.dev/http01"], "true");
        assert_eq!(ingress.labels()["certwright.dev/certificate-uid"], uid);
        assert_eq!(ingress.labels()["app.kubernetes.io/managed-by"], "certwright");
        let [owner] = ingress.owner_references() else { anyhow::bail!("not one owner") };
        assert_eq!(
            (owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()),
            ("Certificate", "web", uid)
        );
        assert_eq!(owner.controller, Some(true));
        let spec = ingress.spec.as_ref().context("no spec")?;
        assert_eq!(spec.ingress_class_name.as_deref(), Some("router"));
        let challenges = web["status"]["challenges"].as_array().context("no challenges")?;
        let rules = spec.rules.as_deref().unwrap_or_default();
        assert_eq!(rules.len(), 2);
        for (rule, challenge) in rules.iter().zip(challenges) {
            assert_eq!(rule.host.as_deref(), challenge["name"].as_str());
            let paths = rule.http.as_ref().map(|http| http.paths.as_slice()).unwrap_or_default();
            let [path] = paths else { anyhow::bail!("not one path: {paths:?}") };
            let token = challenge["token"].as_str().context("no token")?;
            assert_eq!(path.path.as_deref(), Some(&*format!("/.well-known/acme-challenge/{token}")));
            assert_eq!(path.path_type, "Exact");
            let backend = path.backend.service.as_ref().context("no service")?;
            assert_eq!(backend.name, "certwright-http01");
        }

        let service = ns.api::<Service>().get("certwright-http01").await?;
        assert_eq!(service.labels()["certwright.dev/http01"], "true");
        let spec = service.spec.as_ref().context("no spec")?;
        assert_eq!((spec.type_.as_deref(), &spec.selector), (Some("ClusterIP"), &None));
        let (address, port) = operator.responder.rsplit_once(':').context("no port")?;
        let slices = ns.api::<EndpointSlice>().list(&ours()).await?.items;
        let [slice] = &slices[..] else { anyhow::bail!("not one slice: {slices:?}") };
        assert_eq!(slice.labels()["kubernetes.io/service-name"], "certwright-http01");
        assert_eq!(slice.endpoints[0].addresses, [address]);
        let slice_port = slice.ports.as_ref().and_then(|ports| ports.first()?.port);
        assert_eq!(slice_port, port.parse().ok());

        held.let_go().await?;
        issued(ns, "web").await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn after_a_failure_nothing_of_it_is_left() -> Result<()> {
    TestNamespace::with("failure", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--http01-self-check-timeout", "1s").start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        let name = host(ns, "refused");
        let _held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let (failed, message) = issuing(ns, "web", "Connection").await?;
        ensure!(message.contains("urn:ietf:params:acme:error:connection"), "the CA's words: {message}");
        ensure!(message.contains("refused the connection"), "and what the self-check saw: {message}");
        let (_, note) = event(ns, "web", "Connection").await?;
        ensure!(note.contains("urn:ietf:params:acme:error:connection"), "{note}");
        assert_eq!(failed["status"]["challenges"], Value::Null);
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn the_responder_answers_the_tokens_that_are_pending_and_no_others() -> Result<()> {
    TestNamespace::with("responder", async |ns| {
        let (_pebble, operator) = with_solver(ns, "{ ingressClassName: router }").await?;
        let name = host(ns, "web");
        let held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let web = presented(ns, "web").await?;
        let token = web["status"]["challenges"][0]["token"].as_str().context("no token")?;
        let acme = ns.get("issuer/ca").await?.context("no Issuer")?["status"]["acme"].clone();
        let thumbprint = acme["keyThumbprint"].as_str().context("no thumbprint")?;

        let get = async |path: String| {
            let response = reqwest::get(format!("http://{}{path}", operator.responder)).await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.text().await?))
        };
        let challenge = |token: &str| format!("/.well-known/acme-challenge/{token}");
        assert_eq!(get(challenge(token)).await?, (200, format!("{token}.{thumbprint}")));
        for path in [challenge("unknown"), challenge(""), format!("/{token}"), "/".to_owned()] {
            let (status, body) = get(path.clone()).await?;
            assert_eq!(status, 404, "{path}");
            ensure!(!body.contains(thumbprint), "{path} is answered with {body}");
        }
        held.let_go().await?;
        issued(ns, "web").await?;
        assert_eq!(get(challenge(token)).await?.0, 404, "it is not pending any more");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_ingress_of_the_class_annotation_leads_there_too() -> Result<()> {
    TestNamespace::with("class", async |ns| {
        let (_pebble, _operator) = with_solver(ns, "{ class: router }").await?;
        let name = host(ns, "web");
        let held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        presented(ns, "web").await?;
        let [ingress] = &ingresses(ns).await?[..] else { anyhow::bail!("not one Ingress") };
        assert_eq!(ingress.annotations()["kubernetes.io/ingress.class"], "router");
        assert_eq!(ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref()), None);
        held.let_go().await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_port_service_and_metadata_for_the_ingress_are_made_as_asked_for() -> Result<()> {
    TestNamespace::with("node-port", async |ns| {
        let solver = "{ ingressClassName: router, serviceType: NodePort, ingressTemplate: { metadata: { \
                      labels: { team: web }, annotations: { example.com/timeout: 5s } } } }";
        let (_pebble, _operator) = with_solver(ns, solver).await?;
        let name = host(ns, "web");
        let held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        presented(ns, "web").await?;
        let [ingress] = &ingresses(ns).await?[..] else { anyhow::bail!("not one Ingress") };
        assert_eq!(ingress.labels()["team"], "web");
        assert_eq!(ingress.annotations()["example.com/timeout"], "5s");
        let service = ns.api::<Service>().get("certwright-http01-nodeport").await?;
        let spec = service.spec.context("no spec")?;
        assert_eq!(spec.type_.as_deref(), Some("NodePort"));
        ensure!(spec.ports.iter().flatten().all(|port| port.node_port.is_some()), "{:?}", spec.ports);
        held.let_go().await?;
        issued(ns, "web").await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn each_name_goes_through_the_solver_that_selects_it() -> Result<()> {
    TestNamespace::with("solvers", async |ns| {
        let [plain, special] = [host(ns, "plain"), host(ns, "special")];
        let template = |solver: &str| {
            format!("ingressClassName: router, ingressTemplate: {{ metadata: {{ labels: {{ solver: {solver} }} }} }}")
        };
        let solvers = format!(
            "solvers:\n    - http01: {{ ingress: {{ {} }} }}\n    \
             - selector: {{ dnsNames: [{special}] }}\n      http01: {{ ingress: {{ {} }} }}\n    \
             - selector: {{ matchLabels: {{ team: a }} }}\n      http01: {{ ingress: {{ {} }} }}\n",
            template("any"),
            template("by-name"),
            template("by-label")
        );
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let any = "solvers: [{ http01: { ingress: { ingressClassName: router } } }]\n";
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "").replace(any, &solvers)).await?;
        let held = [hold(ns, &plain).await?, hold(ns, &special).await?];
        let labelled = |yaml: String| yaml.replace("{ name: labelled }", "{ name: labelled, labels: { team: a } }");
        ns.apply(&certificate("unlabelled", &[&plain, &special], "")).await?;
        ns.apply(&labelled(certificate("labelled", &[&plain, &special], ""))).await?;
        let mut seen = Vec::new();
        for name in ["unlabelled", "labelled"] {
            let uid = presented(ns, name).await?["metadata"]["uid"].as_str().context("no uid")?.to_owned();
            for ingress in ingresses(ns).await? {
                if ingress.labels()["certwright.dev/certificate-uid"] != uid {
                    continue;
                }
                for rule in ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten()) {
                    seen.push((name, rule.host.clone().unwrap_or_default(), ingress.labels()["solver"].clone()));
                }
            }
        }
        seen.sort();
        let expected = [
            ("labelled", &plain, "by-label"),
            ("labelled", &special, "by-name"),
            ("unlabelled", &plain, "any"),
            ("unlabelled", &special, "by-name"),
        ];
        assert_eq!(seen, expected.map(|(name, host, solver)| (name, host.clone(), solver.to_owned())));
        for held in held {
            held.let_go().await?;
        }
        issued(ns, "labelled").await?;
        issued(ns, "unlabelled").await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_certificate_is_issued_through_a_real_ingress_controller() -> Result<()> {
    TestNamespace::with("real", async |ns| {
        let _controller = IngressController::start(&ns.cluster).await?;
        let solver = format!("{{ ingressClassName: {} }}", IngressController::CLASS);
        let (_pebble, _operator) = with_solver(ns, &solver).await?;
        let name = host(ns, "web");
        ns.cluster.dns()?.set_a(&name, &[INGRESS_CONTROLLER_ADDRESS]).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        nothing_is_left(ns).await
    })
    .await
}

/// A CA and an operator, and an Issuer `ca` with one solver that has this `http01.ingress`.
async fn with_solver(ns: &TestNamespace, ingress: &str) -> Result<(Pebble, Operator)> {
    let pebble = steady().start(&ns.cluster).await?;
    let operator = Operator::builder(ns).start().await?;
    ns.apply(&solving(&pebble, ingress)).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok((pebble, operator))
}

/// An Issuer `ca` with one solver that has this `http01.ingress`.
fn solving(pebble: &Pebble, ingress: &str) -> String {
    issuer(&pebble.directory_url, &pebble.ca_pem, "").replace("{ ingressClassName: router }", ingress)
}

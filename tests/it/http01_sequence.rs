//! In which order what leads to an http-01 answer comes and goes. Ingress controllers report a route without a Service or
//! endpoints as an error, so a route comes last and goes first.

use std::sync::Arc;

use crate::common::faults::steady;
use crate::common::http01::{ENTRANCES, hold, host, nothing_is_left, presented};
use crate::common::{SOON, certificate, dns, issued, wait_nothing_presented};
use anyhow::{Result, ensure};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{GatewayApi, Operator, Pebble, Proxy, TestNamespace};
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

#[tokio::test]
async fn routes_come_after_the_service_and_its_endpoints_and_go_before_them() -> Result<()> {
    TestNamespace::with("sequence", async |ns| {
        let scene = Scene::start(ns).await?;
        ns.apply(&certificate("web", &scene.names(), "")).await?;
        issued(ns, "web").await?;
        nothing_is_left(ns).await?;

        let moments = scene.moments();
        shared_objects_come_first(&moments, &[Target::Ingress, Target::Route, Target::Shop])?;
        before(&moments, &(Method::PATCH, Target::Shop), &(Method::DELETE, Target::Service))?;
        shared_objects_go_last(&moments)?;
        for target in [Target::Service, Target::Slice, Target::Ingress, Target::Route] {
            let asked = |method: Method| {
                moments.iter().filter(|one| **one == Moment::Asked((method.clone(), target))).count()
            };
            // A slice is garbage-collected.
            let deletions = usize::from(target != Target::Slice);
            assert_eq!(
                (asked(made(target).0), asked(Method::DELETE)),
                (1, deletions),
                "{target:?}: {moments:#?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_routes_of_a_deleted_certificate_go_before_the_service_too() -> Result<()> {
    TestNamespace::with("sequence", async |ns| {
        let scene = Scene::start(ns).await?;
        // No finalizer holds it: routes of its own go with it.
        let [own, routed, _] = scene.names();
        let _held = [hold(ns, own).await?, hold(ns, routed).await?];
        ns.apply(&certificate("web", &[own, routed], "")).await?;
        presented(ns, "web").await?;
        ns.delete_object("certificate/web").await?;
        wait_nothing_presented(ns).await?;

        let moments = scene.moments();
        shared_objects_come_first(&moments, &[Target::Ingress, Target::Route])?;
        shared_objects_go_last(&moments)
    })
    .await
}

fn shared_objects_come_first(moments: &[Moment], routes: &[Target]) -> Result<()> {
    before(moments, &made(Target::Service), &made(Target::Slice))?;
    routes.iter().try_for_each(|route| before(moments, &made(Target::Slice), &made(*route)))
}

fn shared_objects_go_last(moments: &[Moment]) -> Result<()> {
    let last = (Method::DELETE, Target::Service);
    [Target::Ingress, Target::Route]
        .into_iter()
        .try_for_each(|route| before(moments, &(Method::DELETE, route), &last))
}

/// All of the first writes were answered when the second was asked for.
fn before(moments: &[Moment], first: &Write, second: &Write) -> Result<()> {
    let answered = moments.iter().rposition(|one| *one == Moment::Answered(first.clone()));
    let asked = moments.iter().position(|one| *one == Moment::Asked(second.clone()));
    let (Some(answered), Some(asked)) = (answered, asked) else {
        anyhow::bail!("there should be {first:?} and {second:?}: {moments:#?}")
    };
    ensure!(answered < asked, "{second:?} was asked for before {first:?} was answered: {moments:#?}");
    Ok(())
}

/// A CA and an operator, and an Issuer `ca` with a solver for each way to an answer.
struct Scene {
    names: [String; 3],
    log: Arc<Mutex<Vec<Moment>>>,
    _pebble: Pebble,
    _operator: Operator,
    _api: Proxy,
    _gateway_api: GatewayApi,
}

/// The operator asked the API server for a write, or was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Moment {
    Asked(Write),
    Answered(Write),
}

type Write = (Method, Target);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Service,
    Slice,
    /// A temporary Ingress.
    Ingress,
    Route,
    /// The Ingress of somebody else.
    Shop,
}

/// The write that makes a target what it has to be.
fn made(target: Target) -> Write {
    let method = if target == Target::Ingress { Method::POST } else { Method::PATCH };
    (method, target)
}

fn write(request: &RequestInfo) -> Option<Write> {
    let is_write = !request.method.is_safe() && !request.path.contains("/status");
    let target = match &request.path {
        path if path.contains("/ingresses/shop") => Target::Shop,
        path if path.contains("/ingresses") => Target::Ingress,
        path if path.contains("/httproutes") => Target::Route,
        path if path.contains("/endpointslices") => Target::Slice,
        path if path.contains("/services") => Target::Service,
        _ => return None,
    };
    is_write.then(|| (request.method.clone(), target))
}

impl Scene {
    async fn start(ns: &TestNamespace) -> Result<Self> {
        let gateway_api = ns.cluster.gateway_api().await?;
        ns.apply(ENTRANCES).await?;
        let pebble = steady().start(&ns.cluster).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        api.script(move |request| {
            let Some(write) = write(request) else { return Action::Pass };
            kept.lock().push(Moment::Asked(write.clone()));
            let kept = kept.clone();
            Action::PassThen(Box::new(move || kept.lock().push(Moment::Answered(write))))
        });
        let operator = Operator::builder(ns).api_server(&api.url).start().await?;
        let names = ["own", "routed", "edited"].map(|name| host(ns, name));
        let selecting =
            |name: &String, http01: Value| json!({ "selector": { "dnsNames": [name] }, "http01": http01 });
        let solvers = json!([
            selecting(&names[0], json!({ "ingress": { "ingressClassName": "router" } })),
            selecting(&names[1], json!({ "gatewayHTTPRoute": { "parentRefs": [{ "name": "public" }] } })),
            selecting(&names[2], json!({ "ingress": { "name": "shop" } })),
        ]);
        ns.apply(&dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(Self { names, log, _pebble: pebble, _operator: operator, _api: api, _gateway_api: gateway_api })
    }

    fn names(&self) -> [&str; 3] {
        self.names.each_ref().map(String::as_str)
    }

    fn moments(&self) -> Vec<Moment> {
        self.log.lock().clone()
    }
}

//! Is `certwright-dns` served, if an issuer needs it?

use http::{Request, StatusCode};
use kube::client::Body;

use super::Finding;
use super::install::Operator;
use super::issuers::called;
use crate::command::Cluster;
use crate::command::error::words;
use crate::controller::issuer_record::IssuerRecord;
use certwright_api::Solver;
use certwright_api::bounds::is_object_name;
use certwright_solver::dns01::Unserved;
use certwright_solver::dns01::services::{self, DEFAULT_GROUP};

/// The finding, unless no issuer needs it.
pub(super) async fn finding(
    cluster: &Cluster,
    issuers: &[IssuerRecord],
    operator: &Operator,
) -> Option<Finding> {
    let group = operator.setting("--dns-webhook-group", "CERTWRIGHT_DNS_WEBHOOK_GROUP");
    let group = group.filter(|group| is_object_name(group)).unwrap_or_else(|| DEFAULT_GROUP.to_owned());
    let needs = |solver: &Solver| {
        solver.dns01.as_ref().is_some_and(|dns01| {
            let webhook = dns01.webhook.as_ref();
            services::webhook(&dns01.services, &group).is_some()
                || webhook.is_some_and(|webhook| webhook.group_name == group)
        })
    };
    let issuer = issuers.iter().find(|issuer| issuer.spec.solvers.iter().any(needs))?;
    let needed = format!("{} needs certwright-dns", called(issuer));
    let request = Request::get(format!("/apis/{group}/v1alpha1")).body(Body::empty()).ok()?;
    Some(match cluster.client.send(request).await.map(|answer| answer.status()) {
        Ok(status) if status.is_success() => Finding::ok(format!("{needed}, and the API server has {group}")),
        Ok(StatusCode::NOT_FOUND) => unserved(&needed, &Unserved::NotInstalled { group }),
        Ok(StatusCode::SERVICE_UNAVAILABLE) => unserved(&needed, &Unserved::Unavailable { group }),
        Ok(status) => Finding::warn(
            format!("{needed}, and the API server answered HTTP {} when asked for {group}", status.as_u16()),
            format!("See: kubectl describe apiservice v1alpha1.{group}"),
        ),
        Err(error) => Finding::warn(
            format!("{needed}, and the API server cannot be asked for {group}: {}", words(&error)),
            "Run the check again.",
        ),
    })
}

fn unserved(needed: &str, why: &Unserved) -> Finding {
    Finding::fail(format!("{needed}: {why}"), "See docs/certwright-dns.md.")
}

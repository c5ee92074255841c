//! Route 53 at moto, an emulator of AWS.

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use certwright_cluster::{ADDRESS, Bind, Cluster, Moto};
use certwright_solver::dns01::webhook::Action;
use dns_update::providers::route53::Route53Config;
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};
use serde_json::json;
use tokio::net::TcpListener;

use crate::compare::{FOREIGN, Lego, NAME, ZONE, compare, environment};
use crate::fake::http;
use crate::webhook::{Given, Webhook};

#[tokio::test]
async fn route_53_is_left_as_lego_leaves_it() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let aws = Aws::start(&cluster).await?;
    let name_server = Bind::builder().zone(ZONE).start(&cluster).await?;
    let lego = Lego {
        provider: "route53",
        environment: environment(&[
            ("AWS_ENDPOINT_URL", &aws.url),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_WAIT_FOR_RECORD_SETS_CHANGED", "false"),
        ]),
        nameserver: &name_server.address(),
        differs: &[],
    };
    for settings in [json!({}), json!({ "hostedZoneID": aws.zone_id })] {
        let given = aws.given(settings);
        compare(
            &cluster,
            &given,
            &environment(&[]),
            None,
            async || aws.reset().await,
            async || aws.values().await,
        )
        .await?;
    }
    let given = aws.given(json!({}));
    let (reset, values) = (async || aws.reset().await, async || aws.values().await);
    compare(&cluster, &given, &environment(&[]), Some(lego), reset, values).await
}

#[tokio::test]
async fn twenty_values_come_and_go_at_once() -> Result<()> {
    let aws = Aws::start(&Cluster::from_env()?).await?;
    aws.reset().await?;
    let webhook = Webhook::connect(&aws.given(json!({ "hostedZoneID": aws.zone_id }))).await?;
    webhook.twenty_at_once(NAME, ZONE, async || aws.values().await).await
}

#[tokio::test]
async fn a_zone_that_is_not_there_is_an_error() -> Result<()> {
    let aws = Aws::start(&Cluster::from_env()?).await?;
    let webhook = Webhook::connect(&aws.given(json!({}))).await?;
    let error = webhook.change(Action::Present, "a.other.test", "other.test", "value").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "adding the TXT record failed: Amazon Route 53 rejected the request, or its answer is not understood; the debug log of \
         certwright-dns says why"
    );
    Ok(())
}

/// A server in front of moto that adds what moto leaves out: AWS always says whether a list of zones is complete.
async fn completed(moto: &str) -> Result<String> {
    let (client, moto) = (http(), moto.to_owned());
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let sent = client.request(method, format!("{moto}{uri}")).headers(headers).body(body).send().await;
        let answer = sent.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        let end = "</HostedZones></ListHostedZonesByNameResponse>";
        let full = "</HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesByNameResponse>";
        (status, text.replace(end, full))
    };
    let listener = TcpListener::bind((ADDRESS, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// An AWS with the zone.
pub struct Aws {
    _moto: Moto,
    /// The URL of its services, where answers are complete.
    pub url: String,
    zone_id: String,
    updater: DnsUpdater,
}

impl Aws {
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let moto = Moto::start(cluster).await?;
        let body = format!(
            "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>{ZONE}.</Name>\
             <CallerReference>test</CallerReference></CreateHostedZoneRequest>"
        );
        let scope = "Credential=key/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0";
        let request = http().post(format!("{}/2013-04-01/hostedzone", moto.url));
        let request = request.header("Authorization", format!("AWS4-HMAC-SHA256 {scope}")).body(body);
        let created = request.send().await?.error_for_status()?.text().await?;
        let (_, rest) = created.split_once("/hostedzone/").with_context(|| created.clone())?;
        let zone_id = rest.split('<').next().unwrap_or_default().to_owned();
        let updater = DnsUpdater::new_route53(Route53Config {
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
            region: None,
            hosted_zone_id: Some(zone_id.clone()),
            private_zone_only: None,
            endpoint: Some(moto.url.clone()),
        })?;
        Ok(Self { url: completed(&moto.url).await?, _moto: moto, zone_id, updater })
    }

    fn given(&self, mut settings: serde_json::Value) -> Given {
        settings["endpoint"] = json!(self.url);
        settings["accessKeyID"] = json!("key");
        Given::new(json!({ "provider": "route53", "settings": settings }), &[("secretAccessKey", "secret")])
    }

    pub async fn reset(&self) -> Result<()> {
        let records = vec![DnsRecord::TXT(FOREIGN.to_owned())];
        Ok(self.updater.set_rrset(NAME, DnsRecordType::TXT, 300, records, ZONE).await?)
    }

    pub async fn values(&self) -> Result<Vec<String>> {
        let records = self.updater.list_rrset(NAME, DnsRecordType::TXT, ZONE).await?.into_iter();
        Ok(records.map(|record| record.to_string()).collect())
    }
}

//! Route 53 at moto, an emulator of AWS.

use anyhow::{Context, Result};
use certwright_cluster::{Bind, Cluster, Moto};
use certwright_solver::dns01::webhook::Action;
use dns_update::providers::route53::Route53Config;
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};
use serde_json::json;

use crate::compare::{FOREIGN, Lego, NAME, Other, ZONE, compare, environment};
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
    compare(&cluster, &given, &environment(&[]), Some(Other::Lego(lego)), reset, values).await
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
        "adding the TXT record failed: there is no public hosted zone for other.test or a parent of it; check which account the \
         credentials are for, or name the zone in hostedZoneID"
    );
    Ok(())
}

#[tokio::test]
async fn a_private_zone_of_the_same_name_is_left_alone_unless_it_is_meant() -> Result<()> {
    let aws = Aws::start(&Cluster::from_env()?).await?;
    let private = at_zone(&aws.url, &aws.private_zone_id)?;
    let of_private = async || {
        let records = private.list_rrset(NAME, DnsRecordType::TXT, ZONE).await?.into_iter();
        anyhow::Ok(records.map(|record| record.to_string()).collect::<Vec<_>>())
    };
    let public = Webhook::connect(&aws.given(json!({}))).await?;
    public.change(Action::Present, NAME, ZONE, "in-public").await?;
    assert_eq!((aws.values().await?, of_private().await?), (vec!["in-public".to_owned()], vec![]));
    let internal = Webhook::connect(&aws.given(json!({ "privateZone": true }))).await?;
    internal.change(Action::Present, NAME, ZONE, "in-private").await?;
    assert_eq!(of_private().await?, ["in-private"]);
    internal.change(Action::CleanUp, NAME, ZONE, "in-private").await?;
    public.change(Action::CleanUp, NAME, ZONE, "in-public").await?;
    assert_eq!((aws.values().await?, of_private().await?), (vec![], vec![]));

    aws.create(false, "again").await?;
    let several = Webhook::connect(&aws.given(json!({}))).await?;
    let error = several.change(Action::Present, NAME, ZONE, "value").await.unwrap_err().to_string();
    let beginning = "adding the TXT record failed: there are several public hosted zones for service.test: ";
    assert!(error.starts_with(beginning) && error.ends_with("; name one of them in hostedZoneID"), "{error}");
    Ok(())
}

/// An AWS with the zone, and a private one of the same name that was there before.
pub struct Aws {
    _moto: Moto,
    /// The URL of its services.
    pub url: String,
    zone_id: String,
    private_zone_id: String,
    updater: DnsUpdater,
}

impl Aws {
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let moto = Moto::start(cluster).await?;
        let url = moto.url.clone();
        let private_zone_id = create(&url, true, "private").await?;
        let zone_id = create(&url, false, "public").await?;
        let updater = at_zone(&url, &zone_id)?;
        Ok(Self { _moto: moto, url, zone_id, private_zone_id, updater })
    }

    async fn create(&self, private: bool, reference: &str) -> Result<String> {
        create(&self.url, private, reference).await
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

/// Creates a zone of the name, and returns its id.
async fn create(url: &str, private: bool, reference: &str) -> Result<String> {
    let body = format!(
        "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>{ZONE}.</Name>\
         <CallerReference>{reference}</CallerReference><HostedZoneConfig><PrivateZone>{private}</PrivateZone></HostedZoneConfig>\
         </CreateHostedZoneRequest>"
    );
    let scope = "Credential=key/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0";
    let request = http().post(format!("{url}/2013-04-01/hostedzone"));
    let request = request.header("Authorization", format!("AWS4-HMAC-SHA256 {scope}")).body(body);
    let created = request.send().await?.error_for_status()?.text().await?;
    let (_, rest) = created.split_once("/hostedzone/").with_context(|| created.clone())?;
    Ok(rest.split('<').next().unwrap_or_default().to_owned())
}

/// The crate's client, which sees what is in a zone.
fn at_zone(url: &str, id: &str) -> Result<DnsUpdater> {
    Ok(DnsUpdater::new_route53(Route53Config {
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
        region: None,
        hosted_zone_id: Some(id.to_owned()),
        private_zone_only: None,
        endpoint: Some(url.to_owned()),
    })?)
}

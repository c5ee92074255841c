//! The page with what a cluster may contain: in wide and narrow windows, light and dark. With `CERTWRIGHT_WRITE_DOCS`, its pictures
//! become those of the documentation.

use std::fs;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use certwright_api::{Certificate, Issuer};
use certwright_cluster::TestNamespace;
use certwright_runtime::clock;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{DESKTOP, Served, too_wide};
use crate::common::chromium::Chromium;
use crate::common::helm::root;

const PHONE: (u32, u32) = (390, 844);

/// The namespace that the pictures show.
const SHOP: &str = "shop";

#[tokio::test]
async fn the_page_fits_and_is_legible_everywhere_and_its_pictures_are_those_of_the_documentation()
-> Result<()> {
    let writes = std::env::var_os("CERTWRIGHT_WRITE_DOCS").is_some();
    if writes {
        let ns = TestNamespace::named(certwright_cluster::Cluster::from_env()?, SHOP).await?;
        return look(&ns, writes).await;
    }
    TestNamespace::with("ui", async |ns| look(ns, writes).await).await
}

async fn look(ns: &TestNamespace, writes: bool) -> Result<()> {
    fill(ns).await?;
    let kubeconfig = tempfile::NamedTempFile::new()?;
    let config = fs::read_to_string(&ns.cluster.description.kubeconfig)?;
    let mut config: Value = serde_yaml::from_str(&config)?;
    config["current-context"] = "production".into();
    config["contexts"][0]["name"] = "production".into();
    fs::write(kubeconfig.path(), config.to_string())?;
    let file = kubeconfig.path().to_string_lossy().into_owned();
    let served = Served::start(ns, &["--kubeconfig", &file, "--allow-actions"]).await?;
    let chromium = Chromium::start().await?;
    for (name, size, dark, from, open) in [
        ("ui", DESKTOP, false, "body", None),
        ("ui-dark", DESKTOP, true, "#timeline", None),
        ("ui-certificate", DESKTOP, false, "body", Some("#certificates tbody button")),
        ("ui-phone", PHONE, false, "body", None),
        ("ui-phone-dark", PHONE, true, "body", Some("#issuers tbody button")),
    ] {
        let tab = chromium.open(&served.url, size, dark).await?;
        tab.until("document.querySelector('#live').textContent === 'Live'").await?;
        tab.until("document.querySelectorAll('#certificates tbody tr').length === 60").await?;
        tab.until("document.querySelectorAll('#issuers tbody tr').length >= 3").await?;
        tab.shows(&format!("namespace {} of production", ns.name)).await?;
        tab.value(&format!("document.querySelector('{from}').scrollIntoView()")).await?;
        if let Some(button) = open {
            tab.click(button).await?;
            tab.until("document.querySelector('dialog pre').textContent.length > 100").await?;
        }
        assert_eq!(too_wide(&tab).await?, json!([]), "{name}");
        assert_eq!(tab.value(FAINT).await?, json!([]), "{name}");
        assert_eq!(tab.value(NAMELESS).await?, json!([]), "{name}");
        let picture = BASE64_STANDARD.decode(tab.picture().await?)?;
        ensure!(picture.len() > 10_000, "{name}: {} bytes", picture.len());
        if writes {
            fs::write(root().join(format!("docs/images/{name}.png")), picture)?;
        }
    }
    weeks_are_chosen_by_keyboard(&chromium, &served).await
}

async fn weeks_are_chosen_by_keyboard(chromium: &Chromium, served: &Served) -> Result<()> {
    let tab = chromium.open(&served.url, DESKTOP, false).await?;
    tab.until("document.querySelectorAll('#certificates tbody tr').length === 60").await?;
    tab.value("document.querySelector('.weeks button').focus()").await?;
    for _ in 0..2 {
        tab.press("ArrowRight").await?;
    }
    let label = tab.value("document.activeElement.getAttribute('aria-label')").await?;
    let label = label.as_str().context("no label")?;
    ensure!(label.starts_with("Week from ") && label.contains(" renewal"), "{label}");
    tab.press("Enter").await?;
    tab.until("document.querySelectorAll('#certificates tbody tr').length < 60").await?;
    tab.shows("week from ").await?;
    tab.until("document.activeElement.closest('.weeks')").await?;
    tab.press("Enter").await?;
    tab.until("document.querySelectorAll('#certificates tbody tr').length === 60").await?;
    tab.click("#by-ca").await?;
    tab.until("document.querySelector('#issuers tbody').innerText.includes('emea.acme.atlas.example')").await
}

/// Text whose contrast with what is behind it is less than 4.5, the minimum of WCAG 2 at level AA.
const FAINT: &str = "(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (color) => [...color].slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    if (!element) return rgb(getComputedStyle(document.documentElement).backgroundColor);
    const color = rgb(getComputedStyle(element).backgroundColor);
    return color[3] ? color : behind(element.parentElement);
  };
  const shown = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll('body *')].filter(shown).filter((element) => element.checkVisibility()).flatMap((element) => {
    const [one, other] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((one, other) => one - other);
    const contrast = (other + 0.05) / (one + 0.05);
    return contrast < 4.5 ? [`${element.localName}.${element.className} ${contrast.toFixed(1)}: ${element.textContent.slice(0, 40)}`] : [];
  });
})()";

/// What can be operated, and has no name for those who cannot see it.
const NAMELESS: &str = "[...document.querySelectorAll('button, input, select, [role=toolbar], dialog[open]')]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.length ||
    document.getElementById(element.getAttribute('aria-labelledby'))))
  .map((element) => element.outerHTML.slice(0, 80))";

/// Three issuers and sixty Certificates.
async fn fill(ns: &TestNamespace) -> Result<()> {
    let now = clock::now();
    let issuers = [
        (
            "letsencrypt",
            "https://acme-v02.api.letsencrypt.example/directory",
            "AccountRegistered",
            "The account is registered",
        ),
        (
            "atlas",
            "https://emea.acme.atlas.example/directory",
            "AccountRegistered",
            "The account is registered",
        ),
        (
            "sectigo",
            "https://acme.sectigo.example/v2/OV",
            "OUT_OF_CREDIT",
            "Placing the order failed: OUT_OF_CREDIT: the balance of the account is 0. Buy credit in the CA's portal. Then run \
             `certwright retry issuer sectigo`",
        ),
    ];
    for (name, server, reason, message) in issuers {
        let ready = if reason == "AccountRegistered" { "True" } else { "False" };
        let object = json!({
            "metadata": { "name": name },
            "spec": { "acme": { "server": server, "solvers": [{ "http01": { "ingress": { "ingressClassName": "nginx" } } }] } },
        });
        let status = json!({
            "conditions": [condition("Ready", ready, reason, message, ago(now, 5))],
            "acme": {
                "uri": format!("{}/account/8723", server.rsplit_once('/').map_or("", |(host, _)| host)), "server": server,
                "keyThumbprint": "", "keyAlgorithm": "ECDSA P-256",
            },
        });
        create::<Issuer>(ns, &object, &status).await?;
    }
    let certificates = certificates(now);
    let writes = certificates.iter().map(|(object, status)| create::<Certificate>(ns, object, status));
    stream::iter(writes).buffer_unordered(8).try_collect().await
}

/// The Certificates and their statuses.
fn certificates(now: Timestamp) -> Vec<(Value, Value)> {
    const SERVICES: [&str; 12] = [
        "www", "api", "cart", "checkout", "login", "static", "images", "search", "mail", "admin", "status",
        "blog",
    ];
    const DOMAINS: [&str; 5] =
        ["shop.example", "shop.example.com", "shop.example.net", "store.example", "outlet.example"];
    let mut made = Vec::new();
    for (number, (domain, service)) in
        DOMAINS.iter().flat_map(|domain| SERVICES.map(|service| (domain, service))).enumerate()
    {
        let name = format!("{service}-{}", domain.replace('.', "-"));
        let issuer = ["letsencrypt", "letsencrypt", "atlas", "letsencrypt", "sectigo"][number % 5];
        let mut object = spec(&name, &format!("{service}.{domain}"), issuer);
        // Spread over the lifetime, not evenly.
        let spread = i64::try_from(number * 37 % 60).unwrap_or_default();
        let (lifetime, before) = match issuer {
            "letsencrypt" => (90, 30),
            _ => (365, 60),
        };
        let left = before + 1 + spread * (lifetime - before - 2) / 60;
        let mut status = ready(now, left, left - before);
        let reach = "Placing the order failed: CAA record for outlet.example prevents issuance (urn:ietf:params:acme:error:caa). Add a CAA \
                     record that allows this CA, with the domain in the CA's documentation, to the zone that the message names";
        let waits = format!(
            "{service}.{domain}: 198.51.100.7:80 refused the connection; check that the ingress controller listens there"
        );
        match number {
            49 | 51 => status = failed(now, "CAA", reach),
            8 => status = working(now, "WaitingForSelfCheck", &waits),
            14 | 24 | 34 => {
                let message = "Issuer sectigo is not ready: OUT_OF_CREDIT: the balance of the account is 0";
                status = working(now, "IssuerNotReady", message);
                status["notAfter"] = json!(whole(now + SignedDuration::from_hours(24 * 6 + number as i64)));
                status["renewalTime"] = whole(now - days(2));
                status["conditions"][0]["status"] = "True".into();
                status["conditions"][0]["reason"] = "Ready".into();
                status["conditions"][1]["lastTransitionTime"] = json!(whole(now - days(2)));
            }
            17 => object["spec"]["fallbackIssuerRefs"] = json!([{ "name": "letsencrypt" }]),
            _ => {}
        }
        made.push((object, status));
    }
    made
}

/// A Certificate at rest, as the API server would return it.
pub fn at_rest(namespace: &str, number: usize, now: Timestamp) -> Value {
    let name = format!("rest-{number}");
    let mut object = spec(&name, &format!("{name}.example.com"), &format!("ca-{}", number % 20));
    object["apiVersion"] = "certwright.dev/v1alpha1".into();
    object["kind"] = "Certificate".into();
    object["metadata"] = json!({
        "name": name, "namespace": namespace, "generation": 1, "uid": name, "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    let left = 31 + i64::try_from(number % 59).unwrap_or_default();
    object["status"] = ready(now, left, left - 30);
    object["status"]["conditions"][0]["observedGeneration"] = 1.into();
    object
}

fn spec(name: &str, dns_name: &str, issuer: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "secretName": format!("{name}-tls"), "dnsNames": [dns_name], "issuerRef": { "name": issuer } },
    })
}

fn ready(now: Timestamp, expires: i64, renews: i64) -> Value {
    json!({
        "conditions": [condition("Ready", "True", "Ready", "The certificate is valid", ago(now, 12 * 60))],
        "notAfter": whole(now + days(expires)), "renewalTime": whole(now + days(renews)),
    })
}

fn failed(now: Timestamp, reason: &str, message: &str) -> Value {
    json!({
        "conditions": [
            condition("Ready", "False", reason, message, ago(now, 150)),
            condition("Issuing", "False", reason, message, ago(now, 150)),
        ],
        "failedIssuanceAttempts": 3, "lastFailureTime": ago(now, 12), "nextAttemptTime": whole(now + SignedDuration::from_mins(108)),
    })
}

fn working(now: Timestamp, reason: &str, message: &str) -> Value {
    json!({ "conditions": [
        condition("Ready", "False", reason, message, ago(now, 2)), condition("Issuing", "True", reason, message, ago(now, 2)),
    ] })
}

fn condition(type_: &str, status: &str, reason: &str, message: &str, since: Value) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": since,
    })
}

fn ago(now: Timestamp, minutes: i64) -> Value {
    whole(now - SignedDuration::from_mins(minutes))
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn whole(time: Timestamp) -> Value {
    json!(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Creates an object with this status.
async fn create<K>(ns: &TestNamespace, object: &Value, status: &Value) -> Result<()>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let mut object = object.clone();
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    let object: K = serde_json::from_value(object)?;
    let api = ns.api::<K>();
    api.create(&PostParams::default(), &object).await?;
    let patch = Patch::Merge(json!({ "status": status }));
    api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await?;
    Ok(())
}

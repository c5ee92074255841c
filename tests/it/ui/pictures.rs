//! The page with what a cluster may contain: in wide and narrow windows, light and dark. With `CERTWRIGHT_WRITE_DOCS`, its pictures
//! become those of the documentation.

use std::fs;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use certwright_cluster::TestNamespace;
use serde_json::{Value, json};

use super::{DESKTOP, Served, too_wide};
use crate::common::chromium::Chromium;
use crate::common::helm::root;
use crate::common::shop::{SHOP, fill};

const PHONE: (u32, u32) = (390, 844);

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

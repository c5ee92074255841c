//! `cluster demo`: issues a certificate step by step, with external account binding.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    future::pending,
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use certwright_cluster::{
    ADDRESS, Cluster, Operator, Pebble, TestNamespace, control_plane,
    forward::{accept_inside, api_socket},
    terminal::{Line, paint, picture, plain},
};
use clap::Args;
use serde_json::{Value, json};
use x509_parser::prelude::{GeneralName, Pem, X509Certificate};

use crate::exec::start_cluster;

const NAMESPACE: &str = "demo";
const PEBBLE_PORT: u16 = 14_000;
const LIMIT: Duration = Duration::from_secs(60);

/// What the demo does at its end.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// End once the certificate is issued.
    #[arg(long, env = "ONCE", value_parser = clap::builder::FalseyValueParser::new())]
    once: bool,
    /// Write what it has shown as a picture (SVG), and end.
    #[arg(long)]
    recording: Option<PathBuf>,
}

/// Issues a certificate; then ends, or keeps the cluster running until it is killed. The API server listens on `api_port` of this
/// machine.
pub async fn run(state: &Path, api_port: u16, wanted: &Wanted) -> Result<i32> {
    let mut story = Story::new();
    let running = start_cluster(state).await?;
    let description = running.description.clone();
    let cluster = Cluster::new(description.clone());
    let version = cluster.client().await?.apiserver_version().await?;
    let version = format!("{}.{}", version.major, version.minor);
    story.tell("Kubernetes", &format!("{version} is ready, kinds and roles are applied"));

    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/demo");
    let [secret, issuer, certificate] =
        ["eab-secret.yaml", "issuer.yaml", "certificate.yaml"].map(|file| read(&examples.join(file)));
    let (secret, mut issuer, certificate) = (secret?, issuer?, certificate?);

    let key_id = text(&issuer, "/spec/acme/externalAccountBinding/keyID")?;
    let mac_key = text(&secret, "/stringData/secret")?;
    let pebble = Pebble::builder().eab(key_id, mac_key).port(PEBBLE_PORT).start(&cluster).await?;
    story.tell("ACME CA", &format!("Pebble at {}; it wants external account binding", pebble.directory_url));

    let namespace = TestNamespace::named(cluster, NAMESPACE).await?;
    let operator = Operator::builder(&namespace)
        .argument("--namespace", "certwright")
        .argument("--watch-namespaces", "")
        .argument("--cluster-issuers", "true")
        .start()
        .await?;
    story.tell(
        "Certwright",
        &format!("ready, with its service account's rights (process {})", operator.pid()?),
    );

    namespace.apply(&secret.to_string()).await?;
    story.applied(&secret, &format!("the MAC key of key id {key_id}"));
    issuer["spec"]["acme"]["caBundle"] = json!(BASE64_STANDARD.encode(&pebble.ca_pem));
    namespace.apply(&issuer.to_string()).await?;
    story.applied(&issuer, text(&issuer, "/spec/acme/server")?);
    story.follow(&namespace, &issuer).await?;
    namespace.apply(&certificate.to_string()).await?;
    story.applied(&certificate, &list(&certificate["spec"]["dnsNames"]));
    story.follow(&namespace, &certificate).await?;

    let name = text(&certificate, "/spec/secretName")?;
    let issued = namespace.get(&format!("secret/{name}")).await?.context("Ready, but there is no Secret")?;
    story.show(name, &issued)?;
    if let Some(file) = &wanted.recording {
        fs::write(file, picture("make demo", false, &story.said.borrow()))
            .with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(0);
    }
    if wanted.once {
        return Ok(0);
    }

    accept_inside(&api_socket(state), format!("{ADDRESS}:6443"))?;
    let kubeconfig = state.join("kubeconfig.outside");
    let server = format!("https://127.0.0.1:{api_port}");
    let ca_pem = namespace.cluster.ca()?.pem;
    fs::write(&kubeconfig, control_plane::kubeconfig(&server, &ca_pem, control_plane::ADMIN_TOKEN))?;
    println!("\nThe cluster is up until Ctrl-C. In another terminal:\n");
    println!("  export KUBECONFIG={}", kubeconfig.display());
    let kubectl: PathBuf = description.tools.program("kubectl")?;
    println!("  {} get issuers,certificates,secrets --namespace {NAMESPACE}", kubectl.display());
    println!("  {} describe certificate --namespace {NAMESPACE}", kubectl.display());
    pending().await
}

/// Prints what happens, each line with the seconds since the start.
struct Story {
    start: Instant,
    colours: bool,
    said: RefCell<Vec<Line>>,
}

impl Story {
    fn new() -> Self {
        let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { start: Instant::now(), colours, said: RefCell::default() }
    }

    fn tell(&self, subject: &str, what: &str) {
        let subject = paint("1", &format!("{subject:<12}"));
        self.say(format!("{:>5.1} s  {subject}  {what}", self.start.elapsed().as_secs_f32()));
    }

    fn say(&self, line: String) {
        println!("{}", if self.colours { line.clone() } else { plain(&line) });
        self.said.borrow_mut().push(Line { seconds: Some(self.start.elapsed().as_secs_f32()), text: line });
    }

    fn applied(&self, object: &Value, what: &str) {
        let kind = object["kind"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        self.tell(kind, &format!("{name} applied: {what}"));
    }

    /// Prints each change of an object's conditions until it is ready.
    async fn follow(&mut self, namespace: &TestNamespace, object: &Value) -> Result<()> {
        let kind = text(object, "/kind")?;
        let target = format!("{kind}.certwright.dev/{}", text(object, "/metadata/name")?);
        let told = std::cell::RefCell::new(BTreeMap::new());
        let ready = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array();
            for condition in conditions.into_iter().flatten() {
                let [of, status, reason, message] = ["type", "status", "reason", "message"]
                    .map(|field| condition[field].as_str().unwrap_or("?"));
                let line = format!("{of}={status}  {reason}: {message}");
                if told.borrow_mut().insert(of.to_owned(), line.clone()).as_ref() != Some(&line) {
                    let colour = if (of, status) == ("Ready", "True") { "32" } else { "33" };
                    self.tell(kind, &paint(colour, &line));
                }
            }
            told.borrow().get("Ready").is_some_and(|line| line.starts_with("Ready=True"))
        };
        namespace.wait(&target, LIMIT, ready).await?;
        Ok(())
    }

    fn show(&self, name: &str, secret: &Value) -> Result<()> {
        let data = secret["data"].as_object().context("a Secret without data")?;
        let keys: Vec<_> = data.keys().map(String::as_str).collect();
        self.tell("Secret", &format!("{name} holds {}", keys.join(", ")));
        let chain = BASE64_STANDARD.decode(text(secret, "/data/tls.crt")?)?;
        let chain: Vec<Pem> = Pem::iter_from_buffer(&chain).collect::<Result<_, _>>()?;
        let leaf = chain.first().context("no certificate in tls.crt")?.parse_x509()?;
        self.say(String::new());
        for (field, value) in facts(&leaf, chain.len())? {
            self.say(format!("         {}  {value}", paint("1", &format!("{field:<12}"))));
        }
        Ok(())
    }
}

fn facts(leaf: &X509Certificate, chain: usize) -> Result<Vec<(&'static str, String)>> {
    let names: Vec<_> = leaf
        .subject_alternative_name()?
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => other.to_string(),
        })
        .collect();
    let validity = leaf.validity();
    let subject = leaf.subject().to_string();
    Ok(vec![
        ("Subject", if subject.is_empty() { "(empty: the names say whose it is)".into() } else { subject }),
        ("Names", names.join(", ")),
        ("Issuer", leaf.issuer().to_string()),
        ("Serial", leaf.raw_serial_as_string()),
        ("Valid", format!("{} to {}", validity.not_before, validity.not_after)),
        ("Chain", format!("{chain} certificates, this one first")),
    ])
}

/// A YAML file with one object.
fn read(path: &Path) -> Result<Value> {
    let yaml = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_yaml::from_str(&yaml).with_context(|| format!("{} is not YAML", path.display()))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    match value.pointer(pointer).and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => bail!("nothing at {pointer}"),
    }
}

fn list(value: &Value) -> String {
    let items: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    items.join(", ")
}

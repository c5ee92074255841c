//! What a test queries at a name server, and changes there.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use sha2::{Digest, Sha512};
use tokio::{io::AsyncWriteExt, process::Command};

/// The source address of the test itself, which may change every zone. Operators and ACME servers have another source address
/// when they connect to an address of the run.
pub(crate) const TEST_ADDRESS: &str = "127.0.0.1";

/// A name server, as its clients see it.
#[derive(Clone, Debug)]
pub struct NameServer {
    ip: String,
}

/// A name server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED`.
    pub status: String,
    /// Whether the answer is authoritative.
    pub authoritative: bool,
    /// The data of the records of the requested type, unordered; TXT records without quotes.
    pub values: Vec<String>,
}

/// A key that updates are signed with (RFC 8945).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey {
    pub name: String,
    /// Such as `hmac-sha256`.
    pub algorithm: String,
    /// In base64.
    pub secret: String,
}

impl TsigKey {
    /// All algorithms that name servers support.
    pub const ALGORITHMS: [&str; 6] =
        ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];

    /// A key whose secret is derived from its name.
    pub fn new(name: &str, algorithm: &str) -> Self {
        Self::with_secret(name, algorithm, &BASE64_STANDARD.encode(Sha512::digest(name)))
    }

    /// A key with this secret, in base64.
    pub fn with_secret(name: &str, algorithm: &str, secret: &str) -> Self {
        Self { name: name.into(), algorithm: algorithm.into(), secret: secret.into() }
    }

    /// The manifest of a Secret with this name, with the key's secret in base64 under `secret`.
    pub fn object(&self, name: &str) -> String {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"secret": self.secret},
        })
        .to_string()
    }
}

impl NameServer {
    /// The one on port 53 of this address.
    pub fn new(ip: &str) -> Self {
        Self { ip: ip.into() }
    }

    /// Its address, without a port.
    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// `ip:port`
    pub fn address(&self) -> String {
        format!("{}:53", self.ip)
    }

    /// The data of a name's records of one type (`TXT`, `SOA`); see [`Answer::values`].
    pub async fn query(&self, name: &str, kind: &str) -> Result<Vec<String>> {
        Ok(self.answer(name, kind).await?.values)
    }

    /// Its answer to a query. Fails if it does not answer.
    pub async fn answer(&self, name: &str, kind: &str) -> Result<Answer> {
        let output = Command::new("dig")
            .args(["-b", TEST_ADDRESS, &format!("@{}", self.ip), name, kind])
            .args(["+noall", "+comments", "+answer", "+time=2", "+tries=2"])
            .output()
            .await
            .context("cannot start dig. Run `make tools`")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "dig {name} {kind} at {} failed: {}", self.ip, text.trim());
        Answer::parse(&text, kind)
    }

    /// Adds a TXT value to those of `name`, even if the zone rejects updates from others. Its TTL is 5 seconds.
    pub async fn add_txt(&self, name: &str, value: &str) -> Result<()> {
        self.edit(&format!("update add {}. 5 TXT \"{value}\"", name.trim_end_matches('.'))).await
    }

    /// Removes one TXT value of `name`.
    pub async fn remove_txt(&self, name: &str, value: &str) -> Result<()> {
        self.edit(&format!("update delete {}. TXT \"{value}\"", name.trim_end_matches('.'))).await
    }

    /// Changes a zone with commands of nsupdate, one per line, even if the zone rejects updates from others.
    pub async fn edit(&self, commands: &str) -> Result<()> {
        self.nsupdate(&[], commands).await
    }

    /// Changes a zone with commands of nsupdate (`update add <name> <ttl> TXT <value>`), one per line, signed with a key. If the
    /// server rejects them, the error contains its code: `REFUSED`, `NOTAUTH(BADKEY)`.
    pub async fn update(&self, key: &TsigKey, commands: &str) -> Result<()> {
        let key = format!("{}:{}:{}", key.algorithm, key.name, key.secret);
        self.nsupdate(&["-y", &key], commands).await
    }

    async fn nsupdate(&self, arguments: &[&str], commands: &str) -> Result<()> {
        let mut child = Command::new("nsupdate")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start nsupdate. Run `make tools`")?;
        let local = if arguments.is_empty() { format!("local {TEST_ADDRESS}\n") } else { String::new() };
        let script = format!("server {} 53\n{local}{commands}\nsend\n", self.ip);
        child.stdin.take().context("no standard input")?.write_all(script.as_bytes()).await?;
        let output = child.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "{} refuses the update: {}",
            self.ip,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// The serial number of a zone at this server.
    pub(crate) async fn serial(&self, zone: &str) -> Result<String> {
        let answer = self.query(zone, "SOA").await?;
        let serial = answer.first().and_then(|soa| soa.split(' ').nth(2));
        serial.map(Into::into).with_context(|| format!("{} has no zone {zone}", self.ip))
    }

    /// Whether it answers from its own copy of each of these zones, or at all if the list is empty.
    pub(crate) async fn serves(&self, zones: &[String]) -> bool {
        if zones.is_empty() {
            return self.answer(".", "SOA").await.is_ok();
        }
        for zone in zones {
            let answer = self.answer(zone, "SOA").await;
            if !answer.is_ok_and(|answer| answer.authoritative && answer.values.len() == 1) {
                return false;
            }
        }
        true
    }
}

impl Answer {
    /// Parses the output of dig.
    fn parse(text: &str, kind: &str) -> Result<Self> {
        let after = |marker: &str| text.split_once(marker).map(|(_, rest)| rest);
        let status = after("status: ").and_then(|rest| rest.split(',').next()).context("no status")?;
        let flags = after("flags: ").and_then(|rest| rest.split(';').next()).unwrap_or_default();
        let values = text.lines().filter(|line| !line.starts_with(';')).filter_map(|line| {
            // Name, time to live, class, type, and the data, which may contain blanks.
            let (found, data) = (1..=3).try_fold(line, |rest, _| after_word(rest)).and_then(word)?;
            found.eq_ignore_ascii_case(kind).then(|| match found {
                "TXT" => data.trim_matches('"').to_owned(),
                _ => data.to_owned(),
            })
        });
        Ok(Self {
            status: status.into(),
            authoritative: flags.split(' ').any(|flag| flag == "aa"),
            values: values.collect(),
        })
    }
}

/// The first word of a line, and the rest after the blanks.
fn word(text: &str) -> Option<(&str, &str)> {
    text.split_once([' ', '\t']).map(|(word, rest)| (word, rest.trim_start()))
}

fn after_word(text: &str) -> Option<&str> {
    word(text).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_from_what_dig_prints() {
        let text = ";; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 7\n\
            ;; flags: qr aa rd; QUERY: 1, ANSWER: 3\n\n;; ANSWER SECTION:\n\
            www.a.test.\t\t5\tIN\tCNAME\tx.b.test.\nx.b.test.\t5\tIN\tTXT\t\"one\"\n\
            long.name.b.test. 5 IN\tTXT \"two words\"\n";
        let answer = Answer::parse(text, "txt").unwrap();
        let values = vec!["one".to_owned(), "two words".to_owned()];
        assert_eq!(answer, Answer { status: "NOERROR".into(), authoritative: true, values });
        assert_eq!(Answer::parse(text, "CNAME").unwrap().values, ["x.b.test."]);
    }
}

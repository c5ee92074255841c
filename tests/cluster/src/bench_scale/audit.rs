//! What the operator has asked of the API server, from the audit log. The log has requests of the operator alone.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use certwright_cluster::control_plane::audit_log;
use serde_json::Value;

use crate::bench::counts::Counts;

/// The audit log of the API server.
pub struct Audit(PathBuf);

impl Audit {
    pub fn of(state: &Path) -> Self {
        Self(audit_log(state))
    }

    /// Its size in bytes, which tells one moment from a later one.
    pub fn len(&self) -> Result<u64> {
        fs::metadata(&self.0).map(|file| file.len()).with_context(|| format!("no {}", self.0.display()))
    }

    /// The requests since it had this size, by verb and resource, as in `get secrets`.
    pub fn requests_since(&self, len: u64) -> Result<Counts> {
        let mut counts = Counts::new();
        self.read(len, |event| {
            if let Some(what) = request(event) {
                *counts.entry(what).or_default() += 1;
            }
        })?;
        Ok(counts)
    }

    /// Whether a request has succeeded since it had this size, and the size until which that was looked at. Looking for kinds
    /// that the cluster does not have is no work.
    pub fn has_work_since(&self, len: u64) -> Result<(bool, u64)> {
        let mut works = false;
        let read = self.read(len, |event| {
            let succeeded = event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 400);
            works |= succeeded && request(event).is_some();
        })?;
        Ok((works, read))
    }

    /// Reads the complete lines from there on; returns where they end.
    fn read(&self, from: u64, mut each: impl FnMut(&Value)) -> Result<u64> {
        let mut file = File::open(&self.0)?;
        let mut end = file.seek(SeekFrom::Start(from))?;
        let (mut reader, mut line) = (BufReader::new(file), String::new());
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            end += line.len() as u64;
            // Where it begins, a line may have been half written.
            if let Ok(event) = serde_json::from_str(&line) {
                each(&event);
            }
            line.clear();
        }
        Ok(end)
    }
}

/// What was asked for; `None` if that is told elsewhere, or not counted.
fn request(event: &Value) -> Option<String> {
    let (verb, object) = (event["verb"].as_str()?, &event["objectRef"]);
    let resource = object["resource"].as_str()?;
    // A watch is told when it begins and when it ends.
    let counts = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    if event["stage"] != counts || resource == "leases" {
        return None;
    }
    let subresource = object["subresource"].as_str().map_or(String::new(), |name| format!("/{name}"));
    let which = match object["name"].as_str() {
        Some(name) if resource == "secrets" && name.ends_with("-tls") => " of certificates",
        Some(_) if resource == "secrets" => " of the operator",
        _ => "",
    };
    Some(format!("{verb} {resource}{subresource}{which}"))
}

/// How many of them read Secrets of certificates.
pub fn secret_reads(requests: &Counts) -> u64 {
    requests.get("get secrets of certificates").copied().unwrap_or_default()
}

/// How many of them write.
pub fn writes(requests: &Counts) -> u64 {
    let reads = ["get ", "list ", "watch "];
    let written = requests.iter().filter(|(what, _)| !reads.iter().any(|verb| what.starts_with(verb)));
    written.map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_certificates_are_told_from_the_operators_own() {
        let get = |name: &str| {
            let object = json!({"resource": "secrets", "name": name});
            request(&json!({"verb": "get", "stage": "ResponseComplete", "objectRef": object}))
        };
        assert_eq!(get("web-1-tls").as_deref(), Some("get secrets of certificates"));
        assert_eq!(get("ca-account-key").as_deref(), Some("get secrets of the operator"));
    }

    #[test]
    fn a_watch_counts_once_and_leases_do_not_count() {
        let watch = |stage: &str| {
            request(&json!({"verb": "watch", "stage": stage, "objectRef": {"resource": "secrets"}}))
        };
        assert_eq!(watch("ResponseStarted").as_deref(), Some("watch secrets"));
        assert_eq!(watch("ResponseComplete"), None);
        let lease =
            json!({"verb": "update", "stage": "ResponseComplete", "objectRef": {"resource": "leases"}});
        assert_eq!(request(&lease), None);
    }

    #[test]
    fn what_is_no_read_is_a_write() {
        let counts = Counts::from([
            ("get secrets of certificates".into(), 7),
            ("list certificates".into(), 1),
            ("patch certificates/status".into(), 2),
            ("create events".into(), 3),
        ]);
        assert_eq!((secret_reads(&counts), writes(&counts)), (7, 5));
    }
}

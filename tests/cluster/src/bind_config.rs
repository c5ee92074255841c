//! The configuration files of [`Bind`](crate::Bind).

use std::{fs, path::Path};

use anyhow::Result;

use crate::{TsigKey, Zone, name_server::TEST_ADDRESS};

/// The port at which a server takes commands.
pub(crate) const CONTROL_PORT: &str = "953";
/// The file that rndc needs.
pub(crate) const RNDC_CONFIG: &str = "rndc.conf";

/// The file with the logged queries.
pub(crate) const QUERY_LOG: &str = "queries.log";

/// What a server serves.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) zones: Vec<Zone>,
    pub(crate) keys: Vec<TsigKey>,
    /// Zones and the addresses of their primaries.
    pub(crate) secondaries: Vec<(String, String)>,
    pub(crate) options: Vec<String>,
}

impl Config {
    /// The names of its zones, those of which it is a secondary last.
    pub(crate) fn zone_names(&self) -> Vec<String> {
        let secondaries = self.secondaries.iter().map(|(zone, _)| zone);
        self.zones.iter().map(|zone| &zone.name).chain(secondaries).cloned().collect()
    }

    /// Writes all files that the server at this address needs.
    pub(crate) fn write(&self, directory: &Path, ip: &str) -> Result<()> {
        for zone in &self.zones {
            fs::write(directory.join(format!("{}.zone", zone.name)), zone.file(ip))?;
        }
        fs::write(directory.join("named.conf"), self.named(directory, ip))?;
        let control = key(&control_key());
        let rndc = format!("{control}options {{ default-key control; }};\n");
        fs::write(directory.join(RNDC_CONFIG), rndc)?;
        Ok(())
    }

    fn named(&self, directory: &Path, ip: &str) -> String {
        let directory = directory.display();
        let more = self.options.join("\n    ");
        let mut text = format!(
            r#"options {{
    directory "{directory}";
    managed-keys-directory "{directory}";
    pid-file none;
    lock-file none;
    session-keyfile none;
    listen-on port 53 {{ {ip}; }};
    listen-on-v6 {{ none; }};
    transfer-source {ip};
    interface-interval 0;
    empty-zones-enable no;
    max-cache-size 16m;
    allow-query {{ any; }};
    allow-transfer {{ any; }};
    notify no;
    querylog yes;
    recursion no;
    {more}
}};
logging {{
    channel out {{ stderr; severity info; print-time yes; print-category yes; }};
    channel queries {{ file "{QUERY_LOG}"; severity info; }};
    category default {{ out; }};
    category queries {{ queries; }};
}};
controls {{ inet {ip} port {CONTROL_PORT} allow {{ any; }} keys {{ control; }}; }};
"#
        );
        text += &key(&control_key());
        self.keys.iter().for_each(|tsig| text += &key(tsig));
        for zone in &self.zones {
            let keys: String = zone.keys(&self.keys).iter().map(|name| format!(" key \"{name}\";")).collect();
            text += &format!(
                "zone \"{0}\" {{ type primary; file \"{0}.zone\"; allow-update {{ {TEST_ADDRESS};{keys} }}; }};\n",
                zone.name
            );
        }
        for (zone, primary) in &self.secondaries {
            text += &format!(
                "zone \"{zone}\" {{ type secondary; file \"{zone}.copy\"; primaries {{ {primary}; }}; \
                 allow-notify {{ none; }}; }};\n"
            );
        }
        text
    }
}

/// The key that commands are signed with. Only processes of the run can reach the server.
fn control_key() -> TsigKey {
    TsigKey::new("control", "hmac-sha256")
}

fn key(key: &TsigKey) -> String {
    let TsigKey { name, algorithm, secret } = key;
    format!("key \"{name}\" {{ algorithm {algorithm}; secret \"{secret}\"; }};\n")
}

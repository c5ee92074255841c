//! Addresses for servers that need a well-known port, such as name servers.

use std::{
    fmt,
    fs::{self, File},
};

use anyhow::{Result, bail};

use crate::Cluster;

/// The last numbers of the addresses 192.0.2.*n* that are handed out.
const RANGE: std::ops::Range<u8> = 64..128;

/// An address that nobody else has, until this is dropped.
#[derive(Debug)]
pub struct Address {
    ip: String,
    _lock: File,
}

impl Address {
    /// An address that neither another test of this process nor another process of the run has. The kernel releases it when the
    /// process that holds it dies.
    pub fn free(cluster: &Cluster) -> Result<Self> {
        let directory = cluster.description.state.join("addresses");
        fs::create_dir_all(&directory)?;
        for ip in all() {
            let lock = File::create(directory.join(&ip))?;
            if lock.try_lock().is_ok() {
                return Ok(Self { ip, _lock: lock });
            }
        }
        bail!("each of the {} addresses is taken", RANGE.len())
    }

    /// The address, without a port.
    pub fn ip(&self) -> &str {
        &self.ip
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.ip)
    }
}

/// All addresses that can be handed out.
pub(crate) fn all() -> impl Iterator<Item = String> {
    RANGE.map(|number| format!("192.0.2.{number}"))
}

//! A certificate from files, which somebody else replaces in time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::{CertificateError, Shown};

/// How often the files are read.
const EVERY: Duration = Duration::from_secs(10);

/// The files of a certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Given {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// A file cannot be read.
    #[error("cannot read {path}; check --tls-cert-file and --tls-private-key-file")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The content cannot be used.
    #[error(transparent)]
    Content(#[from] CertificateError),
}

impl Given {
    /// Reads the files.
    ///
    /// # Errors
    /// [`GivenError`]
    pub fn read(&self) -> Result<Shown, GivenError> {
        Ok(Shown::read(&bytes(&self.certificate)?, &bytes(&self.key)?)?)
    }

    /// Shows the certificate, and each that replaces it. The files are replaced one after the other, so that what does not fit
    /// together is read again later.
    pub async fn keep(self, shown: watch::Sender<Option<Arc<Shown>>>) {
        let mut turns = interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            turns.tick().await;
            match self.read() {
                Ok(read) => {
                    failing = false;
                    let changed = shown.send_if_modified(|shown| {
                        let is_new = shown.as_deref() != Some(&read);
                        if is_new {
                            *shown = Some(Arc::new(read));
                        }
                        is_new
                    });
                    if changed {
                        info!("serving the certificate of --tls-cert-file");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(error = &error as &dyn std::error::Error, "the certificate cannot be read");
                    }
                }
            }
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, GivenError> {
    fs::read(path).map_err(|source| GivenError::Read { path: path.display().to_string(), source })
}

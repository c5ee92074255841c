//! The state of an issuance: what is recorded in the API server, and what only this process knows.

use super::{Learned, Progress};
use certwright_api::CertificateStatus;

/// The state of an issuance.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What is recorded: it survives the process.
    pub status: CertificateStatus,
    /// What was learned on the way: it is lost with the process, and learned again.
    pub progress: Progress,
}

impl State {
    /// What was learned about the current order.
    pub fn learned(&self) -> &Learned {
        self.progress.of(self.status.order.as_ref())
    }

    /// The same, for writing.
    pub fn learn(&mut self) -> &mut Learned {
        self.progress.about(self.status.order.as_ref())
    }

    /// Whether the status in the API server, `recorded`, is out of date.
    pub fn is_unrecorded(&self, recorded: Option<&CertificateStatus>) -> bool {
        recorded != Some(&self.status)
    }
}

/// What a process keeps of an issuance between two reconciles. It survives every error of the API server and of the CA, and is
/// lost as a whole when the process ends.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    progress: Progress,
    /// The status to write, if the API server does not have it yet.
    unwritten: Option<Box<CertificateStatus>>,
}

impl Memory {
    /// What to remember of `state`, if the API server has `recorded`.
    pub fn of(recorded: &CertificateStatus, state: State) -> Self {
        let State { status, progress } = state;
        let unwritten = (*recorded != status).then(|| Box::new(status));
        Self { progress, unwritten }
    }

    /// The state to continue from, if the API server has `recorded`. It includes an order that could not be recorded, which is
    /// recorded with the next write.
    pub fn resume(self, recorded: CertificateStatus) -> State {
        State { status: self.unwritten.map_or(recorded, |unwritten| *unwritten), progress: self.progress }
    }
}

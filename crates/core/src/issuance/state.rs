//! The state of an issuance: what the API server is to have of it, and what one process knows beyond that.

use super::{Learned, Progress};
use certwright_api::CertificateStatus;

/// The state of an issuance.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What is to be recorded: it outlives the process.
    pub status: CertificateStatus,
    /// What was learned on the way: it is lost with the process, and found out again.
    pub progress: Progress,
}

impl State {
    /// What was learned of the order under way.
    pub fn learned(&self) -> &Learned {
        self.progress.of(self.status.order.as_ref())
    }

    /// The same, to be added to.
    pub fn learn(&mut self) -> &mut Learned {
        self.progress.about(self.status.order.as_ref())
    }

    /// Whether the status that the API server has, `recorded`, is not as it is to be.
    pub fn is_unrecorded(&self, recorded: Option<&CertificateStatus>) -> bool {
        recorded != Some(&self.status)
    }
}

/// What one process keeps of an issuance between two reconciles. It survives every error of the API server and of the CA, and
/// goes as a whole when the process ends.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    progress: Progress,
    /// The status as it is to be, if the API server does not have it so.
    unwritten: Option<Box<CertificateStatus>>,
}

impl Memory {
    /// What to remember of `state`, where the API server has `recorded`.
    pub fn of(recorded: &CertificateStatus, state: State) -> Self {
        let State { status, progress } = state;
        let unwritten = (*recorded != status).then(|| Box::new(status));
        Self { progress, unwritten }
    }

    /// The state to go on from, where the API server has `recorded`. An order that could not be recorded is in it, and is
    /// recorded with the next write.
    pub fn resume(self, recorded: CertificateStatus) -> State {
        State { status: self.unwritten.map_or(recorded, |unwritten| *unwritten), progress: self.progress }
    }
}

//! `certwright run`: runs the operator.

mod settings;

pub use settings::Run;

use std::time::Duration;

use tracing::error;

use super::{Error, Exit};
use crate::operator;
use crate::runtime::traces::{self, Traces};
use certwright_runtime::logs;
use certwright_runtime::panics::{self, caught};

/// How long the process waits at its end until the last spans are sent.
const LAST_TRACES: Duration = Duration::from_secs(2);
const LAST_TRACES_OF_A_FAILURE: Duration = Duration::from_millis(300);

impl Run {
    /// Runs the operator until it is told to stop.
    ///
    /// # Errors
    /// [`Error`], if it cannot log. All other errors are in the log.
    pub async fn execute(self) -> Result<Exit, Error> {
        let traces = traces::begin(self.otlp_endpoint.as_deref())?;
        let layer = traces.as_ref().map(Traces::layer);
        logs::init(self.log_format, self.log_level.as_ref(), layer)?;
        panics::log();
        let outcome = caught(operator::operate(self)).await;
        let exit = match outcome {
            Ok(Ok(())) => Exit::Fine,
            Ok(Err(error)) => {
                error!(error = &error as &dyn std::error::Error, "certwright failed");
                Exit::Failed
            }
            Err(panic) => {
                error!(%panic, "certwright failed");
                Exit::Failed
            }
        };
        if let Some(traces) = traces {
            // A process that failed should be restarted soon.
            traces.end(if exit == Exit::Fine { LAST_TRACES } else { LAST_TRACES_OF_A_FAILURE });
        }
        Ok(exit)
    }
}

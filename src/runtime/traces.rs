//! Traces over OTLP, in builds with the feature `otlp`: a span for each reconcile, each step and each request to a CA.

use std::fmt::Debug;

use certwright_runtime::logs::TraceLayer;

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// This build has no traces.
    #[error("this build sends no traces: remove --otlp-endpoint, or build with `--features otlp`")]
    NotBuilt,
    /// The exporter cannot be created.
    #[error("traces cannot be sent; check --otlp-endpoint and the variables OTEL_*")]
    #[cfg(feature = "otlp")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The name of a step in spans: that of the variant, without its fields.
pub fn name_of(step: &impl Debug) -> String {
    let text = format!("{step:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[cfg(not(feature = "otlp"))]
pub use without::{Traces, begin};

#[cfg(not(feature = "otlp"))]
mod without {
    use std::time::Duration;

    use super::{TraceLayer, TracesError};

    /// There are none.
    #[derive(Debug)]
    pub enum Traces {}

    impl Traces {
        /// Cannot be called.
        pub fn layer(&self) -> TraceLayer {
            match *self {}
        }

        /// Cannot be called.
        pub fn end(self, _patience: Duration) {
            match self {}
        }
    }

    /// Rejects an endpoint.
    ///
    /// # Errors
    /// [`TracesError::NotBuilt`], if one is given.
    pub fn begin(endpoint: Option<&str>) -> Result<Option<Traces>, TracesError> {
        match endpoint {
            None | Some("") => Ok(None),
            Some(_) => Err(TracesError::NotBuilt),
        }
    }
}

#[cfg(feature = "otlp")]
pub use otlp::{Traces, begin};

#[cfg(feature = "otlp")]
mod otlp {
    use std::env;
    use std::time::Duration;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::level_filters::LevelFilter;
    use tracing::warn;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;

    use super::{TraceLayer, TracesError};

    /// Spans on their way to a collector.
    #[derive(Debug)]
    pub struct Traces(SdkTracerProvider);

    impl Traces {
        /// Exports the spans of this crate, but no events: log lines stay in the log.
        pub fn layer(&self) -> TraceLayer {
            let ours =
                filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("certwright"));
            tracing_opentelemetry::layer()
                .with_tracer(self.0.tracer("certwright"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_filter(ours.with_max_level_hint(LevelFilter::DEBUG))
                .boxed()
        }

        /// Sends the remaining spans.
        pub fn end(self, patience: Duration) {
            if let Err(error) = self.0.shutdown_with_timeout(patience) {
                warn!(%error, "the last traces could not be sent");
            }
        }
    }

    /// Starts to send traces over HTTP, if an endpoint is given or in the environment (OpenTelemetry, "OTLP Exporter
    /// Configuration"). The other variables in the environment apply, too.
    ///
    /// # Errors
    /// [`TracesError::Exporter`]
    pub fn begin(endpoint: Option<&str>) -> Result<Option<Traces>, TracesError> {
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        if endpoint.is_none() && named.iter().all(|name| env::var_os(name).is_none()) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = match endpoint {
            Some(endpoint) => exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/'))),
            None => exporter,
        };
        let mut resource = Resource::builder();
        if env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("certwright");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter.build()?)
            .with_resource(resource.build())
            .build();
        Ok(Some(Traces(provider)))
    }
}

//! Log lines on standard error, as text for people or as JSON for machines.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, FilterFn, LevelFilter, ParseError};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::clock;

/// A layer that turns spans into traces.
pub type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The default filter: our own messages, and only warnings of the libraries. We log failed requests of the Kubernetes client
/// ourselves.
const DEFAULT_FILTER: &str = "info,kube=warn,kube_client=warn,kube_client::client::builder=off,kube_runtime=warn,\
                              hyper=warn,hyper_util=warn,h2=warn,tower=warn,rustls=warn,reqwest=warn,hickory_net=warn,hickory_resolver=warn,\
                              opentelemetry=warn";

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, with the fields of the event and of every span around it at its top level.
    #[default]
    Json,
    /// Text, coloured on a terminal.
    Text,
}

/// What to log, in the syntax of [`EnvFilter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = LogsError;

    fn from_str(text: &str) -> Result<Self, LogsError> {
        EnvFilter::try_new(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// Starts logging. If `RUST_LOG` is set, it is the filter; otherwise `filter` is added to the default,
/// which is `info`, and `warn` for the libraries for HTTP, TLS and DNS. Spans also go to `traces`.
///
/// # Errors
/// [`LogsError::Filter`] for an invalid `RUST_LOG`, [`LogsError::Started`] if this was called before.
pub fn init(
    format: LogFormat,
    filter: Option<&LogFilter>,
    traces: Option<TraceLayer>,
) -> Result<(), LogsError> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(everything) if !everything.is_empty() => EnvFilter::try_new(everything),
        _ => EnvFilter::try_new(directives(filter)),
    }?;
    let registry = tracing_subscriber::registry().with(traces);
    // Without a hint, everything is evaluated before it is filtered, and an event whose own fields log something gets through.
    let filter = filter.and(FilterFn::new(has_no_body).with_max_level_hint(LevelFilter::TRACE));
    match format {
        LogFormat::Json => registry.with(json(io::stderr).with_filter(filter)).try_init()?,
        LogFormat::Text => {
            let text = tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal());
            registry.with(text.with_writer(io::stderr).with_filter(filter)).try_init()?;
        }
    }
    Ok(())
}

/// The Kubernetes client logs answers that it cannot read in full: megabytes, including Secrets. No filter can enable that; the
/// error that follows says what could not be read.
fn has_no_body(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() || metadata.target() != "kube_client::client" || *metadata.level() == Level::ERROR
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter is not in the syntax of `tracing_subscriber::EnvFilter`.
    #[error("the log filter cannot be read")]
    Filter(#[from] ParseError),
    /// Logging is already initialized.
    #[error("logging is already initialized")]
    Started(#[from] TryInitError),
}

fn directives(filter: Option<&LogFilter>) -> String {
    filter.map_or_else(|| DEFAULT_FILTER.to_owned(), |LogFilter(filter)| format!("{DEFAULT_FILTER},{filter}"))
}

fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(FlatJson).with_writer(writer)
}

/// Every field is at the top level, so that `object`, `namespace` and `name` are always in the same place, whatever span they
/// come from. An inner span's field replaces an outer one's, and the event's field replaces both.
struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".into(), format!("{:.6}", clock::now()).into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(fields))) = fields.map(|fields| serde_json::from_str(fields)) {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(value), |error| error.source());
        let text: Vec<_> = causes.map(ToString::to_string).collect();
        self.insert(field, text.join(": "));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, info_span, warn};

    use super::*;

    #[test]
    fn a_json_line_carries_the_fields_of_all_spans_around_it() {
        let lines = logged(None, || {
            let _object =
                info_span!("reconcile", object = "Certificate", namespace = "web", name = "www").entered();
            let _step = info_span!("step", step = "finalize", attempt = 2).entered();
            info!(status = 200, ready = true, name = %"inner", "certificate stored");
        });
        let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
        let mut line = line.as_object().unwrap().clone();
        let timestamp = line.remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
        assert_eq!(
            Value::Object(line),
            serde_json::json!({
                "level": "INFO", "target": "certwright_runtime::logs::tests", "message": "certificate stored",
                "object": "Certificate", "namespace": "web", "name": "inner", "step": "finalize", "attempt": 2,
                "status": 200, "ready": true,
            })
        );
    }

    #[test]
    fn an_error_is_logged_with_its_causes() {
        let lines = logged(None, || {
            let error = "certwright=nonsense".parse::<LogFilter>().unwrap_err();
            warn!(error = &error as &dyn std::error::Error, "cannot log");
        });
        let error = lines.first().unwrap().get("error").unwrap().as_str().unwrap();
        assert!(error.starts_with("the log filter cannot be read: "), "{error}");
    }

    #[test]
    fn libraries_are_quiet_unless_named() {
        let speak = || {
            debug!("ours");
            info!(target: "kube_client::client", "theirs");
            debug!(target: "hyper", "theirs, in detail");
        };
        assert_eq!(messages(None, speak), Vec::<String>::new());
        assert_eq!(messages(Some("debug"), speak), ["ours"]);
        assert_eq!(messages(Some("debug,hyper=debug"), speak), ["ours", "theirs, in detail"]);
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_logged_whatever_the_filter() {
        let body = format!(r#"{{"metadata":7,"password":"{}"}}"#, "hunter2".repeat(1000));
        for filter in [None, Some("trace"), Some("kube_client=trace"), Some("kube_client::client=trace")] {
            let lines = logged(filter, || {
                let answered = body.clone();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let outcome = runtime.block_on(async move {
                    let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
                        let body = kube::client::Body::from(answered.clone().into_bytes());
                        async move { Ok::<_, tower::BoxError>(http::Response::new(body)) }
                    });
                    let client = kube::Client::new(service, "default");
                    kube::Api::<k8s_openapi::api::core::v1::Node>::all(client).get("a").await
                });
                assert!(matches!(outcome, Err(kube::Error::SerdeError(_))), "{outcome:?}");
                warn!("ours");
            });
            let text = format!("{lines:?}");
            assert!(text.contains("ours") && !text.contains("hunter2"), "{filter:?}: {text}");
        }
    }

    fn messages(filter: Option<&str>, speak: impl FnOnce()) -> Vec<String> {
        let message = |line: &Value| line.get("message").unwrap().as_str().unwrap().to_owned();
        logged(filter, speak).iter().map(message).collect()
    }

    fn logged(filter: Option<&str>, speak: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let filter: Option<LogFilter> = filter.map(|filter| filter.parse().unwrap());
        let filter = EnvFilter::try_new(directives(filter.as_ref())).unwrap().and(FilterFn::new(has_no_body));
        let registry = tracing_subscriber::registry().with(json(written.clone()).with_filter(filter));
        tracing::subscriber::with_default(registry, speak);
        let bytes = written.0.lock().unwrap();
        std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}

//! Log lines: a short constant message, then fields; on standard error.
//!
//! `text` is `TIME LEVEL message  field=value …` with the session's fields last; `json` is one
//! object a line. Only this program's own lines follow `log.level`: libraries log warnings at
//! most, because at lower levels they show what goes over the wire.

use std::fmt;
use std::io;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::{LogFormat, LogSettings};

/// The level of the running log.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<Targets, Registry>);

impl LogLevel {
    /// Logs from now on what is of `level` or more important.
    pub fn set(&self, level: Level) {
        // It fails when nothing is logged at all: another `init` was first, so this one is idle.
        let _ = self.0.reload(filter(level));
    }
}

/// Starts logging for the whole process. Later calls change nothing.
pub fn init(settings: &LogSettings) -> LogLevel {
    let (filter, level) = reload::Layer::new(filter(settings.level));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let layer = match settings.format {
        LogFormat::Text => layer.event_format(Text).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    LogLevel(level)
}

fn filter(level: Level) -> Targets {
    Targets::new().with_default(Level::WARN).with_target("mailbearer", level)
}

/// The `text` format.
#[derive(Debug)]
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {:<5} ", event.metadata().level())?;
        context.format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

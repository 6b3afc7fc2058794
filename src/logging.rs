//! Log lines: a short constant message, then fields; on standard error.
//!
//! `text` is `TIME LEVEL message  field=value …` with the session's fields last; `json` is one
//! object a line. Where standard error leads to the journal, which has the time already, a line of
//! text begins with its priority instead. Only this program's own lines follow `log.level`: libraries log warnings at
//! most, because at lower levels they show what goes over the wire. rustls does so in its warnings
//! already, up to 64 KiB of a stranger's ClientHello each, so it logs errors alone: what came of a
//! handshake is in the closing line of its session.

use std::env;
use std::fmt;
use std::io;
use std::os::fd::AsFd;

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
        LogFormat::Text => layer.event_format(Text(Begin::of(io::stderr()))).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    LogLevel(level)
}

fn filter(level: Level) -> Targets {
    Targets::new()
        .with_default(Level::WARN)
        .with_target("rustls::", Level::ERROR)
        .with_target("mailbearer", level)
}

/// With what a line of text begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// The time.
    Time,
    /// The priority, as sd-daemon(3) has it.
    Priority,
}

impl Begin {
    /// What fits a log that is written to `stream`.
    fn of(stream: impl AsFd) -> Self {
        let named = env::var("JOURNAL_STREAM").ok();
        if named.is_some_and(|named| is_stream(&named, stream)) {
            Self::Priority
        } else {
            Self::Time
        }
    }
}

/// Whether `stream` is the one that `named` names, as `DEVICE:INODE` (systemd.exec(5)). A program of
/// a unit whose output was led elsewhere has that variable, too.
fn is_stream(named: &str, stream: impl AsFd) -> bool {
    let Some((device, inode)) = named.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else {
        return false;
    };
    rustix::fs::fstat(stream).is_ok_and(|stat| stat.st_dev == device && stat.st_ino == inode)
}

/// The syslog priority of a level, as sd-daemon(3) numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The `text` format.
#[derive(Debug)]
struct Text(Begin);

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
        let level = event.metadata().level();
        match self.0 {
            Begin::Time => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " {level:<5} ")?;
            }
            Begin::Priority => write!(writer, "<{}>{level:<5} ", priority(*level))?,
        }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rustls::crypto::aws_lc_rs;
    use rustls::server::Acceptor;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

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

    /// A ClientHello that asks for a server whose name is none.
    fn hello_for_no_name() -> Vec<u8> {
        const NAME: &str = "mail.example";
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = NAME.try_into().unwrap();
        let mut hello = Vec::new();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        client.write_tls(&mut hello).unwrap();
        let at = hello.windows(NAME.len()).position(|part| part == NAME.as_bytes()).unwrap();
        hello[at] = b'!';
        hello
    }

    /// What is logged by `filter` when such a hello is taken.
    fn logged(filter: Targets) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let logging = tracing_subscriber::registry().with(layer.with_filter(filter)).set_default();
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &hello_for_no_name()[..]).unwrap();
        // Whether it is taken is not the question here.
        let _ = acceptor.accept();
        drop(logging);
        let written = written.0.lock().unwrap();
        String::from_utf8(written.clone()).unwrap()
    }

    #[test]
    fn log_shows_nothing_of_a_hello_at_any_level() {
        let unfiltered = logged(Targets::new().with_default(Level::WARN));
        assert!(unfiltered.contains("!ail.example"), "it is one that rustls shows: {unfiltered}");
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert_eq!(logged(filter(level)), "", "{level}");
        }
    }

    #[test]
    fn text_begins_with_the_priority_and_no_time_where_the_journal_has_it() {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(Text(Begin::Priority))
            .with_writer(move || writer.clone());
        let logging = tracing_subscriber::registry().with(layer).set_default();
        tracing::error!("e");
        tracing::warn!(name = "a\n<3>b", "w");
        tracing::info!("i");
        tracing::debug!("d");
        tracing::trace!("t");
        drop(logging);
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = written.lines().collect();
        // sd-daemon(3): SD_ERR 3, SD_WARNING 4, SD_INFO 6, SD_DEBUG 7.
        assert_eq!(
            lines,
            [
                "<3>ERROR e",
                "<4>WARN  w name=\"a\\n<3>b\"",
                "<6>INFO  i",
                "<7>DEBUG d",
                "<7>TRACE t"
            ]
        );
    }

    #[test]
    fn journal_is_believed_only_where_the_stream_is_the_one_that_it_names() {
        let file = tempfile::tempfile().unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let (device, inode) = (stat.st_dev, stat.st_ino);
        assert!(is_stream(&format!("{device}:{inode}"), &file));
        for other in [
            format!("{device}:{}", inode + 1),
            format!("{}:{inode}", device + 1),
            format!("{device}"),
            format!(":{inode}"),
            format!("{device}:"),
            String::new(),
        ] {
            assert!(!is_stream(&other, &file), "{other}");
        }
    }

    #[test]
    fn log_follows_the_level_for_our_own_lines_and_tells_warnings_of_libraries() {
        let filter = filter(Level::DEBUG);
        for (target, level, is_told) in [
            ("mailbearer::relay", Level::DEBUG, true),
            ("mailbearer::relay", Level::TRACE, false),
            ("rustls::common_state", Level::ERROR, true),
            ("rustls::msgs::handshake", Level::WARN, false),
            ("rustls_platform_verifier::verification", Level::WARN, true),
            ("hyper::proto", Level::WARN, true),
            ("hyper::proto", Level::INFO, false),
        ] {
            assert_eq!(filter.would_enable(target, &level), is_told, "{target} {level}");
        }
    }
}

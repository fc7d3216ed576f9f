//! The operator's log: standard error, text for people and JSON for machines.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogShape {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What is written, and in which shape.
pub struct LogLines(Lines);

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

impl LogLines {
    /// Lines on standard error that `filter` lets through, for example `info` or `info,transport=debug`. Colours only
    /// on a terminal, and only when `colours` allows them.
    ///
    /// # Errors
    /// When `filter` cannot be read.
    pub fn new(filter: &str, shape: LogShape, colours: bool) -> Result<Self, ParseError> {
        let is_terminal = stderr().is_terminal();
        let is_json = match shape {
            LogShape::Auto => !is_terminal,
            LogShape::Text => false,
            LogShape::Json => true,
        };
        let filter = EnvFilter::builder().parse(filter)?;
        Ok(Self(lines(filter, is_json, is_terminal && colours, stderr)))
    }
}

/// The log of the process.
#[derive(Clone)]
pub struct Log(Handle<Lines, Registry>);

impl Log {
    /// Starts to write. A second start in one process keeps the first.
    #[must_use]
    pub fn start(lines: LogLines) -> Self {
        let (lines, handle) = reload::Layer::new(lines.0);
        tracing_subscriber::registry().with(lines).try_init().ok();
        Self(handle)
    }

    /// Writes other lines from now on. What nobody wants written costs as little as before: which places of the code
    /// may speak is found out once for each change.
    pub fn follow(&self, lines: LogLines) {
        // Fails when the log was never started, or its lock is poisoned, and then there is nobody to tell.
        self.0.reload(lines.0).ok();
    }
}

/// What turns events into lines. The module stays out of a line: an operator knows layers and
/// plugins, not the rooms of the source.
fn lines<W>(filter: EnvFilter, is_json: bool, colours: bool, writer: W) -> Lines
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    // Who cannot be told, because the disk is full or the reader is gone, cannot be told of that either; the attempt would
    // be a panic.
    let lines = lines.with_target(false).log_internal_errors(false);
    // The filter outside: only the outer one of two is asked which levels nobody wants.
    if is_json {
        Box::new(lines.json().flatten_event(true).with_span_list(false).and_then(filter))
    } else {
        Box::new(lines.with_ansi(colours).and_then(filter))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::Subscriber;
    use tracing::level_filters::LevelFilter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What two events leave in the log.
    fn log(filter: &str, is_json: bool, colours: bool) -> String {
        let written = Written::default();
        let writer = written.clone();
        let filter = EnvFilter::builder().parse(filter).expect("a filter");
        let lines = lines(filter, is_json, colours, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::info!(plugin = "echo", calls = 3, "Plugin ready.");
            tracing::debug!("Nobody wants this.");
        });
        let bytes = written.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn text_has_the_message_and_its_fields_on_one_line() {
        let text = log("info", false, false);
        assert!(text.ends_with(" INFO Plugin ready. plugin=\"echo\" calls=3\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn json_has_message_and_fields_side_by_side() {
        let text = log("info", true, false);
        for part in [
            "\"level\":\"INFO\"",
            "\"message\":\"Plugin ready.\"",
            "\"plugin\":\"echo\"",
            "\"calls\":3",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn colours_only_when_they_are_wanted() {
        assert!(!log("info", false, false).contains('\x1b'));
        assert!(log("info", false, true).contains('\x1b'));
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        assert_eq!(log("warn", false, false), "");
        assert_eq!(log("info,telemetry=debug", false, false).lines().count(), 2);
    }

    #[test]
    fn a_log_that_cannot_be_written_stops_nobody() {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux");
        let filter = EnvFilter::builder().parse("info").expect("a filter");
        let mut is_past = false;
        let lines = tracing_subscriber::registry().with(lines(filter, true, false, full));
        tracing::subscriber::with_default(lines, || {
            tracing::info!("Nobody will read this.");
            is_past = true;
        });
        assert!(is_past);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        assert!(LogLines::new("telemetry=loud", LogShape::Auto, false).is_err());
    }

    #[test]
    fn what_is_written_may_become_something_else() {
        let written = Written::default();
        let to = |filter: &str, is_json| {
            let writer = written.clone();
            let filter = EnvFilter::builder().parse(filter).expect("a filter");
            LogLines(lines(filter, is_json, false, move || writer.clone()))
        };
        let (layer, handle) = reload::Layer::new(to("info", false).0);
        let log = Log(handle);
        let subscriber = tracing_subscriber::registry().with(layer);
        // What is known to be wanted by nobody costs one comparison.
        assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
        // One place, as the log asks each place only once whether anybody listens.
        let speak = || tracing::debug!(calls = 3, "Nobody wants this.");
        tracing::subscriber::with_default(subscriber, || {
            speak();
            log.follow(to("debug", true));
            speak();
            log.follow(to("warn", true));
            speak();
        });
        let bytes = written.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with('{') && text.contains("\"calls\":3"), "{text}");
    }
}

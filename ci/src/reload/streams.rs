//! Clients that listen: event streams of sessions and subscriptions, and how often each heard of a changed list.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use load::{Target, wire};
use serde_json::json;

use super::live::{Live, PATIENCE};
use crate::Outcome;
use crate::stage::wait;

/// A list whose changes are told.
#[derive(Clone, Copy)]
pub(super) enum List {
    /// Of tools.
    Tools,
    /// Of prompts.
    Prompts,
}

/// What one stream has said.
#[derive(Default)]
struct Heard {
    is_open: AtomicBool,
    is_over: AtomicBool,
    tools: AtomicU64,
    prompts: AtomicU64,
}

/// One open stream, read on a thread of its own until either side ends it.
struct Stream {
    socket: TcpStream,
    heard: Arc<Heard>,
    reader: Option<JoinHandle<()>>,
    /// Of the stream of a session.
    session: Option<String>,
}

/// Streams of both eras.
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    /// Opens so many, every other one a session's event stream and the rest subscriptions; all are listening then.
    pub(super) fn open(live: &Live<'_>, count: usize) -> Result<Self, String> {
        let target = live.appliance.target();
        let opened = (0..count)
            .map(|number| if number % 2 == 0 { of_session(target) } else { subscription(live) });
        let streams = Self(opened.collect::<Result<_, String>>()?);
        let are_open = wait::until(PATIENCE, || {
            streams.0.iter().all(|stream| stream.heard.is_open.load(Relaxed))
        });
        if are_open { Ok(streams) } else { Err("not every stream has opened".to_owned()) }
    }

    /// How often each has heard of a change.
    pub(super) fn heard(&self, list: List) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(move |stream| stream.heard.of(list).load(Relaxed))
    }

    /// Waits until each has heard so often of it; whether all did.
    pub(super) fn all_hear(&self, list: List, times: u64) -> bool {
        wait::until(Duration::from_secs(20), || self.heard(list).all(|heard| heard >= times))
    }

    /// How many changes too few or too many they heard of, all together.
    pub(super) fn misheard(&self, list: List, times: u64) -> u64 {
        self.heard(list).map(|heard| heard.abs_diff(times)).sum()
    }

    /// How many the other side has ended.
    pub(super) fn ended(&self) -> u64 {
        self.0.iter().filter(|stream| stream.heard.is_over.load(Relaxed)).count() as u64
    }

    /// Ends all, and the sessions of those that have one.
    pub(super) fn close(self, live: &Live<'_>) -> Outcome {
        let mut client = live.client()?;
        for session in self.0.iter().filter_map(|stream| stream.session.as_deref()) {
            client.exchange(&wire::delete(live.appliance.target(), session))?;
        }
        Ok(())
    }
}

impl Heard {
    const fn of(&self, list: List) -> &AtomicU64 {
        match list {
            List::Tools => &self.tools,
            List::Prompts => &self.prompts,
        }
    }

    /// Takes note of a line of the stream. A subscription is open once it was acknowledged.
    fn note(&self, line: &str, opens_with: &str) {
        if line.contains(opens_with) {
            self.is_open.store(true, Relaxed);
        } else if line.contains("\"notifications/tools/list_changed\"") {
            self.tools.fetch_add(1, Relaxed);
        } else if line.contains("\"notifications/prompts/list_changed\"") {
            self.prompts.fetch_add(1, Relaxed);
        }
    }
}

fn of_session(target: &Target) -> Result<Stream, String> {
    let mut client = load::Client::connect(target)?;
    let session = client.open_session()?;
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\
         MCP-Protocol-Version: 2025-11-25\r\n\r\n",
        target.path, target.authority
    );
    let opens_with = "content-type: text/event-stream";
    let mut stream = Stream::begin(client.into_stream(), head.as_bytes(), opens_with)?;
    stream.session = Some(session);
    Ok(stream)
}

fn subscription(live: &Live<'_>) -> Result<Stream, String> {
    let wanted =
        json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true } });
    let request = live.request_of("subscriptions/listen", wanted);
    let acknowledged = "\"notifications/subscriptions/acknowledged\"";
    Stream::begin(live.client()?.into_stream(), &request, acknowledged)
}

impl Stream {
    fn begin(
        mut socket: TcpStream,
        request: &[u8],
        opens_with: &'static str,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a stream does not open: {error}");
        // It may be silent for as long as it likes.
        socket.set_read_timeout(None).map_err(failed)?;
        socket.write_all(request).map_err(failed)?;
        let lines = BufReader::new(socket.try_clone().map_err(failed)?).lines();
        let heard = Arc::new(Heard::default());
        let noted = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| noted.note(&line, opens_with));
            noted.is_over.store(true, Relaxed);
        });
        Ok(Self { socket, heard, reader: Some(reader), session: None })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The other side may have ended it before.
        self.socket.shutdown(Shutdown::Both).ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_is_counted_apart_and_a_stream_opens_with_its_first_word() {
        let heard = Heard::default();
        heard.note("data: {\"method\":\"notifications/tools/list_changed\"}", "acknowledged");
        heard.note("data: {\"method\":\"notifications/prompts/list_changed\"}", "acknowledged");
        heard.note("data: {\"method\":\"notifications/prompts/list_changed\"}", "acknowledged");
        assert!(!heard.is_open.load(Relaxed));
        heard.note("data: {\"method\":\"acknowledged\"}", "acknowledged");
        let counts = [List::Tools, List::Prompts].map(|list| heard.of(list).load(Relaxed));
        assert_eq!((counts, heard.is_open.load(Relaxed)), ([1, 2], true));
    }
}

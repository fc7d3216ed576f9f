//! What came back: every call counted once, as accepted, refused or failed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use memchr::memmem;
use serde_json::Value;

use crate::answer;

/// One answer in so many is read as a client would read it.
const SAMPLE_EVERY: u64 = 512;
/// Latencies are kept from 1 us to 120 s, to three digits.
const LATENCY_NS: (u64, u64) = (1_000, 120_000_000_000);
/// Most names that are counted apart: they come from the other side.
const NAMES_MAX: usize = 32;
/// What is counted under no name of its own.
const OTHER: &str = "other";
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 400;

/// What a good answer is.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// Status 200, for a server that speaks no MCP.
    Status,
    /// Status 200 with a result that is no error of the tool.
    Result,
    /// The same; and one answer in a few hundred is read as a client would, and must say this text.
    Echo(&'a str),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Accepted,
    /// With the stable name of its kind.
    Refused(String),
    /// With a name for what went wrong.
    Failed(Cow<'static, str>),
}

/// What came back from one run.
pub struct Tally {
    /// Calls that were due: the sum of those accepted, refused, failed and not sent once the run has ended.
    pub offered: u64,
    /// Good answers, whenever they came.
    pub accepted: u64,
    /// Good answers within the time.
    pub accepted_in_time: u64,
    /// Refusals by their kind, as `data.refusal` names it.
    pub refusals: BTreeMap<Cow<'static, str>, u64>,
    /// Everything else by what went wrong.
    pub errors: BTreeMap<Cow<'static, str>, u64>,
    /// The first of those, in the server's words where it had any.
    pub first_error: Option<String>,
    /// Calls that found no free connection: what the load could not do, not what the server did.
    pub not_sent: u64,
    /// Connections that were opened in the course of it.
    pub connects: u64,
    /// How long calls were made.
    pub elapsed: Duration,
    /// Nanoseconds of accepted calls, from the moment each was due until the kernel had the whole answer, less the
    /// generator's own lateness: while all clients wait for the server, a call that is due waits for it too.
    pub accepted_ns: Histogram<u64>,
    /// Nanoseconds of refusals, counted in the same way.
    pub refused_ns: Histogram<u64>,
    /// Nanoseconds of refusals, from the first byte out until the kernel had the whole answer.
    pub refusal_answer_ns: Histogram<u64>,
    /// Nanoseconds that calls were sent too late although a client was free: the generator's own lateness. Empty where
    /// the server sets the pace.
    pub lateness_ns: Histogram<u64>,
}

impl fmt::Debug for Tally {
    /// Without the histograms, which would fill a book.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("offered", &self.offered)
            .field("accepted", &self.accepted)
            .field("refusals", &self.refusals)
            .field("errors", &self.errors)
            .field("first_error", &self.first_error)
            .field("not_sent", &self.not_sent)
            .field("connects", &self.connects)
            .field("elapsed", &self.elapsed)
            .finish_non_exhaustive()
    }
}

impl Tally {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            offered: 0,
            accepted: 0,
            accepted_in_time: 0,
            refusals: BTreeMap::new(),
            errors: BTreeMap::new(),
            first_error: None,
            not_sent: 0,
            connects: 0,
            elapsed: Duration::ZERO,
            accepted_ns: histogram()?,
            refused_ns: histogram()?,
            refusal_answer_ns: histogram()?,
            lateness_ns: histogram()?,
        })
    }

    /// Refusals of all kinds.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    /// Calls that were sent, and neither accepted nor refused.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Good answers a second, of those that came in time.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        self.accepted_in_time as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Calls that were due in a second.
    #[must_use]
    pub fn offered_per_sec(&self) -> f64 {
        self.offered as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Notes how late the generator sent a call; `None` where the server sets the pace.
    pub(crate) fn record_lateness(&mut self, lateness: Option<Duration>) {
        if let Some(lateness) = lateness {
            self.lateness_ns.saturating_record(nanos(lateness));
        }
    }

    /// Counts one whole answer. `waited`: for a client that waited for the server; `since_sent`: until the kernel had
    /// the answer.
    pub(crate) fn record(
        &mut self,
        ending: Ending,
        answer: &[u8],
        waited: Duration,
        since_sent: Duration,
        in_time: bool,
    ) {
        match ending {
            Ending::Accepted => {
                self.accepted += 1;
                self.accepted_in_time += u64::from(in_time);
                self.accepted_ns.saturating_record(nanos(waited + since_sent));
            }
            Ending::Refused(kind) => {
                count(&mut self.refusals, kind.into(), 1);
                self.refused_ns.saturating_record(nanos(waited + since_sent));
                self.refusal_answer_ns.saturating_record(nanos(since_sent));
            }
            Ending::Failed(name) => self.fail(name, 1, || String::from_utf8_lossy(answer)),
        }
    }

    /// Counts calls that failed; `what` says how, for the first.
    pub(crate) fn fail<'w>(
        &mut self,
        name: Cow<'static, str>,
        calls: u64,
        what: impl FnOnce() -> Cow<'w, str>,
    ) {
        count(&mut self.errors, name, calls);
        self.first_error.get_or_insert_with(|| what().chars().take(ERROR_CHARS_MAX).collect());
    }

    /// How an answer ends its call. `number`: how many came before it.
    pub(crate) fn ending(
        status: u16,
        answer: &[u8],
        expected: Expected<'_>,
        number: u64,
    ) -> Ending {
        if status != 200 {
            return refusal(answer).map_or_else(
                || Ending::Failed(format!("status_{status}").into()),
                Ending::Refused,
            );
        }
        let looks_wrong = || {
            [&b"\"error\""[..], b"\"isError\":true"]
                .iter()
                .any(|mark| memmem::find(answer, mark).is_some())
        };
        match expected {
            Expected::Status => Ending::Accepted,
            Expected::Echo(text) if number.is_multiple_of(SAMPLE_EVERY) => match read(answer) {
                Some(message) if answer::echoes(&message, text) => Ending::Accepted,
                message => message.map_or(unreadable(), |message| close_look(&message, true)),
            },
            // Nearly every answer is good, and says so by what it does not hold.
            Expected::Echo(_) | Expected::Result if !looks_wrong() => Ending::Accepted,
            Expected::Echo(_) | Expected::Result => {
                read(answer).map_or(unreadable(), |message| close_look(&message, false))
            }
        }
    }
}

fn read(answer: &[u8]) -> Option<Value> {
    answer::body(answer).ok().and_then(|body| answer::message(&body))
}

const fn unreadable() -> Ending {
    Ending::Failed(Cow::Borrowed("no_message"))
}

/// The kind of refusal that an answer holds.
fn refusal(answer: &[u8]) -> Option<String> {
    let message = read(answer)?;
    message["error"]["data"]["refusal"].as_str().map(str::to_owned)
}

fn close_look(message: &Value, is_other_text: bool) -> Ending {
    if let Some(kind) = message["error"]["data"]["refusal"].as_str() {
        return Ending::Refused(kind.to_owned());
    }
    if let Some(error) = message.get("error") {
        return Ending::Failed(format!("rpc_error_{}", error["code"]).into());
    }
    if message["result"]["isError"] == true {
        return Ending::Failed("tool_error".into());
    }
    if is_other_text { Ending::Failed("other_text".into()) } else { Ending::Accepted }
}

fn count(names: &mut BTreeMap<Cow<'static, str>, u64>, name: Cow<'static, str>, calls: u64) {
    let is_full = names.len() >= NAMES_MAX && !names.contains_key(&name);
    let name = if is_full { Cow::Borrowed(OTHER) } else { name };
    *names.entry(name).or_default() += calls;
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(LATENCY_NS.0, LATENCY_NS.1, 3).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(status: u16, body: &str, expected: Expected<'_>) -> Ending {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Tally::ending(status, answer.as_bytes(), expected, 0)
    }

    #[test]
    fn result_is_accepted_even_when_it_speaks_of_errors() {
        let body = r#"{"result":{"content":[],"structuredContent":{"error":null}}}"#;
        assert_eq!(ending(200, body, Expected::Result), Ending::Accepted);
    }

    #[test]
    fn refusals_are_found_whatever_their_status() {
        let body = r#"{"error":{"code":-32019,"data":{"refusal":"timed_out"}}}"#;
        for status in [200, 429, 503] {
            let refused = Ending::Refused("timed_out".to_owned());
            assert_eq!(ending(status, body, Expected::Result), refused);
        }
    }

    #[test]
    fn failures_are_named_by_what_went_wrong() {
        let failed = |status, body| match ending(status, body, Expected::Result) {
            Ending::Failed(name) => name.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(500, "oh"), "status_500");
        assert_eq!(failed(200, r#"{"error":{"code":-32602}}"#), "rpc_error_-32602");
        assert_eq!(failed(200, r#"{"result":{"isError":true}}"#), "tool_error");
        assert_eq!(failed(200, "\"error\" and no message"), "no_message");
    }

    #[test]
    fn sampled_echo_must_say_the_text() {
        let body = r#"{"result":{"content":[{"type":"text","text":"hi"}]}}"#;
        assert_eq!(ending(200, body, Expected::Echo("hi")), Ending::Accepted);
        assert_eq!(ending(200, body, Expected::Echo("ho")), Ending::Failed("other_text".into()));
    }

    #[test]
    fn names_from_the_other_side_cannot_grow_without_end() {
        let mut tally = Tally::new().unwrap();
        for number in 0..1_000 {
            let ending = Ending::Refused(format!("kind_{number}"));
            tally.record(ending, b"", Duration::ZERO, Duration::ZERO, true);
        }
        assert_eq!(tally.refusals.len(), NAMES_MAX + 1);
        assert_eq!(tally.refused(), 1_000);
    }

    #[test]
    fn goodput_counts_what_came_in_time() {
        let mut tally = Tally::new().unwrap();
        tally.elapsed = Duration::from_secs(2);
        for in_time in [true, true, false, true] {
            let (ending, wait) = (Ending::Accepted, Duration::from_millis(3));
            tally.record(ending, b"", wait, wait, in_time);
        }
        assert_eq!((tally.accepted, tally.goodput()), (4, 1.5));
    }
}

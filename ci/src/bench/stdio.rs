//! Throughput over standard input and output: pipelined echoes through ours, and through bare loops over lines: as one
//! writes it, and with more room than the client ever fills, which is the ceiling.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use load::answer;
use load::wire::{self, Era, Tool};
use serde::Serialize;
use serde_json::Value;

use super::Settings;
use super::contestants;
use super::process;
use super::rounds::SIZES;
use crate::statistics::{median, rotation, spread};

/// Requests in flight: what ours allows a client by default.
const IN_FLIGHT: usize = 64;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;
/// One read in so many has its last answer looked at.
const SAMPLE_EVERY: u64 = 64;
/// The first id; all have as many digits, so that a line is made by writing over the last one's id.
const FIRST_ID: u64 = 10_000_000;

/// One size: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Bytes of the text to echo.
    pub(crate) text_bytes: usize,
    /// Answers of ours in a second.
    pub(crate) messages_per_second: f64,
    /// Distance of the best and the worst round as a share of the median.
    pub(crate) spread: f64,
    /// Answers of the bare loop in a second.
    pub(crate) bare_messages_per_second: f64,
    /// Ours as a share of the bare loop.
    pub(crate) of_bare: f64,
    /// Answers of the loop with much room in a second.
    pub(crate) roomy_messages_per_second: f64,
}

/// Runs all rounds of all sizes, in the modern era.
pub(crate) fn measure(settings: &Settings) -> Result<Vec<Row>, String> {
    SIZES.iter().map(|text_bytes| size(*text_bytes, settings)).collect()
}

fn size(text_bytes: usize, settings: &Settings) -> Result<Row, String> {
    let text = wire::text(text_bytes);
    let ours = contestants::serve("ci/bench/stdio.toml");
    let mut pipe = Pipe::open(&ours, Some(settings.cores.server))?;
    let answer_bytes = pipe.call(&text)?;
    drop(pipe);
    let programs = [
        (ours, Some(text.as_str())),
        (contestants::bare_line_loop(answer_bytes, None), None),
        (contestants::bare_line_loop(answer_bytes, Some(READ_BYTES)), None),
    ];
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..settings.rounds {
        for place in rotation(programs.len(), round) {
            if let (Some((argv, echo)), Some(rates)) = (programs.get(place), rates.get_mut(place)) {
                let pipe = Pipe::open(argv, Some(settings.cores.server))?;
                rates.push(pipe.run(&text, *echo, settings.round_time)?);
            }
        }
    }
    let [ours, bare, roomy] = rates;
    let middle = |rates: &[f64]| median(rates).unwrap_or_default();
    Ok(Row {
        text_bytes,
        messages_per_second: middle(&ours),
        spread: spread(&ours).unwrap_or_default(),
        bare_messages_per_second: middle(&bare),
        of_bare: middle(&ours) / middle(&bare),
        roomy_messages_per_second: middle(&roomy),
    })
}

/// A program that is spoken to in lines.
pub(crate) struct Pipe {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Pipe {
    /// Starts a program on `core`, or anywhere.
    pub(crate) fn open(argv: &[String], core: Option<usize>) -> Result<Self, String> {
        let mut child = process::spawn(argv, core, Stdio::piped())?;
        if let Some(errors) = child.stderr.take() {
            std::thread::spawn(move || BufReader::new(errors).lines().for_each(drop));
        }
        let input = child.stdin.take().ok_or("no standard input to write to")?;
        let output = child.stdout.take().ok_or("no standard output to read")?;
        Ok(Self { child, input, output })
    }

    /// Calls once; bytes of the answer without the end of its line.
    fn call(&mut self, text: &str) -> Result<usize, String> {
        let mut line = wire::call_message(Era::Modern, FIRST_ID, &Tool::echo(text)).to_string();
        line.push('\n');
        self.input.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        BufReader::new(&mut self.output)
            .read_line(&mut answer)
            .map_err(|error| error.to_string())?;
        check(answer.trim_end().as_bytes(), text)?;
        Ok(answer.trim_end().len())
    }

    /// Calls for `duration` with [`IN_FLIGHT`] requests under way; answers in a second. With `echo`, looks into some.
    pub(crate) fn run(
        mut self,
        text: &str,
        echo: Option<&str>,
        duration: Duration,
    ) -> Result<f64, String> {
        let (credit, credits) = channel();
        let input = self.input;
        let template = wire::call_message(Era::Modern, FIRST_ID, &Tool::echo(text)).to_string();
        let writer = std::thread::spawn(move || write(input, &template, &credits, duration));
        let begun = Instant::now();
        let mut part = vec![0; READ_BYTES];
        let (mut answers, mut reads, mut last) = (0_u64, 0_u64, begun);
        let mut tail = Vec::new();
        loop {
            let got = self.output.read(&mut part).map_err(|error| format!("reading: {error}"))?;
            let Some(bytes) = part.get(..got).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let ends = memchr::memchr_iter(b'\n', bytes).count();
            answers += ends as u64;
            if let Some(text) = echo {
                sample(bytes, &mut tail, reads, text)?;
            }
            reads += 1;
            last = Instant::now();
            // The writer has gone when the time is over; what is under way still comes in.
            credit.send(ends).ok();
        }
        let sent = writer.join().map_err(|_| "the writer has panicked".to_owned())??;
        self.child.wait().map_err(|error| error.to_string())?;
        if answers != sent {
            return Err(format!("{sent} requests got {answers} answers"));
        }
        Ok(answers as f64 / (last - begun).as_secs_f64())
    }
}

/// Looks at the first answer that is whole in `bytes`, now and then. `tail` keeps the begin of a line for the next part.
fn sample(bytes: &[u8], tail: &mut Vec<u8>, reads: u64, text: &str) -> Result<(), String> {
    let begin = std::mem::take(tail);
    if let Some(end) = memchr::memchr(b'\n', bytes) {
        if reads.is_multiple_of(SAMPLE_EVERY) {
            let line = [&begin, bytes.get(..end).unwrap_or_default()].concat();
            check(&line, text)?;
        }
        let rest = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        tail.extend_from_slice(bytes.get(rest..).unwrap_or_default());
    } else {
        *tail = [&begin, bytes].concat();
    }
    Ok(())
}

fn check(line: &[u8], text: &str) -> Result<(), String> {
    let message: Option<Value> = answer::message(line);
    if message.is_some_and(|message| answer::echoes(&message, text)) {
        Ok(())
    } else {
        Err(format!("not an echo: {}", String::from_utf8_lossy(line)))
    }
}

/// Writes requests for `duration`, never more than the answers allow; how many. Ends the input.
fn write(
    mut input: ChildStdin,
    template: &str,
    credits: &Receiver<usize>,
    duration: Duration,
) -> Result<u64, String> {
    let line = format!("{template}\n");
    let id_at = line.find(&FIRST_ID.to_string()).ok_or("a request without its id")?;
    let mut batch = line.as_bytes().repeat(IN_FLIGHT);
    let begun = Instant::now();
    let (mut sent, mut free) = (0_u64, IN_FLIGHT);
    while begun.elapsed() < duration {
        for (place, request) in batch.chunks_exact_mut(line.len()).take(free).enumerate() {
            let id = (FIRST_ID + sent + place as u64).to_string();
            if let Some(digits) = request.get_mut(id_at..id_at + id.len()) {
                digits.copy_from_slice(id.as_bytes());
            }
        }
        let requests = batch.get(..free * line.len()).unwrap_or_default();
        input.write_all(requests).map_err(|error| format!("writing: {error}"))?;
        sent += free as u64;
        free = credits.recv().map_err(|_| "the answers have ended early".to_owned())?;
        free += credits.try_iter().sum::<usize>();
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = br#"{"result":{"content":[{"type":"text","text":"hi"}]}}"#;

    #[test]
    fn sample_joins_an_answer_that_came_in_two_parts() {
        let mut tail = Vec::new();
        let (begin, end) = ANSWER.split_at(20);
        sample(begin, &mut tail, 1, "hi").unwrap();
        let rest = [end, b"\n{\"res"].concat();
        sample(&rest, &mut tail, SAMPLE_EVERY, "hi").unwrap();
        assert_eq!(tail, b"{\"res");
    }

    #[test]
    fn sample_finds_what_is_no_echo() {
        let line = [ANSWER, b"\n"].concat();
        assert!(sample(&line, &mut Vec::new(), 0, "ho").is_err());
    }
}

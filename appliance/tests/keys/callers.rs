//! Clients that call one tool again and again, each on a connection that it keeps.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{PATIENCE, Program, modern_call, modern_headers};
use crate::wire::{posted, until};

/// They call until this is dropped.
pub(crate) struct Callers {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    /// So many of them; a connection that ends or an answer that does not come is a panic, which the drop tells of.
    pub(crate) fn start(program: &Program, count: usize, tool: &str, arguments: &Value) -> Self {
        Self::thinking(program, count, tool, arguments, Duration::ZERO)
    }

    /// The same of clients that think so long between two calls, and so make about the same load whatever they hear.
    pub(crate) fn thinking(
        program: &Program,
        count: usize,
        tool: &str,
        arguments: &Value,
        think: Duration,
    ) -> Self {
        let call = modern_call(tool, arguments);
        let request = posted(program, &modern_headers("tools/call", Some(tool)), &call);
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = (0..count).map(|_| {
            let (address, request) = (program.address.clone(), request.clone());
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            std::thread::spawn(move || call_until(&address, &request, think, &is_over, &answered))
        });
        Self { threads: threads.collect(), is_over, answered }
    }

    /// Answers so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Waits for so many more answers.
    pub(crate) fn go_on(&self, count: u64) {
        let before = self.answered();
        until("calls go on", || self.answered() >= before + count);
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        let ends: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        assert!(std::thread::panicking() || ends.iter().all(Result::is_ok), "a call was lost");
    }
}

fn call_until(
    address: &str,
    request: &str,
    think: Duration,
    is_over: &AtomicBool,
    answered: &AtomicU64,
) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while !is_over.load(Relaxed) {
        stream.write_all(request.as_bytes()).expect("it reads");
        read_answer(&mut reader);
        answered.fetch_add(1, Relaxed);
        let done = Instant::now();
        while let Some(left) = think.checked_sub(done.elapsed()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
    }
}

/// Reads an answer whose length is in its head.
fn read_answer(reader: &mut impl BufRead) {
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("in time");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse().expect("a number"));
        }
        if line.is_empty() {
            break;
        }
    }
    let length: u64 = length.expect("an answer with a length");
    let read = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    assert_eq!(read.expect("in time"), length, "a whole answer");
}

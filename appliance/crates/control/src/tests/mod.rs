//! The control listener over real sockets.

mod answers;
mod connections;
mod profile;
mod reload;
mod selftest;
mod start;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::profile::plan::{ControlBind, ControlPlan};
use bytes::Bytes;
use runtime::{Phase, Source, Vitals};

use crate::listener::ControlAddress;
use crate::orders::{Serving, Telling, Told};
use crate::pace::Deadlines;
use crate::sources::{PluginReport, ProfileReport, Sources};
use crate::thread::{Control, Limits, start_within};

/// Longer than any test takes: a test that waits for ever must fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// So long that no test meets it.
const NEVER: Duration = Duration::from_secs(3600);

/// The one refusal that is remembered.
const KNOWN_ID: &str = "00000000000000ff";

/// Limits that no test meets by accident.
const WIDE: Limits = Limits {
    connections: 64,
    deadlines: Deadlines { head: NEVER, idle: NEVER },
    dead_after: NEVER,
};

/// A process that serves, with one plugin that is ready.
fn sources() -> Sources {
    let vitals = Arc::new(Vitals::new());
    vitals.set_generation(3);
    vitals.enter(Phase::Ready);
    Sources {
        vitals,
        memory: Arc::default(),
        plugins: Arc::new(|| vec![plugin("echo", true)]),
        metrics: Arc::new(|| "some_total 1\n".to_owned()),
        plan: Arc::new(|| Bytes::from_static(b"{\"profile\":\"dev\"}")),
        attempts: Arc::new(|| Bytes::from_static(b"{\"attempts\":[]}")),
        generations: Arc::new(|| Bytes::from_static(b"{\"current\":{}}")),
        history: Arc::new(|| Bytes::from_static(b"{\"generations\":[]}")),
        profile: Arc::new(|| ProfileReport { source: Source::File, problems: 0 }),
        reloads: None,
        serving: Arc::new(|| Serving {
            toml: Bytes::from_static(b"format = 1\n"),
            identity: "0a".repeat(32).parse().expect("an identity"),
        }),
        profiles: None,
        upgrades: None,
        selftest: None,
        refusal: Arc::new(|id| {
            (id.to_string() == KNOWN_ID)
                .then(|| Bytes::from_static(b"{\"refusal\":\"overloaded\"}"))
        }),
    }
}

fn plugin(name: &str, is_ready: bool) -> PluginReport {
    let state = if is_ready { "ready" } else { "stopped" };
    PluginReport { name: name.into(), state, is_ready }
}

fn plan(bind: ControlBind) -> ControlPlan {
    ControlPlan { bind, is_local: true, refusals_kept: 0, selftest: true, takes_profiles: true }
}

/// Remembers what was ordered, and answers later.
struct Remembering<T>(Mutex<Vec<T>>);

impl<T> Remembering<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn remember(&self, order: T, told: Told) -> Telling {
        self.0.lock().expect("no test panics with it").push(order);
        Box::pin(async {
            tokio::task::yield_now().await;
            told
        })
    }

    /// All that was ordered since the last look.
    fn ordered(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().expect("no test panics with it"))
    }
}

/// A control listener on a free port.
fn started(sources: Sources, limits: Limits) -> (Control, SocketAddr) {
    let free_port = plan(ControlBind::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))));
    let control = start_within(&free_port, sources, None, limits).expect("starts");
    let ControlAddress::Tcp(address) = *control.address() else {
        panic!("asked for TCP");
    };
    (control, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// An answer as it came.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks once, on a connection of its own.
fn ask(address: SocketAddr, line: &str, host: &str) -> Answer {
    ask_on(connect(address), line, host)
}

fn ask_on(mut stream: impl Read + Write, line: &str, host: &str) -> Answer {
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sends");
    read_answer(stream)
}

/// Reads to the end of a connection, which is that of its only answer.
fn read_answer(mut stream: impl Read) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), "localhost")
}

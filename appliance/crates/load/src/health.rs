//! Probes of the health endpoints while the load runs, on a connection and a thread of their own.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::client::Client;
use crate::receipt::Health;
use crate::tally::histogram;
use crate::target::Target;
use crate::wire;

/// From one probe to the next: 100 a second.
const PERIOD: Duration = Duration::from_millis(10);
/// What is asked, in turns.
const PATHS: [&str; 2] = ["/livez", "/readyz"];
/// The prober's wish to be woken first, so that its own waiting for a core is not taken for the server's. Needs a
/// privilege that it may not have.
const NICE: i32 = -15;

/// A running prober.
#[derive(Debug)]
pub struct Prober {
    // Dropping it ends the thread.
    stop: Sender<()>,
    thread: JoinHandle<Result<Health, String>>,
}

impl Prober {
    /// Begins to probe `target`, whose path does not matter.
    #[must_use]
    pub fn start(target: &Target) -> Self {
        let (stop, stopped) = channel::<()>();
        let target = target.clone();
        let thread = std::thread::spawn(move || {
            // On Linux this is the thread's own priority.
            let is_first = rustix::process::setpriority_process(None, NICE).is_ok();
            let mut probes = Probes::new(&target)?;
            let begun = Instant::now();
            let mut count = 0_u32;
            loop {
                let due_at = begun + PERIOD * count;
                let wait = due_at.saturating_duration_since(Instant::now());
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
                probes.probe(PATHS[count as usize % PATHS.len()], due_at);
                // Probes that fell due meanwhile are made at once, one after the other.
                count += 1;
            }
            Ok(probes.health(is_first))
        });
        Self { stop, thread }
    }

    /// Ends it; what it saw.
    ///
    /// # Errors
    /// Why it could not probe.
    pub fn stop(self) -> Result<Health, String> {
        drop(self.stop);
        self.thread.join().map_err(|_| "the prober has panicked".to_owned())?
    }
}

struct Probes<'a> {
    target: &'a Target,
    client: Option<Client>,
    sent: u64,
    lost: u64,
    not_ok: u64,
    /// When the last probe ended.
    busy_until: Instant,
    answer_ns: Histogram<u64>,
    wake_ns: Histogram<u64>,
}

impl<'a> Probes<'a> {
    fn new(target: &'a Target) -> Result<Self, String> {
        let (answer_ns, wake_ns) = (histogram()?, histogram()?);
        let client = Client::connect(target).ok();
        let busy_until = Instant::now();
        Ok(Self { target, client, sent: 0, lost: 0, not_ok: 0, busy_until, answer_ns, wake_ns })
    }

    /// Probes once. What the prober itself comes late is not the server's; what the last probe made it late is.
    fn probe(&mut self, path: &str, due_at: Instant) {
        self.sent += 1;
        let woken_at = Instant::now();
        let begun = if self.busy_until > due_at {
            due_at
        } else {
            self.wake_ns.saturating_record((woken_at - due_at).as_nanos() as u64);
            woken_at
        };
        self.busy_until = self.exchange(path, begun);
    }

    /// Asks once; when the server was done with it.
    fn exchange(&mut self, path: &str, begun: Instant) -> Instant {
        let connected = self.client.take().map_or_else(|| Client::connect(self.target), Ok);
        let asked = connected.and_then(|mut client| {
            let answer = client.exchange(&wire::get(self.target, path))?;
            Ok((client, answer))
        });
        let Ok((client, answer)) = asked else {
            self.lost += 1;
            return Instant::now();
        };
        self.client = Some(client);
        self.answer_ns.saturating_record((answer.arrived_at - begun).as_nanos() as u64);
        self.not_ok += u64::from(answer.status != 200);
        answer.arrived_at
    }

    fn health(&self, is_first: bool) -> Health {
        let micros = |histogram: &Histogram<u64>, quantile: f64| {
            histogram.value_at_quantile(quantile) as f64 / 1e3
        };
        Health {
            probes: self.sent,
            lost: self.lost,
            not_ok: self.not_ok,
            p50_us: micros(&self.answer_ns, 0.5),
            p99_us: micros(&self.answer_ns, 0.99),
            max_us: self.answer_ns.max() as f64 / 1e3,
            wake_p99_us: micros(&self.wake_ns, 0.99),
            has_priority: is_first,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers so many probes on one connection with this status, and goes.
    fn serve(status: u16, probes: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::resolve(&format!("http://{}/", listener.local_addr().unwrap()));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for _ in 0..probes {
                let got = stream.read(&mut [0; 1024]).unwrap();
                assert_ne!(got, 0);
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        target.unwrap()
    }

    #[test]
    fn probes_without_an_answer_are_lost_and_bad_answers_are_not_well() {
        let target = serve(503, 2);
        let mut probes = Probes::new(&target).unwrap();
        for _ in 0..3 {
            probes.probe("/readyz", Instant::now());
        }
        let health = probes.health(false);
        assert_eq!((health.probes, health.not_ok, health.lost), (3, 2, 1));
    }

    #[test]
    fn probe_that_waited_for_the_one_before_counts_from_when_it_was_due() {
        let target = serve(200, 1);
        let mut probes = Probes::new(&target).unwrap();
        probes.busy_until = Instant::now();
        probes.probe("/livez", probes.busy_until - Duration::from_secs(1));
        assert!(probes.health(false).p50_us > 999_000.0);
    }

    #[test]
    fn lateness_of_the_prober_is_kept_apart() {
        let target = serve(200, 1);
        let mut probes = Probes::new(&target).unwrap();
        let due_at = Instant::now();
        probes.busy_until = due_at - Duration::from_secs(9);
        probes.probe("/livez", due_at - Duration::from_secs(3));
        let health = probes.health(false);
        assert!(health.wake_p99_us > 2_990_000.0 && health.max_us < 2_990_000.0, "{health:?}");
    }
}

//! The load: one thread, many clients, one call under way for each, and what came back.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::arrival::Clocks;
use crate::line::{Fault, Line, Received};
use crate::pace::{Pace, Schedule};
use crate::tally::Tally;
use crate::target::Target;
use crate::workload::Workload;

/// How long the last answers of a run may take.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long a due call waits for a client that is free. Longer, and the load would wait in the generator, where it
/// weighs on nobody; what found no client is counted as not sent.
const CLIENT_WAIT: Duration = Duration::from_millis(10);
/// Shortest sleep between calls: the processor is the server's.
const SLEEP_MIN: Duration = Duration::from_micros(100);
/// Longest sleep: how often the watcher is asked.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Events that are taken at once.
const EVENTS: usize = 1_024;
/// The timer's place among the events; clients count from zero.
const TIMER: Token = Token(usize::MAX - 1);

/// Is asked several times a second, with what came back so far; can end the run.
pub type Watcher<'w> = dyn FnMut(&Tally) -> ControlFlow<()> + 'w;

/// All clients of one server.
pub struct Load<'a> {
    target: &'a Target,
    workload: Workload<'a>,
    poll: Poll,
    timer: OwnedFd,
    lines: Vec<Line>,
    /// Clients without a call, the one that waited longest first.
    free: VecDeque<usize>,
    begun: u64,
}

/// One run of it.
struct Run {
    tally: Tally,
    end: Instant,
    schedule: Option<Schedule>,
    /// Read with each batch of events.
    clocks: Clocks,
    waiting: usize,
    is_over: bool,
}

impl<'a> Load<'a> {
    /// Connects, and shakes hands where the era asks for it.
    ///
    /// # Errors
    /// Why a client was not let in.
    pub fn open(target: &'a Target, workload: Workload<'a>) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| error.to_string())?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)
            .map_err(|error| format!("no timer: {error}"))?;
        poll.registry()
            .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)
            .map_err(|error| error.to_string())?;
        let mut lines = Vec::with_capacity(workload.connections);
        for index in 0..workload.connections {
            let source = workload.source(target, index);
            let line = Line::open(target, workload, source, Token(index), poll.registry())
                .map_err(|error| format!("connection {}: {error}", index + 1))?;
            lines.push(line);
        }
        let free = (0..lines.len()).collect();
        Ok(Self { target, workload, poll, timer, lines, free, begun: 0 })
    }

    /// Calls for `duration`, then waits for the last answers.
    ///
    /// # Errors
    /// What the system refused to the generator.
    pub fn run(
        &mut self,
        pace: Pace,
        duration: Duration,
        watcher: &mut Watcher<'_>,
    ) -> Result<Tally, String> {
        let mut events = Events::with_capacity(EVENTS);
        self.notice_closed(&mut events)?;
        let begun = Instant::now();
        let schedule = match pace {
            Pace::Closed => None,
            Pace::Open { calls_per_sec } => Some(Schedule::new(calls_per_sec, begun, duration)),
        };
        let end = begun + duration;
        let (tally, clocks) = (Tally::new()?, Clocks::read());
        let mut run = Run { tally, end, schedule, clocks, waiting: 0, is_over: false };
        let mut watched_at = begun;
        loop {
            let now = Instant::now();
            run.is_over |= now >= end;
            if now - watched_at >= SLEEP_MAX {
                watched_at = now;
                if watcher(&run.tally).is_break() {
                    run.stop(now);
                }
            }
            self.begin_due(now, &mut run);
            if run.is_done() {
                break;
            }
            if now > run.end + GRACE {
                run.tally.fail("no_answer".into(), run.waiting as u64, || {
                    "no answer within the grace at the end of the run".into()
                });
                break;
            }
            self.sleep(now, &run, &mut events)?;
            run.clocks = Clocks::read();
            for event in &events {
                self.step(event.token().0, event.is_read_closed(), &mut run);
            }
        }
        self.rest();
        run.tally.elapsed = run.end - begun;
        Ok(run.tally)
    }

    /// Connections that the server closed while nobody looked are not used again.
    fn notice_closed(&mut self, events: &mut Events) -> Result<(), String> {
        self.look(Duration::ZERO, events)?;
        for event in events.iter().filter(|event| event.is_read_closed()) {
            if let Some(line) = self.lines.get_mut(event.token().0) {
                line.hang_up();
            }
        }
        Ok(())
    }

    /// Gives every call that is due to a client that is free.
    fn begin_due(&mut self, now: Instant, run: &mut Run) {
        match run.schedule {
            None if run.is_over => {}
            None => {
                // Each once: whoever fails at once is free again, and must not be tried without end.
                for _ in 0..self.free.len() {
                    if let Some(index) = self.free.pop_front() {
                        self.begin(index, None, run);
                    }
                }
            }
            Some(mut schedule) => {
                while let Some(due_at) = schedule.due().filter(|due_at| *due_at <= now) {
                    if let Some(index) = self.free.pop_front() {
                        self.begin(index, Some(due_at), run);
                    } else if now - due_at > CLIENT_WAIT || run.is_over {
                        run.tally.offered += 1;
                        run.tally.not_sent += 1;
                    } else {
                        break;
                    }
                    schedule.take();
                }
                run.schedule = Some(schedule);
            }
        }
    }

    fn begin(&mut self, index: usize, due_at: Option<Instant>, run: &mut Run) {
        let Some(line) = self.lines.get_mut(index) else { return };
        self.begun += 1;
        run.tally.offered += 1;
        run.waiting += 1;
        let is_last = self
            .workload
            .calls_per_connection
            .is_some_and(|calls| self.begun.is_multiple_of(calls));
        line.begin(due_at, is_last);
        run.tally.record_lateness(line.lateness());
        let sent = line.reconnect(self.target, self.poll.registry()).and_then(|is_new| {
            run.tally.connects += u64::from(is_new);
            line.send()
        });
        if let Err(fault) = sent {
            self.fail(index, fault, run);
        }
    }

    /// Goes on with a client as far as its socket allows.
    fn step(&mut self, index: usize, is_closed: bool, run: &mut Run) {
        let Some(line) = self.lines.get_mut(index) else { return };
        if !line.is_waiting {
            // The server may close a connection that nobody uses.
            if is_closed {
                line.hang_up();
            }
            return;
        }
        let (status, stamp) = match line.send().and_then(|()| line.receive()) {
            Ok(Received::Pending) => return,
            Ok(Received::Answer { status, stamp }) => (status, stamp),
            Err(fault) => return self.fail(index, fault, run),
        };
        let now = Instant::now();
        let ending =
            Tally::ending(status, line.answer(), self.workload.expected, run.tally.accepted);
        let arrived_at = run.clocks.arrival(stamp, line.sent_at, now);
        let (waited, since_sent) = (line.waited(), arrived_at - line.sent_at);
        run.tally.record(ending, line.answer(), waited, since_sent, arrived_at <= run.end);
        line.finish(arrived_at);
        if is_closed {
            line.hang_up();
        }
        run.waiting -= 1;
        run.is_over |= now >= run.end;
        if run.schedule.is_none() && !run.is_over {
            self.begin(index, None, run);
        } else {
            self.free.push_back(index);
        }
    }

    fn fail(&mut self, index: usize, fault: Fault, run: &mut Run) {
        if let Some(line) = self.lines.get_mut(index) {
            line.hang_up();
            line.free_at = Instant::now();
        }
        run.waiting -= 1;
        self.free.push_back(index);
        run.tally.fail(fault.name, 1, || fault.what.into());
    }

    /// Waits for sockets, or until the next call is due and somebody free to make it.
    fn sleep(&mut self, now: Instant, run: &Run, events: &mut Events) -> Result<(), String> {
        let due_at = run.schedule.and_then(|schedule| schedule.due());
        let wait = match due_at.filter(|_| !self.free.is_empty()) {
            Some(due_at) => due_at.saturating_duration_since(now).max(SLEEP_MIN),
            // Whoever fails gets another turn, but not at once: there may be nobody to answer.
            None if run.schedule.is_none() && !self.free.is_empty() => SLEEP_MIN,
            None => SLEEP_MAX,
        };
        if wait < SLEEP_MAX {
            self.wake_after(wait)?;
        }
        self.look(SLEEP_MAX, events)
    }

    /// What has happened on sockets, or happens within `patience`.
    fn look(&mut self, patience: Duration, events: &mut Events) -> Result<(), String> {
        match self.poll.poll(events, Some(patience)) {
            // A signal: nothing has happened.
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// Sets the timer: a poll's own patience counts in milliseconds, which is too coarse for latencies.
    fn wake_after(&self, wait: Duration) -> Result<(), String> {
        let nanos = i64::from(wait.subsec_nanos());
        let it_value = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: nanos };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
            .map(drop)
            .map_err(|error| format!("cannot set the timer: {error}"))
    }

    /// Calls that never ended leave connections behind that nobody can use again; all are free.
    fn rest(&mut self) {
        for line in self.lines.iter_mut().filter(|line| line.is_waiting) {
            line.hang_up();
        }
        self.free = (0..self.lines.len()).collect();
    }

    /// Ends the sessions and the connections, as a well-behaved client does.
    pub fn close(self) {
        for line in self.lines {
            line.close(self.target, self.poll.registry());
        }
    }
}

impl Run {
    /// Ends it early: what is under way may still come in.
    fn stop(&mut self, now: Instant) {
        self.is_over = true;
        self.end = self.end.min(now);
        if let Some(schedule) = &mut self.schedule {
            schedule.end();
        }
    }

    fn is_done(&self) -> bool {
        self.is_over && self.waiting == 0 && self.schedule.is_none_or(|left| left.due().is_none())
    }
}

#[cfg(test)]
mod tests;

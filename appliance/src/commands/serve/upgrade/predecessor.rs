//! The process that hands over, and serves on when that fails.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Child;
use std::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release,
};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use control::{Control, OpenSocket, Telling as Answer, Told, UpgradeWish, Upgrades};
use http::StatusCode;
use profile::plan::ControlBind;
use protocol::Salt;
use runtime::{Phase, Source};
use serde_json::json;
use telemetry::{Metric, Samples};
use tokio::sync::{oneshot, watch};
use transport::Endpoint;
use transport::session::{Journal, News};

use super::super::front::Front;
use super::super::reload::Reloader;
use super::super::service_manager::ServiceManager;
use super::super::sockets::bind_text;
use super::before::Before;
use super::channel::{Channel, SOCKETS_MAX};
use super::journal::Telling;
use super::message::{self, Handed, Message, Role, SealKey, VERSION};
use super::program::{self, Started};

/// How long the other process may take to let clients in once it has everything: it has only to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Changes of sessions that are told at once.
const NEWS_AT_ONCE: usize = 1_000;

/// The control listener's door.
struct ControlDoor {
    socket: Arc<OpenSocket>,
    gate: watch::Sender<bool>,
    /// Where it was to be opened.
    bind: String,
}

/// Takes the wish of an operator, and hands over.
pub(in super::super) struct Upgrader {
    started: Started,
    reloader: Arc<Reloader>,
    pub(in super::super) manager: Arc<ServiceManager>,
    control: OnceLock<ControlDoor>,
    /// Whom this process took over from.
    pub(in super::super) before: Arc<Before>,
    /// Turns true when another process serves.
    pub(in super::super) handed_over: watch::Sender<bool>,
    is_busy: AtomicBool,
    failed: AtomicU64,
}

/// A process that was started, and is ended unless it serves.
struct Starting(Option<Child>);

/// Another process serves.
struct HandedOver {
    process: u32,
    channel: Channel,
    told: Receiver<News>,
    count: u64,
}

impl Upgrades for Upgrader {
    fn ask(self: Arc<Self>, wish: UpgradeWish) -> Answer {
        let (reply, answer) = oneshot::channel();
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let started = thread.spawn(move || {
            // A fault of ours must not leave the doors closed.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.upgrade(&wish)));
            let outcome = outcome.unwrap_or_else(|_| {
                self.give_up();
                self.is_busy.store(false, Release);
                Err(vec!["the upgrade failed unexpectedly; please report this".to_owned()])
            });
            let told = match &outcome {
                Ok(over) => {
                    Told { status: StatusCode::OK, body: json!({ "process": over.process }) }
                }
                Err(problems) => Told {
                    status: StatusCode::CONFLICT,
                    body: json!({ "error": problems.first(), "problems": problems }),
                },
            };
            // Whoever asked may have gone.
            reply.send(told).ok();
            if let Ok(over) = outcome {
                self.handed_over.send_replace(true);
                self.tell_on(over);
            }
        });
        Box::pin(async move {
            let told = match started {
                Ok(_) => answer.await.ok(),
                Err(_) => None,
            };
            told.unwrap_or_else(|| {
                let sentence =
                    "The upgrade failed unexpectedly; this process serves on. Please report this.";
                Told::refused(StatusCode::INTERNAL_SERVER_ERROR, sentence)
            })
        })
    }
}

impl Upgrader {
    /// Nobody has asked yet.
    pub(in super::super) fn new(
        started: Started,
        reloader: Arc<Reloader>,
        manager: Arc<ServiceManager>,
    ) -> Arc<Self> {
        Arc::new(Self {
            started,
            reloader,
            manager,
            control: OnceLock::new(),
            before: Arc::default(),
            handed_over: watch::Sender::new(false),
            is_busy: AtomicBool::new(false),
            failed: AtomicU64::new(0),
        })
    }

    /// Has the control listener go along, once it is there.
    pub(in super::super) fn equip(&self, control: &Control, bind: &ControlBind) {
        let door = ControlDoor {
            socket: Arc::clone(control.socket()),
            gate: control.gate(),
            bind: bind_text(bind),
        };
        // There is one control listener in the life of a process.
        self.control.set(door).ok();
    }

    fn endpoint(&self) -> &Endpoint {
        &self.reloader.house().endpoint
    }

    fn front(&self) -> &Front {
        &self.reloader.house().front
    }

    /// What a scrape shows.
    pub(in super::super) fn metrics(&self) -> String {
        let mut samples = Samples::new();
        samples.set(Metric::UpgradesFailed, &[], self.failed.load(Relaxed));
        let mut out = String::new();
        samples.render(&mut out);
        out
    }

    /// One at a time, and none beside a changing profile.
    fn upgrade(&self, wish: &UpgradeWish) -> Result<HandedOver, Vec<String>> {
        if self.is_busy.swap(true, AcqRel) {
            let problem = if *self.handed_over.borrow() {
                "another process has taken over already; ask on a new connection, which that one answers"
            } else {
                "another upgrade is under way; wait for its end"
            };
            return Err(vec![problem.to_owned()]);
        }
        let outcome = match self.objection(wish) {
            Some(objection) => Err(vec![objection]),
            None => {
                let _turn = self.reloader.pause();
                // What changes from here on is the other process's to follow.
                self.hand_over(wish).inspect(|_| {
                    self.reloader.stop();
                    self.reloader.house().history.stop();
                })
            }
        };
        let serving = self.endpoint().switch.load();
        let (generation, identity) = (serving.number(), serving.plan().identity.short());
        drop(serving);
        match &outcome {
            Ok(over) => {
                tracing::info!(
                    generation,
                    identity,
                    process = over.process,
                    "Upgraded: another process serves. This one answers what it has, and ends."
                );
            }
            Err(problems) => {
                self.failed.fetch_add(1, Relaxed);
                for problem in problems {
                    tracing::error!(
                        generation,
                        identity,
                        "Not upgraded, this process serves on: {problem}"
                    );
                }
                self.is_busy.store(false, Release);
            }
        }
        outcome
    }

    /// Why this process cannot be upgraded at all, or not now.
    fn objection(&self, wish: &UpgradeWish) -> Option<String> {
        let objection = if let Some(passing) = self.passing_objection(wish) {
            passing
        } else if std::process::id() == 1 {
            "this is process 1: when it ends, its container does; start another container instead, or run toolrack \
             below an init (docker run --init)"
        } else if self.front().has_stdio() {
            "a client speaks over standard input, which cannot be handed over; restart instead"
        } else if self.started.ends_with_parent() {
            "the process ends with the command that started it (--end-with), and so would the next one"
        } else if self.reloader.house().effective.load().source != Source::File {
            "the profile that serves is not the one of its file, which the next program would read: write it there \
             (`GET /admin/profile` shows it), have it read by `toolrack reload --wait`, and ask again"
        } else if !self.before.is_gone_within(wish.wait) {
            "the process that the last upgrade left still has clients; ask again when it has ended, at the latest after \
             twice shutdown.drain_ms"
        } else {
            return None;
        };
        Some(objection.to_owned())
    }

    /// The same of what comes and goes.
    fn passing_objection(&self, wish: &UpgradeWish) -> Option<&'static str> {
        match self.endpoint().vitals.phase() {
            Phase::Starting => Some("the process is starting; ask again when it serves"),
            Phase::Leaving | Phase::Draining => Some("the process is stopping"),
            Phase::Ready if wish.forgets_tasks || self.endpoint().tasks.is_empty() => None,
            Phase::Ready => Some(
                "the process keeps tasks, which do not go along: wait until their clients have asked for them and \
                 they have expired, or lose them with --forget-tasks",
            ),
        }
    }

    /// Lets clients in again, and tells nobody of sessions.
    fn give_up(&self) {
        self.hold(false);
        self.endpoint().sessions.set_journal(None);
    }

    fn hand_over(&self, wish: &UpgradeWish) -> Result<HandedOver, Vec<String>> {
        let failed = |problem: String| vec![problem];
        let (child, stream) = self.started.again(wish.program.as_deref()).map_err(failed)?;
        let mut starting = Starting(Some(child));
        let mut channel = self.offer(stream, &mut starting, wish.wait)?;
        let (telling, told) = Telling::new();
        let journal = Arc::clone(&telling) as Arc<dyn Journal>;
        self.endpoint().sessions.set_journal(Some(journal));
        let committed = self.commit(&mut channel, &telling, &told, &mut starting, wish);
        let count = committed.inspect_err(|_| self.give_up())?;
        let process = starting.serves();
        self.manager.followed_by(process);
        if let Err(error) = channel.send(&Message::Released) {
            tracing::error!(%error, "The process that took over is gone already.");
        }
        Ok(HandedOver { process, channel, told, count })
    }

    /// Offers the sockets, and waits until everything is built around them.
    fn offer(
        &self,
        stream: UnixStream,
        starting: &mut Starting,
        wait: Duration,
    ) -> Result<Channel, Vec<String>> {
        let listeners = self.front().sockets();
        let control = self.control.get();
        let mut handed: Vec<_> = listeners.iter().map(|(handed, _)| handed.clone()).collect();
        let mut sockets: Vec<_> = listeners.iter().map(|(_, socket)| socket.as_fd()).collect();
        if let Some(control) = control {
            handed.push(Handed { role: Role::Control, bind: control.bind.clone() });
            sockets.push(control.socket.as_fd());
        }
        if sockets.len() > SOCKETS_MAX {
            return Err(vec![format!("more than {SOCKETS_MAX} listeners cannot be handed over")]);
        }
        let generation = self.endpoint().switch.load();
        let offer = Message::Offer {
            sockets: handed,
            salt: Salt::of_this_process().words(),
            seal_keys: generation.stack().kit().seal.carried().iter().map(SealKey::of).collect(),
        };
        let built = Channel::new(stream).and_then(|mut channel| {
            channel.set_patience(Some(wait))?;
            channel.send(&Message::Hello { version: VERSION })?;
            channel.send_with(&offer, &sockets)?;
            Ok((channel.receive()?, channel))
        });
        match built {
            Ok((Message::Prepared, channel)) => Ok(channel),
            Ok((Message::Refused { problems }, _)) => Err(problems),
            Ok(_) => Err(vec!["the new program says what nobody expects".to_owned()]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let wait_ms = wait.as_millis();
                Err(vec![format!(
                    "the new program was not ready within {wait_ms} ms; give it longer with --wait-ms, or see in the \
                     log what it waits for"
                )])
            }
            Err(error) => Err(vec![starting.end(&error)]),
        }
    }

    /// Lets nobody in, says all the state, and waits until the other process lets clients in. Returns how many changes
    /// were told.
    fn commit(
        &self,
        channel: &mut Channel,
        telling: &Arc<Telling>,
        told: &Receiver<News>,
        starting: &mut Starting,
        wish: &UpgradeWish,
    ) -> Result<u64, Vec<String>> {
        let mut count = 0;
        let said = message::sessions(&self.endpoint().sessions)
            .iter()
            .try_for_each(|message| channel.send(message))
            .and_then(|()| {
                self.hold(true);
                tell(channel, &told.try_iter().collect::<Vec<_>>(), &mut count)?;
                let generation = self.endpoint().switch.load();
                let limits = message::limits(generation.stack().kit());
                limits.iter().try_for_each(|message| channel.send(message))?;
                // What was not so when it began may be so by now.
                if let Some(objection) = self.passing_objection(wish) {
                    return Err(std::io::Error::other(objection));
                }
                channel.send(&Message::Commit)
            });
        let answers = said.and_then(|()| listen(channel, telling));
        let answer = match answers {
            Ok(answers) => answers.recv_timeout(BEGIN_WITHIN),
            Err(error) => return Err(vec![starting.end(&error)]),
        };
        match answer {
            Ok(Message::Serving) => Ok(count),
            Ok(Message::Refused { problems }) => Err(problems),
            Ok(_) => Err(vec!["the new program says what nobody expects".to_owned()]),
            Err(RecvTimeoutError::Timeout) => {
                Err(vec!["the new program took everything over, and did not begin".to_owned()])
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(vec![starting.end(&ErrorKind::UnexpectedEof.into())])
            }
        }
    }

    /// Lets nobody in while `is_held`.
    fn hold(&self, is_held: bool) {
        self.front().hold(is_held);
        if let Some(control) = self.control.get() {
            control.gate.send_replace(is_held);
        }
    }

    /// Tells what becomes of sessions here, until this process ends.
    fn tell_on(&self, over: HandedOver) {
        let HandedOver { mut channel, told, mut count, .. } = over;
        while let Ok(first) = told.recv() {
            let news: Vec<_> = std::iter::once(first).chain(told.try_iter()).collect();
            if let Err(error) = tell(&mut channel, &news, &mut count) {
                tracing::warn!(%error, "The process that took over hears no more of sessions.");
                break;
            }
        }
        self.endpoint().sessions.set_journal(None);
    }
}

fn tell(channel: &mut Channel, news: &[News], count: &mut u64) -> std::io::Result<()> {
    for some in news.chunks(NEWS_AT_ONCE) {
        *count += some.len() as u64;
        channel.send(&message::news(*count, some))?;
    }
    Ok(())
}

/// Hears what the other process says, on a thread of its own that ends with it.
fn listen(channel: &Channel, telling: &Arc<Telling>) -> std::io::Result<Receiver<Message>> {
    let mut channel_of_thread = channel.try_clone()?;
    channel_of_thread.set_patience(None)?;
    let telling = Arc::clone(telling);
    let (answers, heard) = mpsc::channel();
    let thread = std::thread::Builder::new().name("upgrade-answers".to_owned());
    thread.spawn(move || {
        while let Ok(message) = channel_of_thread.receive() {
            match message {
                Message::Settled { count } => telling.known(count),
                // Once it serves, nobody waits for anything else.
                answer => drop(answers.send(answer)),
            }
        }
    })?;
    Ok(heard)
}

impl Starting {
    /// Leaves the process alone; its number.
    fn serves(mut self) -> u32 {
        self.0.take().map_or(0, |child| child.id())
    }

    /// Why it does not answer any more, for people.
    fn end(&mut self, error: &std::io::Error) -> String {
        let hung_up = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        let ended = self.0.as_mut().filter(|_| hung_up.contains(&error.kind()));
        match ended.map(Child::wait) {
            Some(Ok(status)) => format!(
                "the new program did not take over: {}; the log has its own words",
                program::ending(status)
            ),
            Some(Err(error)) => format!("the new program did not take over: {error}"),
            None => format!("the new program did not take over: {error}"),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Both fail only for a process that has ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

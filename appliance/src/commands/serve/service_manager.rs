//! What the service manager that started this process is told of it (sd_notify(3)).
//!
//! Its protocol is a datagram of `KEY=value` lines. Written here, since the crates for it read the environment by
//! themselves, and only `cli` does.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::{Phase, Vitals};
use rustix::time::{ClockId, clock_gettime};

/// How long a service manager that does not read may keep a thread waiting.
const WRITE_DEADLINE: Duration = Duration::from_secs(1);

/// Whoever started this process and wants to hear of it, if anybody does.
pub(super) struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that the process lives.
    watchdog: Option<Duration>,
    /// Whether another process speaks for the service.
    is_silent: AtomicBool,
    /// Whether it was told of the end: then it is told nothing that would take that back.
    is_stopping: AtomicBool,
    /// What was said last of how the service is, while it was silent too.
    status: Mutex<String>,
}

impl ServiceManager {
    /// As the environment says. Silent until [`ServiceManager::speak`], if another process is the service still.
    pub(super) fn of_environment(is_silent: bool) -> Arc<Self> {
        let socket = crate::cli::notify_socket().and_then(|name| {
            let connected = connected(&name);
            let failed = |error: &io::Error| {
                tracing::warn!(%error, "The service manager cannot be told anything: NOTIFY_SOCKET is of no use.");
            };
            connected.inspect_err(failed).ok()
        });
        Arc::new(Self::new(socket, crate::cli::watchdog_period(), is_silent))
    }

    fn new(socket: Option<UnixDatagram>, watchdog: Option<Duration>, is_silent: bool) -> Self {
        let (is_silent, is_stopping) = (is_silent.into(), false.into());
        Self { socket, watchdog, is_silent, is_stopping, status: Mutex::default() }
    }

    /// This process is the service from now on.
    pub(super) fn speak(&self) {
        self.is_silent.store(false, Relaxed);
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.ready(&status);
    }

    /// It serves; also after [`ServiceManager::reloading`].
    pub(super) fn ready(&self, status: &str) {
        status.clone_into(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
        if !self.is_stopping.load(Relaxed) {
            self.say(&format!("READY=1\nSTATUS={}", one_line(status)));
        }
    }

    /// It reads its profile again.
    pub(super) fn reloading(&self) {
        if self.is_stopping.load(Relaxed) {
            return;
        }
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// It is about to end.
    pub(super) fn stopping(&self, status: &str) {
        self.is_stopping.store(true, Relaxed);
        self.say(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// Another process is the service from now on, and says the rest itself.
    pub(super) fn followed_by(&self, process: u32) {
        self.say(&format!("MAINPID={process}"));
        self.is_silent.store(true, Relaxed);
    }

    /// Says that the process lives while its data plane does, twice as often as is wanted. Ends when the process drains:
    /// it is stopped then, or another one says it.
    pub(super) async fn keep_alive(self: Arc<Self>, vitals: Arc<Vitals>) {
        let Some(period) = self.watchdog.filter(|_| self.socket.is_some()) else { return };
        let mut interval = tokio::time::interval(period / 2);
        while vitals.phase() != Phase::Draining {
            interval.tick().await;
            if vitals.heartbeat_age() <= Vitals::DEAD_AFTER {
                self.say("WATCHDOG=1");
            }
        }
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket
            && !self.is_silent.load(Relaxed)
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::warn!(%error, "The service manager was not told: {}", one_line(text));
        }
    }
}

/// A socket to the one at `name`; a name that begins with `@` is no file's.
fn connected(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    socket.set_write_timeout(Some(WRITE_DEADLINE))?;
    Ok(socket)
}

/// A line end would begin another key.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_over_a_file_and_over_a_name_and_nothing_breaks_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let file = UnixDatagram::bind(&path).expect("a socket");
        let name = format!("toolrack-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let named = UnixDatagram::bind_addr(&address).expect("a socket");
        for (heard, at) in [(&file, path.as_os_str()), (&named, OsStr::new(&format!("@{name}")))] {
            let socket = Some(connected(at).expect("somebody is there"));
            let manager = ServiceManager::new(socket, None, true);
            manager.ready("one\ntwo");
            manager.speak();
            manager.followed_by(7);
            manager.stopping("silent");
            heard.set_nonblocking(true).expect("set");
            let said = std::iter::from_fn(|| {
                let mut text = [0; 200];
                let length = heard.recv(&mut text).ok()?;
                Some(String::from_utf8_lossy(&text[..length]).into_owned())
            });
            let said: Vec<_> = said.collect();
            assert_eq!(said, ["READY=1\nSTATUS=one two", "MAINPID=7"]);
        }
        assert!(connected(folder.path().join("none").as_os_str()).is_err());
    }

    #[test]
    fn who_was_told_of_the_end_hears_of_no_reload() {
        let (socket, heard) = UnixDatagram::pair().expect("sockets");
        let manager = ServiceManager::new(Some(socket), None, false);
        manager.stopping("Stopping.");
        manager.reloading();
        manager.ready("It serves.");
        drop(manager);
        heard.set_nonblocking(true).expect("set");
        let mut text = [0; 200];
        let length = heard.recv(&mut text).expect("the end");
        assert_eq!(&text[..length], b"STOPPING=1\nSTATUS=Stopping.");
        assert!(heard.recv(&mut text).is_err(), "{:?}", String::from_utf8_lossy(&text));
    }
}

//! Looks at the memory, on a thread of its own.
//!
//! Its own because the kernel may take milliseconds to add up what a control group uses, which neither calls nor probes
//! should wait for.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use middleware::memory::State;
use protocol::MemoryLevel;
use telemetry::kernel::MemoryProbe;

/// Between two looks: a process that takes a gigabyte a second comes 256 MiB further meanwhile.
const PERIOD: Duration = Duration::from_millis(250);

/// The thread that looks. Dropping it without [`Sampler::stop`] ends it as well.
pub(super) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Sampler {
    /// Looks once, so that the ledger has its size before anybody is let in, and goes on looking.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn start(state: State) -> io::Result<Self> {
        let probe = MemoryProbe::open();
        look(&state, &probe);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                look(&state, &probe);
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("The thread that looks at the memory ended with a panic.");
        }
    }
}

fn look(state: &State, probe: &MemoryProbe) {
    let (before, level) = state.observe(&probe.read());
    let Some(status) = state.status().filter(|_| level != before) else { return };
    let (level, was) = (level.as_str(), before.as_str());
    let (used_bytes, limit_bytes) = (status.nearest.used_bytes, status.nearest.limit_bytes);
    if status.level > before.max(MemoryLevel::Soft) {
        tracing::warn!(level, was, used_bytes, limit_bytes, "Memory is short.");
    } else {
        tracing::info!(level, was, used_bytes, limit_bytes, "The level of memory has changed.");
    }
}

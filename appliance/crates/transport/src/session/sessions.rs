//! All sessions of the process.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use profile::plan::SessionPlan;
use protocol::{Bound, ClientCapabilities, Refusal, Revision};
use runtime::{IdDigest as Key, SecretId as SessionId};

use super::shared::{self, Shared};
use super::{News, Session};

/// Shards of the map: so many that threads seldom meet at the lock of one.
const SHARDS: usize = 64;

pub(super) type Shard = RwLock<HashMap<Key, Arc<Session>, RandomState>>;

/// All sessions of the process, shared by its transports.
pub struct Sessions {
    pub(super) shared: Arc<Shared>,
    shards: Box<[Shard]>,
}

impl Sessions {
    /// No sessions, within the bounds of `plan`. Metrics go to the recorder that is installed now.
    #[must_use]
    pub fn new(plan: &SessionPlan) -> Arc<Self> {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Arc::new(Self { shared: Shared::new(plan), shards })
    }

    /// Takes over the bounds of another plan. What is above a lowered bound stays until it ends by itself.
    pub fn follow(&self, plan: &SessionPlan) {
        self.shared.follow(plan);
    }

    /// The bounds on sessions and on their streams, for metrics.
    #[must_use]
    pub fn bounds(&self) -> [&Arc<Bound>; 2] {
        [&self.shared.sessions, &self.shared.streams]
    }

    /// Begins a session. Its id is for the client alone.
    ///
    /// # Errors
    /// When there are as many sessions as the plan allows.
    pub fn create(
        &self,
        revision: Revision,
        client: ClientCapabilities,
    ) -> Result<(SessionId, Arc<Session>), Refusal> {
        let bound = &self.shared.sessions;
        let permit = bound.try_take().ok_or_else(|| {
            shared::exhausted("process", bound.limit(), "Every session is taken; try again later.")
        })?;
        let id = SessionId::random();
        let key = id.digest();
        let session = Session::new(&self.shared, permit, key, revision, client);
        self.shard(&key).write().insert(key, Arc::clone(&session));
        session.note_change();
        Ok((id, session))
    }

    /// The session that a client means by `id`, whose idle time begins anew; `None` when it never existed or has ended.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Session>> {
        let key = Key::of(id)?;
        let session = Arc::clone(self.shard(&key).read().get(&key)?);
        session.touch();
        Some(session)
    }

    /// Ends the session that a client means by `id`. `false` when there is none.
    pub fn end(&self, id: &str) -> bool {
        let session = Key::of(id).and_then(|key| self.shard(&key).write().remove(&key));
        let Some(session) = session else { return false };
        session.end();
        self.shared.note(|| News::Ended(session.id));
        self.shared.tally.ended_by_client.increment(1);
        true
    }

    /// Ends every session; for the end of the process.
    pub fn end_all(&self) {
        for shard in &self.shards {
            let sessions = std::mem::take(&mut *shard.write());
            self.shared.tally.ended_by_shutdown.increment(sessions.len() as u64);
            sessions.into_values().for_each(|session| session.end());
        }
    }

    /// Sets the clock of the sessions forward. To be called every second: idle time is counted in steps of these calls.
    pub fn tick(&self) {
        self.shared.set_now(self.shared.elapsed_secs());
    }

    /// Ends sessions that were idle for too long, and forgets what the others no longer need. Returns how many ended.
    /// Looks at every session: to be called more rarely.
    pub fn sweep(&self) -> usize {
        self.sweep_at(self.shared.elapsed_secs())
    }

    pub(super) fn sweep_at(&self, now_secs: u32) -> usize {
        self.shared.set_now(now_secs);
        self.shared.tidy();
        let ended = self.shards.iter().map(|shard| self.sweep_shard(shard)).sum();
        self.shared.tally.ended_for_idleness.increment(ended as u64);
        ended
    }

    fn sweep_shard(&self, shard: &Shard) -> usize {
        let mut idle = Vec::new();
        for (key, session) in &*shard.read() {
            if is_held(session) {
                session.touch();
            } else if self.is_idle(session) {
                idle.push(*key);
            }
            session.tidy();
        }
        if idle.is_empty() {
            return 0;
        }
        let mut sessions = shard.write();
        // Looked up meanwhile: not idle after all.
        idle.retain(|key| sessions.get(key).is_some_and(|session| self.is_idle(session)));
        let ended: Vec<_> = idle.iter().filter_map(|key| sessions.remove(key)).collect();
        if sessions.len() < sessions.capacity() / 4 {
            sessions.shrink_to_fit();
        }
        drop(sessions);
        ended.iter().for_each(|session| session.end());
        ended.len()
    }

    fn is_idle(&self, session: &Arc<Session>) -> bool {
        !is_held(session) && session.idle_secs() > self.shared.idle_secs()
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub(super) fn shard(&self, key: &Key) -> &Shard {
        &self.shards[key.shard(SHARDS)]
    }
}

/// Whether somebody besides the map has the session: a call, a reader, a connection.
fn is_held(session: &Arc<Session>) -> bool {
    Arc::strong_count(session) > 1
}

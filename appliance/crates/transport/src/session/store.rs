//! All sessions of the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use profile::plan::SessionPlan;
use protocol::{Bound, ClientCapabilities, Permit, Refusal, RefusalKind, Revision};

use super::id::SessionId;
use super::{Bounds, Session};

/// Parts that are locked apart, so that clients rarely meet.
const SHARDS: usize = 64;

type Shard = RwLock<HashMap<SessionId, (Arc<Session>, Permit), RandomState>>;

/// All sessions of the process.
pub struct Sessions {
    shards: [Shard; SHARDS],
    bound: Arc<Bound>,
    bounds: Arc<Bounds>,
    started: Instant,
}

impl Sessions {
    /// No sessions yet.
    #[must_use]
    pub fn new(plan: &SessionPlan) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Shard::default()),
            bound: Bound::new("sessions", plan.sessions_max),
            bounds: Arc::new(Bounds { plan: plan.clone() }),
            started: Instant::now(),
        })
    }

    /// Begins a session.
    ///
    /// # Errors
    /// When there are as many as there may be, or the system gives no random bytes for an id.
    pub fn create(
        &self,
        revision: Revision,
        client: ClientCapabilities,
    ) -> Result<(SessionId, Arc<Session>), Refusal> {
        let refusal = |message| {
            Refusal::new(RefusalKind::SessionsExhausted, "session", "process", message)
                .with_limit(self.bound.limit() as u64)
                .with_retry_after(Duration::from_secs(5))
        };
        let permit = self.bound.try_take().ok_or_else(|| refusal("Every session is taken; try again later."))?;
        let id = SessionId::random().map_err(|_| refusal("No random bytes for a session id."))?;
        let session = Session::new(revision, client, Arc::clone(&self.bounds), self.now_secs());
        self.shard(&id).write().insert(id, (Arc::clone(&session), permit));
        Ok((id, session))
    }

    /// The session with this id, which counts as used.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Session>> {
        let id = SessionId::parse(id)?;
        let session = Arc::clone(&self.shard(&id).read().get(&id)?.0);
        session.used_secs.store(self.now_secs(), Relaxed);
        Some(session)
    }

    /// Ends a session; `false` when there is none.
    pub fn end(&self, id: &str) -> bool {
        let Some(id) = SessionId::parse(id) else { return false };
        let removed = self.shard(&id).write().remove(&id);
        removed.map(|(session, _)| session.end()).is_some()
    }

    /// Ends sessions that were idle for too long, and forgets what the others no longer need. Returns how many ended.
    pub fn sweep(&self) -> usize {
        let now = self.now_secs();
        let idle_secs = u32::try_from(self.bounds.plan.idle.as_secs()).unwrap_or(u32::MAX);
        let mut ended = 0;
        for shard in &self.shards {
            let is_idle = |session: &Session| {
                let unused = now.saturating_sub(session.used_secs.load(Relaxed));
                !session.sweep() && unused >= idle_secs
            };
            // Most sweeps end nothing: look with the lock that lets others in.
            let idle: Vec<SessionId> = {
                let shard = shard.read();
                shard.iter().filter(|(_, (session, _))| is_idle(session)).map(|(id, _)| *id).collect()
            };
            for id in idle {
                if let Some((session, _)) = shard.write().remove(&id) {
                    session.end();
                    ended += 1;
                }
            }
        }
        ended
    }

    /// Ends every session.
    pub fn end_all(&self) {
        for shard in &self.shards {
            for (_, (session, _)) in shard.write().drain() {
                session.end();
            }
        }
    }

    /// The bound on sessions, for its metrics.
    #[must_use]
    pub const fn bound(&self) -> &Arc<Bound> {
        &self.bound
    }

    fn shard(&self, id: &SessionId) -> &Shard {
        &self.shards[id.shard(SHARDS)]
    }

    fn now_secs(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

//! Tasks: calls that run without their client, and what is kept of them until it asks (2026-07-28, extension
//! `io.modelcontextprotocol/tasks`).
//!
//! Nothing in here is on the way of an ordinary call. What tasks keep is counted to the byte, ends by itself after a
//! time, and is refused when there is no room.

mod record;
mod run;
mod tally;
mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use parking_lot::RwLock;
use profile::plan::TasksPlan;
use protocol::{
    Bound, Call, Content, Outcome, Permit, Refusal, RefusalKind, Reply, Share, TaskStatus,
};
use tokio::time::Instant;

use crate::generation::Generation;
use crate::secret_id::{IdDigest, SecretId};
use record::{NoRoom, Record};
use run::Run;
use tally::Tally;

pub use task::Task;

/// When a client that was refused may come back: about as long as short tasks take.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// All tasks of the process.
pub struct Tasks {
    tasks: RwLock<HashMap<IdDigest, Arc<Task>, RandomState>>,
    places: Arc<Bound>,
    bytes: Arc<Bound>,
    tally: Arc<Tally>,
}

impl Tasks {
    /// No tasks, within the bounds of `plan`; later those of the generation that a task is made for.
    #[must_use]
    pub fn new(plan: &TasksPlan) -> Arc<Self> {
        Arc::new(Self {
            tasks: RwLock::default(),
            places: Bound::new("tasks", plan.count_max),
            bytes: Bound::new("task_bytes", plan.bytes_max),
            tally: Arc::default(),
        })
    }

    /// The bounds on tasks and on the bytes that they keep, for metrics.
    #[must_use]
    pub const fn bounds(&self) -> [&Arc<Bound>; 2] {
        [&self.places, &self.bytes]
    }

    /// Whether there is none, neither at work nor to be asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.read().is_empty()
    }

    /// How many tasks ended in each way.
    #[must_use]
    pub fn ended(&self) -> [(TaskStatus, u64); 3] {
        self.tally.counts()
    }

    /// Runs `call` as a task. The reply says so, and the task can be asked for before it has left; a call that fails
    /// before it begins is answered like every other.
    ///
    /// # Errors
    /// When there is no room for another task, or the call stage refuses the call.
    pub async fn create(
        &self,
        generation: &Arc<Generation>,
        call: &Call,
    ) -> Result<Reply, Refusal> {
        let plan = &generation.plan().tasks;
        let (place, record) = self.admit(plan, call.envelope.bytes())?;
        let begun = Instant::now();
        let run = Run::new(generation, call, begun + plan.deadline);
        let running = match run.begin().await {
            Ok(running) => running,
            Err(result) => return result.map(|fault| Outcome::Failed(fault).into()),
        };
        let task = Task::new(record, begun, plan, Arc::clone(&self.tally), place);
        let id = self.keep(Arc::clone(&task));
        let server = generation.stack().catalogue().server_info();
        let created = task.created(id.as_str(), server);
        tokio::spawn(run.run(task, running));
        Ok(Outcome::Done(Content::Ready(created)).into())
    }

    /// A place and a record for a task whose request has so many bytes.
    fn admit(&self, plan: &TasksPlan, request_bytes: usize) -> Result<(Permit, Record), Refusal> {
        self.places.set_limit(plan.count_max);
        self.bytes.set_limit(plan.bytes_max);
        let place = self.places.try_take().ok_or_else(|| {
            refusal(&self.places, "Every place for a task is taken; try again later.")
        })?;
        let share = Share::none(Arc::clone(&self.bytes));
        let record = Record::new(share, request_bytes, Timestamp::now());
        Ok((place, record.map_err(|NoRoom| self.no_room())?))
    }

    /// From now on whoever has the id finds the task.
    fn keep(&self, task: Arc<Task>) -> SecretId {
        let id = SecretId::random();
        self.tasks.write().insert(id.digest(), task);
        id
    }

    /// The refusal of what would make tasks keep more bytes than they may.
    #[must_use]
    pub fn no_room(&self) -> Refusal {
        refusal(&self.bytes, "What tasks keep has no room for more; try again later.")
    }

    /// The task that a client means by `id`; `None` when it never existed or has expired.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Task>> {
        let task = Arc::clone(self.tasks.read().get(&IdDigest::of(id)?)?);
        (!task.is_expired(Instant::now())).then_some(task)
    }

    /// Forgets tasks that have expired. To be called every few seconds. Returns how many.
    pub fn sweep(&self) -> usize {
        let now = Instant::now();
        let mut tasks = self.tasks.write();
        let expired: Vec<_> = tasks.extract_if(|_, task| task.is_expired(now)).collect();
        if tasks.len() < tasks.capacity() / 4 {
            tasks.shrink_to_fit();
        }
        drop(tasks);
        // The deadline comes before the end of the time to live; one that falls on it is cut here.
        expired.iter().for_each(|(_, task)| task.cancel());
        expired.len()
    }

    /// Gives every task up and forgets it; for the end of the process.
    pub fn end_all(&self) {
        let tasks = std::mem::take(&mut *self.tasks.write());
        tasks.into_values().for_each(|task| task.cancel());
    }
}

fn refusal(bound: &Bound, message: &'static str) -> Refusal {
    Refusal::new(RefusalKind::TasksExhausted, "tasks", "process", message)
        .with_limit(bound.limit() as u64)
        .with_retry_after(RETRY_AFTER)
}

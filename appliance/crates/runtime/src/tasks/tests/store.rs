//! The store: who finds which task, and what makes it end.

use std::sync::Arc;
use std::time::Duration;

use profile::plan::TasksPlan;
use protocol::{RefusalKind, TaskStatus};
use tokio::sync::Notify;
use tokio::time::{Instant, advance};

use super::super::record::{End, TASK_BYTES};
use super::super::run::Watch;
use super::super::{Task, Tasks};
use super::{questions, raw};
use crate::secret_id::SecretId;

fn plan(count_max: usize, bytes_max: usize) -> TasksPlan {
    TasksPlan {
        count_max,
        bytes_max,
        ttl: Duration::from_secs(60),
        deadline: Duration::from_secs(30),
        poll: Duration::from_secs(1),
    }
}

/// Keeps a task that nobody runs.
fn keep(tasks: &Tasks, plan: &TasksPlan) -> Result<(SecretId, Arc<Task>), RefusalKind> {
    let (place, record) = tasks.admit(plan, 100).map_err(|refusal| refusal.kind)?;
    let task = Task::new(record, Instant::now(), plan, Arc::clone(&tasks.tally), place);
    Ok((tasks.keep(Arc::clone(&task)), task))
}

#[tokio::test(start_paused = true)]
async fn finds_a_task_until_its_time_is_over_and_never_another() {
    let tasks = Tasks::new(&plan(9, usize::MAX));
    let (id, task) = keep(&tasks, &plan(9, usize::MAX)).expect("room");
    task.end(End::Completed("{}".into()));
    assert!(tasks.find(SecretId::random().as_str()).is_none() && tasks.find("short").is_none());
    advance(Duration::from_secs(60) - Duration::from_millis(1)).await;
    assert_eq!(tasks.sweep(), 0);
    assert_eq!(tasks.find(id.as_str()).map(|task| task.status()), Some(TaskStatus::Completed));
    advance(Duration::from_millis(1)).await;
    assert!(tasks.find(id.as_str()).is_none());
    assert_eq!(tasks.sweep(), 1);
}

#[tokio::test(start_paused = true)]
async fn refuses_above_either_bound_until_tasks_expire() {
    let tasks = Tasks::new(&plan(9, usize::MAX));
    let few = plan(2, usize::MAX);
    let first = keep(&tasks, &few).expect("room");
    drop(keep(&tasks, &few).expect("room"));
    assert_eq!(keep(&tasks, &few).err(), Some(RefusalKind::TasksExhausted));
    let small = plan(9, 3 * TASK_BYTES);
    assert_eq!(keep(&tasks, &small).err(), Some(RefusalKind::TasksExhausted));
    assert_eq!(tasks.bounds().map(|bound| bound.refused()), [1, 1]);
    drop(first);
    advance(few.ttl).await;
    assert_eq!(tasks.sweep(), 2);
    assert_eq!(tasks.bounds().map(|bound| bound.used()), [0, 0]);
    assert!(keep(&tasks, &few).is_ok());
}

#[tokio::test(start_paused = true)]
async fn whoever_ends_a_task_first_has_ended_it() {
    let tasks = Tasks::new(&plan(9, usize::MAX));
    let (id, task) = keep(&tasks, &plan(9, usize::MAX)).expect("room");
    task.cancel();
    task.end(End::Completed("{}".into()));
    task.cancel();
    task.ended().await;
    let members = String::from_utf8(task.members(id.as_str())).expect("text");
    assert!(members.contains("\"status\":\"cancelled\"") && !members.contains("result"));
    let ended = tasks.ended().map(|(_, count)| count);
    assert_eq!(ended, [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_run_breaks_off_has_failed() {
    let tasks = Tasks::new(&plan(9, usize::MAX));
    let (_, broken) = keep(&tasks, &plan(9, usize::MAX)).expect("room");
    drop(Watch(Arc::clone(&broken)));
    assert_eq!(broken.status(), TaskStatus::Failed);
    let (_, done) = keep(&tasks, &plan(9, usize::MAX)).expect("room");
    done.end(End::Completed("{}".into()));
    drop(Watch(Arc::clone(&done)));
    assert_eq!(done.status(), TaskStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_of_every_change_once() {
    let tasks = Tasks::new(&plan(9, usize::MAX));
    let (id, task) = keep(&tasks, &plan(9, usize::MAX)).expect("room");
    let listener = Arc::new(Notify::new());
    task.listen(&listener);
    task.listen(&Arc::new(Notify::new()));
    let mut seen = 0;
    assert!(task.members_after(id.as_str(), &mut seen).is_some());
    assert!(task.members_after(id.as_str(), &mut seen).is_none());
    task.ask(questions(&["a"])).expect("room");
    listener.notified().await;
    assert!(task.members_after(id.as_str(), &mut seen).is_some());
    assert!(task.answer(raw(r#"{"a":{}}"#)));
    listener.notified().await;
    assert_eq!(task.answers().await, "{\"a\":{}}");
    assert!(task.members_after(id.as_str(), &mut seen).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_gives_every_task_up() {
    let tasks = Tasks::new(&plan(9, usize::MAX));
    let (id, task) = keep(&tasks, &plan(9, usize::MAX)).expect("room");
    tasks.end_all();
    assert_eq!(task.status(), TaskStatus::Cancelled);
    assert!(tasks.find(id.as_str()).is_none());
}

//! The steps of a record.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use protocol::{Bound, TaskDetail, TaskStatus};

use super::super::record::{End, NoRoom, Record, TASK_BYTES};
use super::{open, questions, raw, record, roomy};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn works_on_when_every_question_is_answered_and_not_before() {
    let mut task = record(&roomy());
    task.ask(questions(&["a", "b"]), NOW).expect("room");
    assert_eq!(
        (task.status(), open(&task)),
        (TaskStatus::InputRequired, vec!["a".into(), "b".into()])
    );
    task.answer(raw(r#"{"b":{"n":2},"c":{}}"#), NOW).expect("room");
    assert_eq!((task.status(), open(&task)), (TaskStatus::InputRequired, vec!["a".into()]));
    assert_eq!(task.answers(), None);
    task.answer(raw(r#"{"a":{"n":1},"b":{"n":3}}"#), NOW).expect("room");
    assert_eq!(task.status(), TaskStatus::Working);
    assert_eq!(task.answers().as_deref(), Some(&br#"{"a":{"n":1},"b":{"n":2}}"#[..]));
}

#[test]
fn a_name_that_is_asked_again_gets_a_new_key_and_keeps_its_name_for_the_plugin() {
    let mut task = record(&roomy());
    for key in ["a", "a-2", "a-3"] {
        task.ask(questions(&["a"]), NOW).expect("room");
        assert_eq!(open(&task), [key]);
        task.answer(raw(&format!("{{\"{key}\":{{}}}}")), NOW).expect("room");
        assert_eq!(task.answers().as_deref(), Some(&b"{\"a\":{}}"[..]));
    }
}

#[test]
fn a_result_without_room_fails_the_task_instead() {
    let bound = Bound::new("bytes", TASK_BYTES + 10);
    let mut task = record(&bound);
    assert!(task.end(End::Completed(Bytes::from_static(b"{\"more than ten\":1}")), NOW));
    assert_eq!((task.status(), bound.used()), (TaskStatus::Failed, TASK_BYTES));
    let open = task.open_questions();
    assert!(
        matches!(task.detail(&open), TaskDetail::Error(json) if json.starts_with(b"{\"code\":-32014,"))
    );
}

#[test]
fn questions_and_answers_without_room_change_nothing() {
    let bound = Bound::new("bytes", TASK_BYTES + 60);
    let mut task = record(&bound);
    assert_eq!(task.ask(questions(&["a", "b", "c"]), NOW), Err(NoRoom));
    assert_eq!((task.status(), task.version(), bound.used()), (TaskStatus::Working, 1, TASK_BYTES));
    task.ask(questions(&["a"]), NOW).expect("room");
    let used = bound.used();
    assert_eq!(task.answer(raw(r#"{"a":{"text":"longer than what is left"}}"#), NOW), Err(NoRoom));
    assert_eq!((open(&task), bound.used()), (vec!["a".to_owned()], used));
    task.answer(raw(r#"{"a":{}}"#), NOW).expect("room");
    assert_eq!(task.status(), TaskStatus::Working);
    let before = (task.answers(), bound.used());
    assert_eq!(task.ask(questions(&["a", "b", "c"]), NOW), Err(NoRoom));
    assert_eq!((task.answers(), bound.used()), before, "the round before is kept");
    assert_eq!(bound.used(), task.bytes());
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Vec<u8>),
    Answer(Vec<u8>, usize),
    Complete(usize),
    Fail(usize),
    Cancel,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || proptest::collection::vec(0..6_u8, 1..4);
    prop_oneof![
        4 => names().prop_map(Step::Ask),
        6 => (names(), 0..200_usize).prop_map(|(names, size)| Step::Answer(names, size)),
        1 => (0..4_000_usize).prop_map(Step::Complete),
        1 => (0..4_000_usize).prop_map(Step::Fail),
        1 => Just(Step::Cancel),
    ]
}

/// A JSON object of so many bytes and a few.
fn object(bytes: usize) -> String {
    format!("{{\"x\":\"{}\"}}", "x".repeat(bytes))
}

fn apply(task: &mut Record, step: Step, now: Timestamp) {
    let name = |name: u8| format!("q{name}");
    match step {
        Step::Ask(mut names) => {
            names.sort_unstable();
            names.dedup();
            let names: Vec<_> = names.into_iter().map(name).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            task.ask(questions(&names), now).ok();
        }
        Step::Answer(picks, size) => {
            // Mostly of what is open, and one key that nobody gave out.
            let open = open(task);
            let mut keys: Vec<_> =
                picks.iter().filter_map(|pick| open.get(usize::from(*pick)).cloned()).collect();
            keys.push("unknown".to_owned());
            keys.sort_unstable();
            keys.dedup();
            let members: Vec<_> =
                keys.iter().map(|key| format!("\"{key}\":{}", object(size))).collect();
            task.answer(raw(&format!("{{{}}}", members.join(","))), now).ok();
        }
        Step::Complete(size) => drop(task.end(End::Completed(object(size).into()), now)),
        Step::Fail(size) => drop(task.end(End::Failed(object(size).into()), now)),
        Step::Cancel => drop(task.end(End::Cancelled, now)),
    }
}

/// What the client sees.
fn seen(task: &Record) -> (TaskStatus, Bytes, String) {
    let open = task.open_questions();
    (task.status(), open.clone(), format!("{:?}", task.detail(&open)))
}

proptest! {
    #[test]
    fn keeps_its_promises_in_every_order_of_steps(
        steps in proptest::collection::vec(step(), 1..40),
        room in 0..6_000_usize,
    ) {
        let bound = Bound::new("bytes", TASK_BYTES + room);
        let mut task = record(&bound);
        let mut given_out = HashSet::new();
        for (at, step) in steps.into_iter().enumerate() {
            let before = (seen(&task), task.version(), task.updated());
            let asks = matches!(step, Step::Ask(_));
            let keys_before = open(&task);
            apply(&mut task, step, NOW + SignedDuration::from_millis(at as i64));
            let after = seen(&task);
            let (from, to) = (before.0.0, after.0);
            // A result without room fails in one step what it would have completed.
            prop_assert!(from == to || from.may_become(to), "{from:?} became {to:?}");
            if from.is_terminal() {
                prop_assert_eq!(&before, &(after.clone(), task.version(), task.updated()));
            }
            prop_assert_eq!(task.version() > before.1, after != before.0, "every change is counted");
            prop_assert!(task.updated() >= before.2 && task.updated() >= task.created());
            if asks && from == TaskStatus::Working && to == TaskStatus::InputRequired {
                for key in open(&task) {
                    prop_assert!(given_out.insert(key.clone()), "{key} was given out twice");
                }
            } else {
                prop_assert!(open(&task).iter().all(|key| keys_before.contains(key)));
            }
            prop_assert_eq!(to == TaskStatus::InputRequired, !open(&task).is_empty());
            prop_assert_eq!(bound.used(), task.bytes(), "what it keeps is what it is charged");
            prop_assert!(bound.used() <= bound.limit());
        }
        drop(task);
        prop_assert_eq!(bound.used(), 0);
    }
}

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use profile::plan::SessionPlan;
use proptest::prelude::*;
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{Envelope, Id, RefusalKind};

use super::replay::Replay;
use super::*;

pub(super) fn plan() -> SessionPlan {
    SessionPlan {
        sessions_max: 200_000,
        idle: Duration::from_secs(60),
        streams_max: 8,
        replay_events_max: 4,
        replay_bytes_max: 1024,
        replay: Duration::from_secs(30),
        subscriptions_max: 2,
        answer_deadline: Duration::from_secs(600),
    }
}

fn session_of(sessions: &Sessions) -> (SessionId, Arc<Session>) {
    let client = ClientCapabilities::ROOTS;
    sessions.create(Revision::V2025_11_25, client).unwrap()
}

fn session() -> Arc<Session> {
    session_of(&Sessions::new(&plan())).1
}

fn envelope(text: &str) -> Envelope {
    match Envelope::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::DEFAULT) {
        Ok(Message::One(envelope)) => envelope,
        other => panic!("{other:?}"),
    }
}

/// A request id, written `text`.
fn id(text: &str) -> Id {
    envelope(&format!(r#"{{"jsonrpc":"2.0","id":{text},"method":"ping"}}"#)).id().unwrap()
}

/// What `future` has by now.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The messages that `reader` has by now, by name, and whether it has ended.
fn read(reader: &mut StreamReader) -> (Vec<(String, Bytes)>, bool) {
    let mut messages = Vec::new();
    loop {
        match now(reader.next()) {
            Some(StreamItem::Message { event_id, message }) => {
                messages.push((event_id.to_string(), message));
            }
            Some(StreamItem::Detached { .. } | StreamItem::Closed) => return (messages, true),
            None => return (messages, false),
        }
    }
}

fn names(messages: &[(String, Bytes)]) -> Vec<&str> {
    messages.iter().map(|(name, _)| &**name).collect()
}

#[test]
fn finds_a_session_by_its_id_and_by_no_other() {
    let sessions = Sessions::new(&plan());
    let (id, session) = session_of(&sessions);
    assert!(Arc::ptr_eq(&sessions.find(id.as_str()).unwrap(), &session));
    let mut other = id.as_str().to_owned();
    let last = if other.pop() == Some('A') { 'E' } else { 'A' };
    other.push(last);
    assert!(sessions.find(&other).is_none());
    assert!(sessions.find("").is_none());
}

#[test]
fn remembers_the_handshake_and_what_the_client_wishes() {
    let session = session();
    assert_eq!(session.revision(), Revision::V2025_11_25);
    assert_eq!(session.client(), ClientCapabilities::ROOTS);
    assert_eq!(session.log_level(), None);
    for level in LogLevel::ALL {
        session.set_log_level(level);
        assert_eq!(session.log_level(), Some(level));
    }
    assert!(!session.is_initialized());
    session.set_initialized();
    assert!(session.is_initialized());
}

#[test]
fn refuses_a_session_above_the_bound_and_admits_one_after_an_end() {
    let sessions = Sessions::new(&SessionPlan { sessions_max: 1, ..plan() });
    let (id, session) = session_of(&sessions);
    drop(session);
    let refusal = sessions.create(Revision::V2025_03_26, ClientCapabilities::NONE).err().unwrap();
    assert_eq!(refusal.kind, RefusalKind::SessionsExhausted);
    assert_eq!(refusal.limit, Some(1));
    assert!(sessions.end(id.as_str()));
    assert!(sessions.create(Revision::V2025_03_26, ClientCapabilities::NONE).is_ok());
}

#[test]
fn follows_another_plan() {
    let sessions = Sessions::new(&plan());
    let (_, session) = session_of(&sessions);
    sessions.follow(&SessionPlan {
        sessions_max: 1,
        streams_max: 0,
        subscriptions_max: 0,
        ..plan()
    });
    assert!(sessions.create(Revision::V2025_03_26, ClientCapabilities::NONE).is_err());
    assert!(session.open_stream(StreamKind::Request).is_err());
    assert!(session.subscribe("a:b", Box::new(())).is_err());
}

#[test]
fn an_ended_session_is_gone_and_everything_in_it_hears_of_it() {
    let sessions = Sessions::new(&plan());
    let (id, session) = session_of(&sessions);
    let running = session.begin(&self::id("1")).ok().unwrap();
    let asked = block_on_tokio(|| session.ask("roots/list", ""));
    let stream = session.open_stream(StreamKind::Standalone).unwrap();
    let mut reader = stream.reader(None);
    let (guard, dropped) = Guard::new();
    session.subscribe("a:b", Box::new(guard)).unwrap();
    assert_eq!(now(running.cancelled()), None);

    assert!(sessions.end(id.as_str()));
    assert!(sessions.find(id.as_str()).is_none());
    assert_eq!(now(running.cancelled()), Some(()));
    assert_eq!(now(asked.answer), Some(Err(AskError::SessionEnded)));
    assert_eq!(now(reader.next()), Some(StreamItem::Closed));
    assert_eq!(stream.push(Bytes::from_static(b"{}")), Pushed::Over);
    assert!(dropped.load(Relaxed));
    assert!(!sessions.end(id.as_str()), "ended twice");
}

#[test]
fn nothing_begins_in_a_session_that_has_ended() {
    let sessions = Sessions::new(&plan());
    let (_, session) = session_of(&sessions);
    sessions.end_all();
    assert_eq!(now(session.begin(&id("1")).ok().unwrap().cancelled()), Some(()));
    let asked = block_on_tokio(|| session.ask("roots/list", ""));
    assert_eq!(now(asked.answer), Some(Err(AskError::SessionEnded)));
    let stream = session.open_stream(StreamKind::Request).unwrap();
    assert_eq!(now(stream.reader(None).next()), Some(StreamItem::Closed));
    let (guard, dropped) = Guard::new();
    session.subscribe("a:b", Box::new(guard)).unwrap();
    assert!(dropped.load(Relaxed) && !session.is_subscribed("a:b"));
}

#[test]
fn sweeps_what_is_idle_and_spares_what_was_looked_up_or_is_held() {
    let sessions = Sessions::new(&plan());
    let [idle, found] = [(); 2].map(|()| session_of(&sessions).0);
    let (held_id, held) = session_of(&sessions);
    assert_eq!(sessions.sweep_at(60), 0);
    assert!(sessions.find(found.as_str()).is_some());
    assert_eq!(sessions.sweep_at(61), 1);
    assert!(sessions.find(idle.as_str()).is_none());
    // Idle time begins when the holder lets go.
    drop(held);
    assert_eq!(sessions.sweep_at(121), 1);
    assert!(sessions.find(held_id.as_str()).is_some());
    assert_eq!(sessions.sweep_at(1000), 1);
    assert_eq!(sessions.bounds()[0].used(), 0);
}

#[test]
fn a_part_of_a_second_is_not_taken_from_the_idle_time() {
    let sessions = Sessions::new(&SessionPlan { idle: Duration::from_millis(1_001), ..plan() });
    session_of(&sessions);
    assert_eq!((sessions.sweep_at(2), sessions.sweep_at(3)), (0, 1));
}

#[test]
fn a_session_whose_stream_is_read_is_not_idle() {
    let sessions = Sessions::new(&plan());
    let (_, session) = session_of(&sessions);
    let reader = session.open_stream(StreamKind::Standalone).unwrap().reader(None);
    drop(session);
    assert_eq!(sessions.sweep_at(1000), 0);
    drop(reader);
    assert_eq!(sessions.sweep_at(2000), 1);
}

#[test]
fn refuses_an_id_that_is_in_use_and_takes_it_again_afterwards() {
    let session = session();
    let running = session.begin(&id("1")).ok().unwrap();
    assert!(session.begin(&id("1")).is_err());
    assert!(session.begin(&id("\"1\"")).is_ok(), "a string is another id than a number");
    drop(running);
    assert!(session.begin(&id("1")).is_ok());
}

#[test]
fn cancels_the_request_that_is_meant_and_ignores_unknown_ones() {
    let session = session();
    let [one, other] = ["1", "\"1\""].map(|text| session.begin(&id(text)).ok().unwrap());
    session.cancel("2");
    session.cancel("\"1\"");
    assert_eq!((now(one.cancelled()), now(other.cancelled())), (None, Some(())));
}

#[tokio::test]
async fn an_answer_goes_to_its_question_once() {
    let session = session();
    let asked = session.ask("roots/list", r#"{"a":1}"#);
    let other = session.ask("roots/list", "");
    assert_eq!(asked.message, r#"{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{"a":1}}"#);
    let answer = envelope(r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#);
    assert!(session.answer(&answer));
    assert!(!session.answer(&answer), "answered twice");
    assert_eq!(asked.answer.await, Ok(Bytes::from_static(br#"{"roots":[]}"#)));
    assert_eq!(now(other.answer), None);
}

#[tokio::test]
async fn hands_on_what_the_client_objects_to() {
    let session = session();
    let asked = session.ask("elicitation/create", "{}");
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"User \"no\""}}"#;
    assert!(session.answer(&envelope(error)));
    let expected = AskError::ClientError { code: -1, message: "User \"no\"".to_owned() };
    assert_eq!(asked.answer.await, Err(expected));
}

#[tokio::test]
async fn ignores_answers_that_nobody_waits_for() {
    let session = session();
    drop(session.ask("roots/list", ""));
    for text in ["1", "7", "\"1\"", "-1", "99999999999"] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{text},"result":{{}}}}"#);
        assert!(!session.answer(&envelope(&answer)), "{text}");
    }
    assert!(!session.answer(&envelope(r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#)));
    assert!(!session.answer(&envelope(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)));
}

#[tokio::test]
async fn a_question_times_out() {
    let answer_deadline = Duration::from_millis(20);
    let (_, session) = session_of(&Sessions::new(&SessionPlan { answer_deadline, ..plan() }));
    let asked = session.ask("roots/list", "");
    assert_eq!(asked.answer.await, Err(AskError::Timeout));
    assert!(!session.answer(&envelope(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)));
}

#[test]
fn counts_subscriptions_by_resource_and_drops_guards_with_them() {
    let session = session();
    let (first, first_dropped) = Guard::new();
    session.subscribe("a:1", Box::new(first)).unwrap();
    session.subscribe("a:2", Box::new(())).unwrap();
    let refusal = session.subscribe("a:3", Box::new(())).unwrap_err();
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::SessionsExhausted, Some(2)));
    session.subscribe("a:1", Box::new(())).unwrap();
    assert!(first_dropped.load(Relaxed), "a guard outlived the one that replaced it");
    session.unsubscribe("a:1");
    session.unsubscribe("a:9");
    assert!(!session.is_subscribed("a:1") && session.is_subscribed("a:2"));
    session.subscribe("a:3", Box::new(())).unwrap();
}

#[test]
fn reads_a_stream_to_its_response_and_then_it_is_closed() {
    let session = session();
    let stream = session.open_stream(StreamKind::Request).unwrap();
    let mut reader = stream.reader(None);
    assert_eq!(stream.push(Bytes::from_static(b"one")), Pushed::Kept);
    assert_eq!(read(&mut reader), (vec![("1_1".to_owned(), "one".into())], false));
    stream.finish(Bytes::from_static(b"two"));
    assert_eq!(stream.push(Bytes::from_static(b"late")), Pushed::Over);
    assert_eq!(read(&mut reader), (vec![("1_2".to_owned(), "two".into())], true));
}

#[test]
fn a_second_reader_takes_over_and_the_first_ends() {
    let session = session();
    let stream = session.open_stream(StreamKind::Request).unwrap();
    let mut first = stream.reader(None);
    stream.push(Bytes::from_static(b"one"));
    let mut second = stream.reader(Some(0));
    assert_eq!(now(first.next()), Some(StreamItem::Closed));
    drop(first);
    assert_eq!(names(&read(&mut second).0), ["1_1"]);
    stream.push(Bytes::from_static(b"two"));
    assert_eq!(names(&read(&mut second).0), ["1_2"]);
}

#[test]
fn a_detached_reader_gets_what_was_said_before_and_comes_back_for_the_rest() {
    let session = session();
    let stream = session.open_stream(StreamKind::Request).unwrap();
    let mut reader = stream.reader(None);
    stream.push(Bytes::from_static(b"one"));
    stream.detach(500);
    stream.push(Bytes::from_static(b"two"));
    assert!(matches!(now(reader.next()), Some(StreamItem::Message { .. })));
    let Some(StreamItem::Detached { event_id, retry_ms }) = now(reader.next()) else {
        panic!("not detached")
    };
    assert_eq!((event_id.to_string().as_str(), retry_ms), ("1_1", 500));
    assert_eq!(now(reader.next()), Some(StreamItem::Closed));
    drop(reader);
    stream.finish(Bytes::from_static(b"three"));
    let mut again = session.resume("1_1").unwrap();
    assert_eq!(names(&read(&mut again).0), ["1_2", "1_3"]);
}

#[test]
fn nobody_is_detached_from_a_stream_that_nobody_reads() {
    let session = session();
    let stream = session.open_stream(StreamKind::Request).unwrap();
    stream.detach(500);
    assert_eq!(now(stream.reader(None).next()), None);
}

#[test]
fn resumes_only_what_this_session_sent() {
    let sessions = Sessions::new(&plan());
    let [(_, session), (_, foreign)] = [(); 2].map(|()| session_of(&sessions));
    let stream = session.open_stream(StreamKind::Request).unwrap();
    stream.push(Bytes::from_static(b"one"));
    for unknown in ["", "1", "1_", "_1", "1_2", "2_0", "1_01", "+1_1", "1_1_1", "1_-1", " 1_1"] {
        assert!(session.resume(unknown).is_none(), "{unknown}");
    }
    assert!(foreign.resume("1_0").is_none());
    assert_eq!(read(&mut session.resume("1_0").unwrap()).0.len(), 1);
    assert_eq!(read(&mut session.resume("1_1").unwrap()).0.len(), 0);
}

#[test]
fn the_oldest_messages_leave_first_and_the_response_stays() {
    let session = session();
    let stream = session.open_stream(StreamKind::Request).unwrap();
    for at in 0..4 {
        assert_eq!(stream.push(Bytes::from(format!("{at}"))), Pushed::Kept);
    }
    assert_eq!(stream.push(Bytes::from_static(b"4")), Pushed::Displaced);
    stream.finish(Bytes::from(vec![b'x'; 4096]));
    assert_eq!(names(&read(&mut stream.reader(None)).0), ["1_6"]);
}

#[test]
fn a_message_that_was_taken_leaves_without_being_missed() {
    let session = session();
    let stream = session.open_stream(StreamKind::Request).unwrap();
    let mut reader = stream.reader(None);
    for _ in 0..20 {
        assert_eq!(stream.push(Bytes::from_static(b"{}")), Pushed::Kept);
        assert_eq!(read(&mut reader).0.len(), 1);
    }
}

#[test]
fn a_notification_goes_to_the_one_stream_that_is_read_last() {
    let session = session();
    let message = || Bytes::from_static(b"{}");
    assert!(session.standalone().is_none());
    let _request = session.open_stream(StreamKind::Request).unwrap();
    assert!(session.standalone().is_none(), "the stream of a call");
    let notify = || session.standalone().unwrap().push(message());
    let [first, second] = [(); 2].map(|()| session.open_stream(StreamKind::Standalone).unwrap());
    let [mut first_reader, mut second_reader] = [&first, &second].map(|stream| stream.reader(None));
    notify();
    assert_eq!(read(&mut first_reader).0.len(), 0);
    assert_eq!(read(&mut second_reader).0.len(), 1);
    // A stream that is read goes before one that was left, and one that was left before none.
    drop(second_reader);
    notify();
    assert_eq!(read(&mut first_reader).0.len(), 1);
    assert!(Arc::ptr_eq(&session.standalone().unwrap(), &first));
    first.close();
    assert!(Arc::ptr_eq(&session.standalone().unwrap(), &second));
    notify();
    assert_eq!(names(&read(&mut session.resume("3_1").unwrap()).0), ["3_2"]);
}

#[test]
fn finished_streams_are_kept_for_a_while_and_leave_early_for_others() {
    let sessions = Sessions::new(&SessionPlan { streams_max: 2, ..plan() });
    let (_, session) = session_of(&sessions);
    let open = || session.open_stream(StreamKind::Request);
    let [first, second] = [(); 2].map(|()| open().unwrap());
    let refusal = open().err().unwrap();
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::SessionsExhausted, Some(2)));
    first.finish(Bytes::from_static(b"{}"));
    drop(first);
    let _third = open().unwrap();
    assert!(session.resume("1_0").is_none(), "a finished stream kept its place");
    second.finish(Bytes::from_static(b"{}"));
    drop(second);
    sessions.sweep_at(30);
    assert!(session.resume("2_0").is_some());
    sessions.sweep_at(61);
    assert!(session.resume("2_0").is_none());
    assert_eq!(sessions.bounds()[1].used(), 1);
}

#[test]
fn streams_that_their_clients_left_make_room_unless_they_came_back() {
    let sessions = Sessions::new(&SessionPlan { streams_max: 2, ..plan() });
    let (_, session) = session_of(&sessions);
    let open = || session.open_stream(StreamKind::Standalone);
    let [first, second] = [(); 2].map(|()| open().unwrap());
    let mut readers = [&first, &second].map(|stream| stream.reader(None));
    for _ in 0..3 {
        readers = [&first, &second].map(|stream| stream.reader(None));
    }
    assert_eq!(open().err().unwrap().kind, RefusalKind::SessionsExhausted);
    drop(readers);
    let _reader = session.resume("1_0").unwrap();
    drop((first, second));
    let third = open().unwrap();
    assert!(session.resume("2_0").is_none() && session.resume("1_0").is_some());
    let _third = third.reader(None);
    assert!(open().is_err(), "both are read");
}

#[test]
fn a_call_that_still_runs_keeps_its_stream_and_a_standalone_one_needs_a_reader() {
    let sessions = Sessions::new(&plan());
    let (_, session) = session_of(&sessions);
    let running = session.open_stream(StreamKind::Request).unwrap();
    let [left, read] = [(); 2].map(|()| session.open_stream(StreamKind::Standalone).unwrap());
    let _reader = read.reader(None);
    sessions.sweep_at(31);
    assert_eq!([&running, &left, &read].map(|stream| stream.is_over()), [false, true, false]);
}

#[test]
fn a_quiet_session_gives_back_what_it_needed_when_busy() {
    let sessions = Sessions::new(&plan());
    let (_, session) = session_of(&sessions);
    drop(session.begin(&id("1")).ok().unwrap());
    assert!(matches!(*session.state.lock(), State::Busy(_)));
    sessions.sweep_at(0);
    assert!(matches!(*session.state.lock(), State::Quiet));
}

#[test]
fn begin_cancel_and_end_may_race() {
    let sessions = Sessions::new(&plan());
    let ids: Vec<_> = (0..50).map(|at| id(&at.to_string())).collect();
    for _ in 0..50 {
        let (session_id, session) = session_of(&sessions);
        let (woken, heard) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for id in &ids {
                    let running = session.begin(id).ok().unwrap();
                    futures_util::FutureExt::now_or_never(running.cancelled());
                    woken.send(running).unwrap();
                }
            });
            scope.spawn(|| ids.iter().for_each(|id| session.cancel(id.text())));
            scope.spawn(|| sessions.end(session_id.as_str()));
        });
        let all: Vec<_> = heard.try_iter().collect();
        assert_eq!(all.len(), ids.len());
        // Whoever won: the session has ended, so each of them is cancelled.
        assert!(all.iter().all(|running| now(running.cancelled()) == Some(())));
    }
    assert_eq!(sessions.bounds()[0].used(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_sleeper_is_woken_when_its_session_ends() {
    let sessions = Sessions::new(&SessionPlan { streams_max: 1000, ..plan() });
    for _ in 0..100 {
        let (session_id, session) = session_of(&sessions);
        let calls = (0..4).map(|at| {
            let (session, id) = (Arc::clone(&session), id(&at.to_string()));
            tokio::spawn(async move { session.begin(&id).ok().unwrap().cancelled().await })
        });
        let questions = (0..4).map(|_| {
            let asked = session.ask("roots/list", "");
            tokio::spawn(async move { assert_eq!(asked.answer.await, Err(AskError::SessionEnded)) })
        });
        let readers = (0..4).map(|_| {
            let mut reader = session.open_stream(StreamKind::Standalone).unwrap().reader(None);
            tokio::spawn(async move { assert_eq!(reader.next().await, StreamItem::Closed) })
        });
        let all: Vec<_> = calls.chain(questions).chain(readers).collect();
        sessions.end(session_id.as_str());
        for sleeper in all {
            sleeper.await.unwrap();
        }
    }
}

#[test]
fn an_idle_session_is_made_to_take_at_most_512_bytes() {
    let allocated = size_of::<Session>() + 2 * size_of::<usize>() + 16;
    // A table that has just doubled is 7/16 full; each place has one byte of control.
    let in_the_map = (size_of::<(IdDigest, Arc<Session>)>() + 1) * 16 / 7;
    assert!(allocated + in_the_map <= 512, "{allocated} + {in_the_map} bytes");
}

/// What a client and a server may do with one stream.
#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    Read,
    Leave,
    /// Comes back behind the last message that was read.
    Resume,
    Detach,
    Finish,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(Step::Push),
        4 => Just(Step::Read),
        1 => Just(Step::Leave),
        2 => Just(Step::Resume),
        1 => Just(Step::Detach),
        1 => Just(Step::Finish),
    ];
    prop::collection::vec((0..2_usize, step), 1..80)
}

/// One stream and its client, and what the client should have seen.
struct Modelled {
    stream: Arc<Stream>,
    reader: Option<StreamReader>,
    last_event_id: String,
    sent: Vec<Bytes>,
    seen: usize,
}

impl Modelled {
    fn read_one(&mut self, number: usize) {
        let Some(reader) = &mut self.reader else {
            return;
        };
        match now(reader.next()) {
            Some(StreamItem::Message { event_id, message }) => {
                self.seen += 1;
                assert_eq!(event_id.to_string(), format!("{}_{}", number + 1, self.seen));
                assert_eq!(message, self.sent[self.seen - 1]);
                self.last_event_id = event_id.to_string();
            }
            Some(StreamItem::Detached { event_id, .. }) => {
                assert_eq!(event_id.to_string(), self.last_event_id);
                self.reader = None;
            }
            Some(StreamItem::Closed) => {
                assert!(self.stream.is_over() && self.seen == self.sent.len());
                self.reader = None;
            }
            None => assert_eq!(self.seen, self.sent.len(), "a message was held back"),
        }
    }
}

proptest! {
    /// Nothing is lost, doubled, out of order or from another stream, however often the client leaves and comes back.
    #[test]
    fn a_reader_gets_each_message_of_its_own_stream_once_and_in_order(steps in steps()) {
        let sessions = Sessions::new(&SessionPlan {
            replay_events_max: 100,
            replay_bytes_max: 10_000,
            ..plan()
        });
        let (_, session) = session_of(&sessions);
        let mut streams = [1, 2].map(|number| Modelled {
            stream: session.open_stream(StreamKind::Request).unwrap(),
            reader: None,
            last_event_id: format!("{number}_0"),
            sent: Vec::new(),
            seen: 0,
        });
        for (number, step) in steps {
            let modelled = &mut streams[number];
            match step {
                Step::Push(byte) => {
                    let message = Bytes::from(vec![b'0' + number as u8, byte]);
                    if modelled.stream.push(message.clone()) != Pushed::Over {
                        modelled.sent.push(message);
                    }
                }
                Step::Read => modelled.read_one(number),
                Step::Leave => modelled.reader = None,
                Step::Resume => modelled.reader = session.resume(&modelled.last_event_id),
                Step::Detach => modelled.stream.detach(10),
                Step::Finish => {
                    if !modelled.stream.is_over() {
                        modelled.sent.push(Bytes::from_static(b"response"));
                        modelled.stream.finish(Bytes::from_static(b"response"));
                    }
                }
            }
        }
        for (number, modelled) in streams.iter_mut().enumerate() {
            modelled.reader = session.resume(&modelled.last_event_id);
            prop_assert!(modelled.reader.is_some());
            for _ in modelled.seen..modelled.sent.len() {
                modelled.read_one(number);
            }
            prop_assert_eq!(modelled.seen, modelled.sent.len());
        }
    }

    /// What is kept is always the newest, within both bounds but for the newest one, and numbered as it was sent.
    #[test]
    fn replay_keeps_the_newest_within_its_bounds(
        lengths in prop::collection::vec(0..40_usize, 1..60),
        events_max in 1..10_usize,
        bytes_max in 0..100_usize,
    ) {
        let mut replay = Replay::default();
        for (at, length) in lengths.iter().enumerate() {
            let oldest = replay.push(Bytes::from(vec![at as u8; *length]), events_max, bytes_max);
            let kept: Vec<_> = (oldest..=replay.last()).map(|number| number as usize).collect();
            prop_assert_eq!(replay.last(), at as u64 + 1);
            prop_assert!(kept.len() <= events_max);
            let bytes: usize = kept.iter().map(|number| lengths[number - 1]).sum();
            prop_assert!(kept.len() == 1 || bytes <= bytes_max);
            // Nothing left that would still have fitted.
            if oldest > 1 {
                let fits = kept.len() < events_max && bytes + lengths[oldest as usize - 2] <= bytes_max;
                prop_assert!(!fits || *length > bytes_max || kept.len() < events_max);
            }
            for number in kept {
                let (found, message) = replay.after(number as u64 - 1).unwrap();
                prop_assert_eq!(found as usize, number);
                prop_assert_eq!(message.len(), lengths[number - 1]);
            }
            prop_assert!(replay.after(replay.last()).is_none());
            prop_assert_eq!(replay.after(0).map(|found| found.0), Some(oldest));
        }
    }

    #[test]
    fn event_ids_read_back_and_have_one_spelling(stream: u32, number: u64, text in "[0-9_+ -]{0,8}") {
        let written = format!("{stream}_{number}");
        prop_assert_eq!(EventId::parse(&written).map(|id| id.to_string()), Some(written));
        if let Some(id) = EventId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

/// Tells when it is dropped.
struct Guard(Arc<AtomicBool>);

impl Guard {
    fn new() -> (Self, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&dropped)), dropped)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `make` where timers can be made.
fn block_on_tokio<T>(make: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { make() })
}

//! Sessions that go along when another process takes over.
//!
//! What a session is goes along; what it has going (calls, questions, streams, subscriptions) stays with the process that
//! has it, and its idle time begins anew. Numbers of streams go on where they were, so that the name of an event is never
//! that of another.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use protocol::{ClientCapabilities, LogLevel, Revision};
use runtime::IdDigest;

use super::{NO_LEVEL, Session, Sessions};

/// A session as another process can be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// What it is kept under.
    pub id: IdDigest,
    /// The revision that was negotiated.
    pub revision: Revision,
    /// What the client declared that it can do.
    pub client: ClientCapabilities,
    /// Whether the client has said that it is ready.
    pub is_initialized: bool,
    /// Lowest severity that the client wants to hear of.
    pub log_level: Option<LogLevel>,
    /// How many questions were numbered.
    pub questions: u32,
    /// How many streams were numbered.
    pub streams: u32,
}

/// What became of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It has begun, or is another than before.
    Changed(Carried),
    /// Its client has ended it.
    Ended(IdDigest),
}

/// Whoever tells another process of what becomes of sessions. Asked where sessions change, so it must not wait.
pub trait Journal: Send + Sync {
    /// Takes in what became of a session.
    fn note(&self, news: News);

    /// Waits until the other process knows of everything that was noted, or it is of no use to wait any longer.
    fn settled(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl Sessions {
    /// Tells `journal` of every change from now on, and no other; `None`: nobody.
    pub fn set_journal(&self, journal: Option<Arc<dyn Journal>>) {
        *self.shared.journal.write() = journal;
    }

    /// Waits until whoever takes over knows of every session; `None` when nobody does.
    #[must_use]
    pub fn settled(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        self.shared.journal.read().as_ref().map(|journal| journal.settled())
    }

    /// Every session at this moment.
    #[must_use]
    pub fn carried(&self) -> Vec<Carried> {
        let of_shard = |shard: &super::sessions::Shard| {
            shard.read().values().map(|session| session.carried()).collect::<Vec<_>>()
        };
        self.shards().iter().flat_map(of_shard).collect()
    }

    /// Begins a session that another process has begun, or has it follow what became of it there. Above the bound as
    /// well: its client was let in already.
    pub fn restore(&self, carried: &Carried) {
        let known = self.shard(&carried.id).read().get(&carried.id).cloned();
        let session = known.unwrap_or_else(|| {
            let (permit, _) = self.shared.sessions.take_anyway();
            let session =
                Session::new(&self.shared, permit, carried.id, carried.revision, carried.client);
            self.shard(&carried.id).write().insert(carried.id, Arc::clone(&session));
            session
        });
        session.is_initialized.store(carried.is_initialized, Relaxed);
        session.log_level.store(carried.log_level.map_or(NO_LEVEL, |level| level as u8), Relaxed);
        session.questions.fetch_max(carried.questions, Relaxed);
        session.streams.fetch_max(carried.streams, Relaxed);
        session.streams_before.fetch_max(carried.streams, Relaxed);
    }

    /// Ends a session that its client has ended in another process.
    pub fn end_restored(&self, id: &IdDigest) {
        let session = self.shard(id).write().remove(id);
        session.into_iter().for_each(|session| session.end());
    }
}

impl Session {
    fn carried(&self) -> Carried {
        Carried {
            id: self.id,
            revision: self.revision,
            client: self.client,
            is_initialized: self.is_initialized(),
            log_level: self.log_level(),
            questions: self.questions.load(Relaxed),
            streams: self.streams.load(Relaxed),
        }
    }

    /// Tells whoever takes over, if anybody does, that the session is another than before.
    pub(super) fn note_change(&self) {
        self.shared.note(|| News::Changed(self.carried()));
    }

    /// Whether an event has the name of a stream that the process before had: what was on it cannot be read here.
    #[must_use]
    pub fn is_of_process_before(&self, last_event_id: &str) -> bool {
        let before = self.streams_before.load(Relaxed);
        super::EventId::parse(last_event_id)
            .is_some_and(|event| (1..=before).contains(&event.stream()))
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use profile::plan::SessionPlan;

    use super::super::StreamKind;
    use super::super::tests::plan;
    use super::*;

    fn sessions(sessions_max: usize) -> Arc<Sessions> {
        Sessions::new(&SessionPlan { sessions_max, ..plan() })
    }

    fn begun(sessions: &Sessions) -> (super::super::SessionId, Arc<Session>) {
        let begun = sessions.create(Revision::V2025_06_18, ClientCapabilities::ROOTS);
        begun.expect("a place")
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<News>>);

    impl Journal for Heard {
        fn note(&self, news: News) {
            self.0.lock().push(news);
        }

        fn settled(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn a_session_is_the_same_in_the_process_that_takes_over() {
        let (before, after) = (sessions(1), sessions(1));
        let (id, session) = begun(&before);
        session.set_initialized();
        session.set_log_level(LogLevel::Error);
        drop(session.open_stream(StreamKind::Standalone).expect("a place"));
        before.carried().iter().for_each(|carried| after.restore(carried));
        let same = after.find(id.as_str()).expect("it is there");
        assert_eq!((same.revision(), same.client()), (session.revision(), session.client()));
        assert!(same.is_initialized() && same.log_level() == Some(LogLevel::Error));
        assert!(same.is_of_process_before("1_0") && !same.is_of_process_before("2_0"));
        let stream = same.open_stream(StreamKind::Standalone).expect("a place");
        let first = stream.reader(None).position().to_string();
        assert_eq!(first, "2_0", "no event has the name of another");
        assert_eq!(after.carried().len(), 1);
    }

    #[test]
    fn sessions_that_were_let_in_go_along_above_the_bound() {
        let (before, after) = (sessions(3), sessions(1));
        let ids: Vec<_> = (0..3).map(|_| begun(&before).0).collect();
        before.carried().iter().for_each(|carried| after.restore(carried));
        assert!(ids.iter().all(|id| after.find(id.as_str()).is_some()));
        assert!(after.create(Revision::V2025_06_18, ClientCapabilities::NONE).is_err());
    }

    #[test]
    fn what_becomes_of_sessions_is_told_until_nobody_asks() {
        let (before, after) = (sessions(9), sessions(9));
        let heard = Arc::new(Heard::default());
        before.set_journal(Some(Arc::clone(&heard) as Arc<dyn Journal>));
        let (kept, session) = begun(&before);
        session.set_log_level(LogLevel::Debug);
        let (ended, _) = begun(&before);
        assert!(before.end(ended.as_str()) && before.settled().is_some());
        before.set_journal(None);
        begun(&before);
        before.end_all();
        assert!(before.settled().is_none());
        for news in heard.0.lock().iter() {
            match news {
                News::Changed(carried) => after.restore(carried),
                News::Ended(id) => after.end_restored(id),
            }
        }
        let kept = after.find(kept.as_str()).expect("it goes on");
        assert_eq!(kept.log_level(), Some(LogLevel::Debug));
        assert!(after.find(ended.as_str()).is_none());
        assert_eq!(after.carried().len(), 1);
    }
}

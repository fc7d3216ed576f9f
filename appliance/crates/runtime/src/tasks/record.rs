//! What a task remembers, and the steps it may take: plain state, no time of its own.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;
use protocol::json::{Raw, write_string};
use protocol::{Share, TaskDetail, TaskStatus};

/// What a task is charged besides its texts: its entry, its timer and the futures that run it take a little less.
pub(super) const TASK_BYTES: usize = 4_096;

/// Every byte that tasks may keep is kept already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// A question that the client has yet to answer, or has answered while others are open.
#[derive(Debug)]
struct Question {
    /// What the client calls it: never given out twice by one task.
    key: Box<str>,
    /// What the plugin calls it.
    name: Box<str>,
    /// `{method, params}`.
    json: Bytes,
    answer: Option<Box<str>>,
}

impl Question {
    fn bytes(&self) -> usize {
        let answer = self.answer.as_ref().map_or(0, |answer| answer.len());
        self.key.len() + self.name.len() + self.json.len() + answer
    }
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum End {
    /// With a result: JSON text of one object.
    Completed(Bytes),
    /// With an error: JSON text of one object.
    Failed(Bytes),
    /// Given up.
    Cancelled,
}

/// What is kept of the end.
#[derive(Debug)]
enum Kept {
    Nothing,
    Result(Bytes),
    Error(Bytes),
    /// There was no room for what should have been here.
    NoRoom,
}

const NO_ROOM: &[u8] = br#"{"code":-32014,"message":"What this task ended with had no room beside what other tasks keep."}"#;

/// What a task remembers.
#[derive(Debug)]
pub(super) struct Record {
    status: TaskStatus,
    created: Timestamp,
    updated: Timestamp,
    request_bytes: usize,
    questions: Vec<Question>,
    keys: HashSet<Box<str>>,
    kept: Kept,
    /// Counts what the client can see change.
    version: u64,
    share: Share,
}

impl Record {
    /// A task that works on a request of `request_bytes`.
    pub(super) fn new(
        mut share: Share,
        request_bytes: usize,
        now: Timestamp,
    ) -> Result<Self, NoRoom> {
        if !share.resize(TASK_BYTES + request_bytes) {
            return Err(NoRoom);
        }
        Ok(Self {
            status: TaskStatus::Working,
            created: now,
            updated: now,
            request_bytes,
            questions: Vec::new(),
            keys: HashSet::new(),
            kept: Kept::Nothing,
            version: 1,
            share,
        })
    }

    pub(super) const fn status(&self) -> TaskStatus {
        self.status
    }

    pub(super) const fn created(&self) -> Timestamp {
        self.created
    }

    pub(super) const fn updated(&self) -> Timestamp {
        self.updated
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Puts questions to the client: name and `{method, params}` of each. Does nothing to a task that has ended.
    pub(super) fn ask(
        &mut self,
        questions: Vec<(Box<str>, Bytes)>,
        now: Timestamp,
    ) -> Result<(), NoRoom> {
        if !self.status.may_become(TaskStatus::InputRequired) {
            return Ok(());
        }
        let next = questions
            .into_iter()
            .map(|(name, json)| Question { key: self.new_key(&name), name, json, answer: None })
            .collect();
        let before = std::mem::replace(&mut self.questions, next);
        if !self.share.resize(self.bytes()) {
            for question in std::mem::replace(&mut self.questions, before) {
                self.keys.remove(&question.key);
            }
            return Err(NoRoom);
        }
        self.become_status(TaskStatus::InputRequired, now);
        Ok(())
    }

    /// The plugin's own name as long as it is new: a tool that asks again for what did not fit uses it again.
    fn new_key(&mut self, name: &str) -> Box<str> {
        let mut key: Box<str> = name.into();
        let mut count = 1;
        while !self.keys.insert(key.clone()) {
            count += 1;
            key = format!("{name}-{count}").into();
        }
        key
    }

    /// Takes in answers by their keys; others are ignored. When the last one is there the task works on.
    pub(super) fn answer(&mut self, answers: Raw<'_>, now: Timestamp) -> Result<(), NoRoom> {
        let mut taken = Vec::new();
        for (key, answer) in answers.members() {
            let is_open = |question: &Question| *question.key == *key && question.answer.is_none();
            if let Some(at) = self.questions.iter().position(is_open) {
                self.questions[at].answer = Some(answer.text().into());
                taken.push(at);
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        if !self.share.resize(self.bytes()) {
            for at in taken {
                self.questions[at].answer = None;
            }
            return Err(NoRoom);
        }
        if self.questions.iter().all(|question| question.answer.is_some()) {
            self.become_status(TaskStatus::Working, now);
        } else {
            self.touch(now);
        }
        Ok(())
    }

    /// The answers of a round that is complete, under the plugin's names: JSON text of one object.
    pub(super) fn answers(&self) -> Option<Bytes> {
        if self.status != TaskStatus::Working {
            return None;
        }
        Some(object(
            self.questions
                .iter()
                .map(|question| (&*question.name, question.answer.as_deref().unwrap_or("{}"))),
        ))
    }

    /// Ends the task. `false`, and nothing changes, when it has ended already or cannot end like this.
    pub(super) fn end(&mut self, end: End, now: Timestamp) -> bool {
        let (status, kept) = match end {
            End::Completed(json) => (TaskStatus::Completed, Kept::Result(json)),
            End::Failed(json) => (TaskStatus::Failed, Kept::Error(json)),
            End::Cancelled => (TaskStatus::Cancelled, Kept::Nothing),
        };
        if !self.become_status(status, now) {
            return false;
        }
        self.questions = Vec::new();
        self.keys = HashSet::new();
        self.request_bytes = 0;
        self.kept = kept;
        if !self.share.resize(self.bytes()) {
            self.status = TaskStatus::Failed;
            self.kept = Kept::NoRoom;
            let fits = self.share.resize(self.bytes());
            debug_assert!(fits, "less than before always fits");
        }
        true
    }

    fn become_status(&mut self, next: TaskStatus, now: Timestamp) -> bool {
        if !self.status.may_become(next) {
            return false;
        }
        self.status = next;
        self.touch(now);
        true
    }

    fn touch(&mut self, now: Timestamp) {
        self.version += 1;
        self.updated = now.max(self.updated);
    }

    /// What it keeps, as charged.
    pub(super) fn bytes(&self) -> usize {
        let kept = match &self.kept {
            Kept::Nothing | Kept::NoRoom => 0,
            Kept::Result(json) | Kept::Error(json) => json.len(),
        };
        let questions = self.questions.iter().map(Question::bytes).sum::<usize>();
        let keys = self.keys.iter().map(|key| key.len()).sum::<usize>();
        TASK_BYTES + self.request_bytes + questions + keys + kept
    }

    /// The questions that are open: JSON text of one object, key to `{method, params}`.
    pub(super) fn open_questions(&self) -> Bytes {
        let open = self.questions.iter().filter(|question| question.answer.is_none());
        object(open.map(|question| {
            // A part of the plugin's answer, which was checked as text.
            (&*question.key, std::str::from_utf8(&question.json).unwrap_or("{}"))
        }))
    }

    /// What goes with the status; `open` from [`Record::open_questions`].
    pub(super) fn detail<'r>(&'r self, open: &'r Bytes) -> TaskDetail<'r> {
        match (&self.kept, self.status) {
            (Kept::Nothing, TaskStatus::InputRequired) => TaskDetail::Questions(open),
            (Kept::Nothing, _) => TaskDetail::None,
            (Kept::Result(json), _) => TaskDetail::Result(json),
            (Kept::Error(json), _) => TaskDetail::Error(json),
            (Kept::NoRoom, _) => TaskDetail::Error(NO_ROOM),
        }
    }
}

/// One object of texts that are JSON already.
fn object<'m>(members: impl Iterator<Item = (&'m str, &'m str)>) -> Bytes {
    let mut out = String::from("{");
    for (key, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        write_string(&mut out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out.into()
}

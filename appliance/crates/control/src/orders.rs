//! What operators order over the control listener, and whoever carries it out.
//!
//! Each order is asked for on the control thread, which must not wait: what takes time goes into the answer.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use profile::Identity;
use serde_json::{Value, json};

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its status.
    pub status: StatusCode,
    /// What it says.
    pub body: Value,
}

impl Told {
    /// A refusal: one sentence that says how to mend it.
    #[must_use]
    pub fn refused(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, body: json!({ "error": sentence.into() }) }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.to_string().into()));
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// An answer that is on its way. It is waited for beside everything else that the control thread does.
pub type Telling = Pin<Box<dyn Future<Output = Told> + Send>>;

/// Whoever reads the profile again.
pub trait Reloads: Send + Sync {
    /// Reads it again, soon; the answer tells what became of it when `waits`, and otherwise that it will.
    fn ask(self: Arc<Self>, waits: bool) -> Telling;

    /// Has a generation back that served before: the one of this number, or the last good one of other content. The
    /// answer tells what became of it.
    fn roll_back(self: Arc<Self>, to: Option<u64>) -> Telling;
}

/// What is to become of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posting {
    /// Nothing: only what it would change is asked for.
    Try {
        /// Where relative `extends` start; `None`: in the folder of the profile's file.
        folder: Option<PathBuf>,
    },
    /// It takes the place of the profile's file, if what serves is still this.
    Take {
        /// What its writer has seen.
        seen: Identity,
    },
}

/// Whoever takes profiles.
pub trait Profiles: Send + Sync {
    /// Tries a text, or takes it. The answer has what serves then as `identity`.
    fn post(self: Arc<Self>, text: String, posting: Posting) -> Telling;
}

/// The profile that serves, for those who ask for it.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Its effective values, secrets hidden.
    pub toml: Bytes,
    /// What it says, as one number.
    pub identity: Identity,
}

/// Which program is to take over, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeWish {
    /// The program; `None`: the one that is now where this one was started from.
    pub program: Option<PathBuf>,
    /// How long it may take until it is ready.
    pub wait: Duration,
    /// Whether tasks may end with this process.
    pub forgets_tasks: bool,
}

/// Whoever hands over.
pub trait Upgrades: Send + Sync {
    /// Hands over; the answer tells what became of it.
    fn ask(self: Arc<Self>, wish: UpgradeWish) -> Telling;
}

/// What the client of a self-test asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To begin a test.
    Begin,
    /// To open a fresh lane with these wishes, of which the house says what they mean.
    Open {
        /// The test.
        test: String,
        /// Keys and values, as they were sent.
        wishes: Vec<(String, String)>,
    },
    /// To let the lane believe that so many percent of the memory are used.
    Press {
        /// The test.
        test: String,
        /// From 0 to 100.
        percent: u8,
    },
    /// What the lane has counted.
    Look {
        /// The test.
        test: String,
    },
    /// To end the test.
    End {
        /// The test.
        test: String,
    },
}

/// Whoever runs self-tests.
pub trait SelfTests: Send + Sync {
    /// Takes in what a client asks for.
    fn ask(self: Arc<Self>, ask: Ask) -> Telling;
}

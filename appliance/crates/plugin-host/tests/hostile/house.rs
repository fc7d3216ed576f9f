//! Starts plugins and calls them, and keeps a healthy one at work beside them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_host::{Invocation, Item, Limits, LoadError, Notice, Plugin, Settings};
use protocol::envelope::Message;
use protocol::json::Limits as JsonLimits;
use protocol::{
    Call, ClientCapabilities, Content, Envelope, Event, LogLevel, Outcome, Principal, Refusal,
    RefusalKind, Revision,
};
use tokio::sync::{mpsc, oneshot};

use crate::compiler;

/// Longest that any test may take: nothing here takes a tenth of it.
pub(crate) const IN_TIME: Duration = Duration::from_secs(30);
/// Largest result of every plugin here.
pub(crate) const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// More images than any test loads.
pub(crate) const IMAGES_MAX: usize = 1_024;

/// A started plugin and what it says between calls.
pub(crate) struct Started {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) notices: mpsc::Receiver<(Arc<str>, Notice)>,
}

/// Bounds that no honest call reaches.
pub(crate) fn limits() -> Limits {
    Limits {
        concurrent_calls: 3,
        queue_calls: 1,
        deadline: Duration::from_secs(20),
        response_bytes_max: RESPONSE_BYTES_MAX,
        threads_max: 2,
        inline_overrun: Duration::from_secs(5),
        inline_overruns_max: 3,
        tool_deadlines: [].into(),
    }
}

pub(crate) fn start(library: &Path, config: &str, limits: Limits) -> Result<Started, LoadError> {
    let (sink, notices) = mpsc::channel(8);
    let plugin = Plugin::start(settings(library, config, limits), sink, IMAGES_MAX)?;
    Ok(Started { plugin, notices })
}

pub(crate) fn settings(library: &Path, config: &str, limits: Limits) -> Settings {
    Settings {
        name: "under_test".into(),
        library: library.to_owned(),
        config_json: config.to_owned(),
        limits,
        generation: 1,
    }
}

/// The hostile plugin, with nothing wrong yet.
pub(crate) fn hostile(limits: Limits) -> Started {
    start(&compiler::hostile(), "{}", limits).expect("it starts")
}

/// How a call ended, as far as these tests care.
#[derive(Debug, PartialEq)]
pub(crate) enum Ended {
    Text(String),
    Json(String),
    Failed(i32, String),
    Refused(RefusalKind),
}

impl Ended {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// What a client hears of every result that cannot be believed.
    pub(crate) fn rejected() -> Self {
        let message = "The tool returned something that cannot be passed on.";
        Self::Failed(-32603, message.to_owned())
    }

    fn of(result: Result<Outcome, Refusal>) -> Self {
        let utf8 = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("checked by the host");
        match result {
            Ok(Outcome::Done(Content::Text { text, .. })) => Self::Text(utf8(text)),
            Ok(Outcome::Done(Content::Object { json, .. } | Content::Structured { json, .. })) => {
                Self::Json(utf8(json))
            }
            Ok(Outcome::Failed(fault)) => Self::Failed(fault.code, fault.message.into_owned()),
            Err(refusal) => Self::Refused(refusal.kind),
            Ok(other) => panic!("no test asks for {other:?}"),
        }
    }
}

/// A call of a tool by a client that wants to hear everything.
pub(crate) fn call_of(tool: &str, events: Option<mpsc::Sender<Event>>) -> Call {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},"_meta":{{"progressToken":1}}}}}}"#
    );
    let Ok(Message::One(envelope)) = Envelope::parse(text.into(), &JsonLimits::DEFAULT) else {
        panic!("a message");
    };
    let principal = Principal::local();
    let mut call = Call::new(envelope, Revision::V2025_11_25, ClientCapabilities::NONE, principal);
    call.log_level = Some(LogLevel::Debug);
    call.events = events;
    call
}

/// Begins a call.
pub(crate) fn begin(
    plugin: &Arc<Plugin>,
    tool: &str,
    events: Option<mpsc::Sender<Event>>,
) -> Invocation<()> {
    let described = plugin.described();
    let index = described.tools.iter().position(|item| item.name == tool).expect("it is described");
    plugin.call(Item::Tool(index as u32), call_of(tool, events), |_| ())
}

/// Waits for the end of a call.
pub(crate) async fn end(invocation: Invocation<()>) -> Ended {
    Ended::of(match invocation {
        Invocation::Ready(result) => result,
        Invocation::Asks(input, ()) => Ok(Outcome::InputRequired(input)),
        Invocation::Pending(pending, ()) => {
            tokio::time::timeout(IN_TIME, pending).await.expect("it ends in time")
        }
    })
}

/// A whole call.
pub(crate) async fn call(plugin: &Arc<Plugin>, tool: &str) -> Ended {
    end(begin(plugin, tool, None)).await
}

/// Runs `act` while another plugin is called without a pause: none of its calls may fail.
pub(crate) async fn beside_a_healthy_one<T>(act: impl Future<Output = T>) -> T {
    let healthy = start(compiler::healthy(), "{}", limits()).expect("it starts").plugin;
    let (begun, has_begun) = oneshot::channel();
    let (done, mut is_done) = oneshot::channel::<()>();
    let neighbour = tokio::spawn(async move {
        let mut begun = Some(begun);
        loop {
            for tool in ["on_pool", "here"] {
                assert_eq!(call(&healthy, tool).await, Ended::text("well"));
            }
            if let Some(begun) = begun.take() {
                begun.send(()).expect("somebody waits");
            }
            if is_done.try_recv().is_ok() {
                break healthy;
            }
            tokio::task::yield_now().await;
        }
    });
    has_begun.await.expect("the neighbour is well");
    let result = tokio::time::timeout(IN_TIME, act).await.expect("it ends in time");
    done.send(()).expect("the neighbour is still at work");
    let healthy = tokio::time::timeout(IN_TIME, neighbour).await.expect("it ends in time");
    let counted = healthy.expect("the neighbour is well").counted();
    assert_eq!((counted.in_flight, counted.busy, counted.timeouts), (0, 0, 0));
    result
}

//! Doubles for the tests of layers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{
    Admission, Call, ClientCapabilities, Content, Entry, Envelope, Fields, Head, Outcome, Peer,
    Principal, Refusal, Reply, Revision, Target, TargetItem,
};
use tower_service::Service;

use crate::edge::{Admit, Edge, EdgeLayer};

/// What an edge service says to a request of `peer`, counted against its address.
pub(crate) fn ask<L: EdgeLayer>(
    service: &Edge<L, Admit>,
    request: Request<()>,
    peer: Peer,
    declared_bytes: Option<u64>,
) -> Result<Admission, Refusal> {
    let (parts, ()) = request.into_parts();
    let (principal, listener) = (Principal::at(peer.remote.ip()), Arc::from("public"));
    let fields = Fields::of(&parts.headers);
    let (parts, fields, listener) = (&parts, &fields, &listener);
    let head = Head { parts, fields, peer, principal, listener, declared_bytes };
    let mut service = service;
    service.call(Entry::new(head)).into_inner().map_err(|refusal| *refusal)
}

/// Somebody on this machine.
pub(crate) fn neighbour() -> Peer {
    let address = "127.0.0.1:80".parse().expect("an address");
    Peer { remote: address, local: address }
}

/// A `ping`.
pub(crate) fn call() -> Call {
    call_of(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned())
}

/// A call of a tool that exists.
pub(crate) fn call_of_tool(name: &str) -> Call {
    let mut call = call_of(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#
    ));
    call.target = Some(Target { plugin: 0, item: TargetItem::Tool(0), runs_here: false });
    call
}

/// A light read.
pub(crate) fn call_of_list() -> Call {
    call_of(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned())
}

fn call_of(text: String) -> Call {
    let text = Bytes::from(text);
    match Envelope::parse(text, &Limits::DEFAULT) {
        Ok(Message::One(envelope)) => {
            Call::new(envelope, Revision::MODERN, ClientCapabilities::NONE, Principal::local())
        }
        other => panic!("not one message: {other:?}"),
    }
}

/// Answers every call with what its function makes, and counts the calls.
pub(crate) struct Inner<F> {
    pub(crate) answer: F,
    pub(crate) calls: AtomicUsize,
}

impl<F> Inner<F> {
    pub(crate) const fn new(answer: F) -> Self {
        Self { answer, calls: AtomicUsize::new(0) }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

impl<F, A> Service<Call> for &Inner<F>
where
    F: Fn(Call) -> A,
    A: Future<Output = Result<Reply, Refusal>> + Send + 'static,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Answer {
        self.calls.fetch_add(1, Relaxed);
        Box::pin((self.answer)(call))
    }
}

/// A reply of `bytes` zero bytes.
pub(crate) fn reply(bytes: usize) -> Reply {
    Outcome::Done(Content::Ready(vec![0; bytes].into())).into()
}

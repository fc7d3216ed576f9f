//! The accept loop of one listener.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use protocol::Peer;
use tokio::time::sleep;

use super::connection::{self, Terms};
use super::door::Door;
use super::drain::Drain;
use super::listener::{Listener, State};
use super::progress::Progress;

/// How long to wait for a file descriptor, when no connection ends sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

impl Listener {
    /// Lets clients in, each served by a service of its own, until `drain` is over or every connection has ended. Returns
    /// how many connections were cut. The services' futures had better be small: every connection keeps room for one.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener and drops every connection.
    pub async fn serve<M, S, B>(self, make_service: M, drain: Drain) -> usize
    where
        M: Fn(Peer) -> S,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { name, socket, state, guards, tally } = self;
        let State { deadlines, connections } = state;
        let terms = Arc::new(Terms {
            deadlines,
            drain: drain.clone(),
            http: guards.http.clone(),
            streams_stalled: tally.streams_stalled.clone(),
        });
        let enter = |door: &mut Door, socket, remote| {
            if let Some((socket, peer, admitted)) = door.judge(socket, remote) {
                let service = make_service(peer);
                let progress = Progress::new(&terms.deadlines, admitted.age_max);
                let terms = Arc::clone(&terms);
                let serving = connection::serve(socket, service, Arc::clone(&progress), terms);
                // Mapped: an async block would keep room for what it awaits twice.
                let leaving = serving.map(move |closed| {
                    drop(admitted);
                    closed
                });
                door.let_in(progress, leaving);
            }
        };
        let mut door = Door::new(name, connections, guards, tally);
        let mut left = pin!(drain.clone().left());
        let mut is_held = drain.is_held();
        loop {
            tokio::select! {
                // First, so that nobody is let in here who could be where the socket goes.
                biased;
                () = &mut left => break,
                () = drain.clone().gate_moved(is_held) => is_held = !is_held,
                Some(ended) = door.tasks.join_next_with_id() => { door.count(ended); }
                Some(_) = door.farewells.join_next() => {}
                accepted = socket.inner.accept(), if !door.is_paused && !is_held => match accepted {
                    Ok((socket, remote)) => enter(&mut door, socket, remote),
                    Err(error) => door.failed(&error, &socket.inner),
                },
                () = sleep(ACCEPT_PAUSE), if door.is_paused => door.resume(),
            }
        }
        // Order: whoever connects from here on is refused by the kernel and can try elsewhere at once.
        if drain.is_alone() {
            socket.close().for_each(|(socket, remote)| enter(&mut door, socket, remote));
        } else {
            drop(socket);
        }
        door.close(drain).await
    }
}

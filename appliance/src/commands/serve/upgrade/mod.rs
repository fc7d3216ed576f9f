//! Another version of the program takes over from the process that serves, and no client notices.
//!
//! ```text
//!  before (serves)                       after (is started by it, with the same arguments)
//!  Hello, Offer + sockets        ->
//!                                        profile, plugins, stack, listeners on the sockets; nobody is let in
//!                                <-      Prepared, or Refused
//!  Sessions; from here on changes too
//!  lets nobody in, the kernel queues
//!  News, Buckets, Circuits, Commit ->
//!                                        installs them, lets clients in
//!                                <-      Serving
//!  Released                      ->      speaks to the service manager
//!  News                          ->      Settled
//!  answers what it has, ends
//! ```
//!
//! There are never three: an upgrade waits for the end of the process that the last one left.
//!
//! Until `Serving` everything can fail, and then the process before lets clients in again: it has lost nothing. Of two
//! processes that have a session, the one before tells changes on until it ends, and answers a handshake only when the
//! one after knows of it.

mod before;
mod channel;
mod journal;
mod message;
mod predecessor;
mod program;
mod successor;

pub(super) use message::{Handed, Role};
pub(super) use predecessor::Upgrader;
pub(super) use program::Started;
pub(super) use successor::Successor;

//! What the edge stage sees: the connection and the request head, never the body.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;

use crate::bound::{Held, Share};
use crate::principal::Principal;

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The remote address.
    pub remote: SocketAddr,
    /// The address it connected to: tells whether the listener is on loopback.
    pub local: SocketAddr,
}

/// The head of one HTTP request.
#[derive(Debug)]
pub struct Head {
    /// Method, URI, headers.
    pub parts: Parts,
    /// The connection.
    pub peer: Peer,
    /// Who it is counted against: the peer, or whom a trusted proxy speaks for.
    pub principal: Principal,
    /// Name of the listener in the profile.
    pub listener: Arc<str>,
    /// `Content-Length`, or what HTTP/2 declared; `None` when the body is chunked.
    pub declared_bytes: Option<u64>,
}

/// What the edge stage lets through: the head, and what the body may cost.
#[derive(Debug)]
pub struct Admission {
    /// The head, back again.
    pub head: Head,
    /// Most bytes that the body may have.
    pub request_bytes_max: usize,
    /// What was reserved for the body before its first byte; `None` when nobody counts bodies. To be kept for as long
    /// as the bytes of the body are.
    pub reserved: Option<Share>,
    /// Permits taken on the way.
    pub held: Held,
}

impl Admission {
    /// Admits `head` with no cap on its body: what the innermost edge service answers.
    #[must_use]
    pub fn unlimited(head: Head) -> Self {
        Self { head, request_bytes_max: usize::MAX, reserved: None, held: Held::default() }
    }
}

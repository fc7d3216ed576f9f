//! What the edge stage sees: the connection and the request head, never the body.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;

use crate::bound::{Held, Share};
use crate::fields::Fields;
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
#[derive(Clone, Copy, Debug)]
pub struct Head<'r> {
    /// Method, URI, headers.
    pub parts: &'r Parts,
    /// Those of the headers that are asked for most.
    pub fields: &'r Fields<'r>,
    /// The connection.
    pub peer: Peer,
    /// Who it is counted against: the peer, or whom a trusted proxy speaks for.
    pub principal: Principal,
    /// Name of the listener in the profile.
    pub listener: &'r Arc<str>,
    /// `Content-Length`, or what HTTP/2 declared; `None` when the body is chunked.
    pub declared_bytes: Option<u64>,
}

/// A head on its way through the edge stage, with what its body may cost so far.
#[derive(Debug)]
pub struct Entry<'r> {
    /// The head.
    pub head: Head<'r>,
    /// What the layers before let it have.
    pub admission: Admission,
}

impl<'r> Entry<'r> {
    /// A head that no layer has seen.
    #[must_use]
    pub fn new(head: Head<'r>) -> Self {
        Self { head, admission: Admission::default() }
    }
}

/// What the edge stage lets through: what the body may cost.
#[derive(Debug)]
pub struct Admission {
    /// Most bytes that the body may have.
    pub request_bytes_max: usize,
    /// What was reserved for the body before its first byte; `None` when nobody counts bodies. To be kept for as long
    /// as the bytes of the body are.
    pub reserved: Option<Share>,
    /// Permits taken on the way.
    pub held: Held,
}

/// No cap, nothing taken.
impl Default for Admission {
    fn default() -> Self {
        Self { request_bytes_max: usize::MAX, reserved: None, held: Held::default() }
    }
}

//! The service of every edge layer: it judges a head at once, then hands it on.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use protocol::{Admission, Entry, Head, Refusal};
use tower_service::Service;

/// A layer of the edge stage.
pub trait EdgeLayer {
    /// Lets a head go on, perhaps with less in `admission` than before.
    ///
    /// # Errors
    /// The refusal, when it is to be enforced.
    fn judge(&self, head: &Head<'_>, admission: &mut Admission) -> Result<(), Refusal>;
}

/// Admits only what its layer lets go on. Nothing in the edge stage waits, so its future is always ready. A
/// refusal is boxed: it is large, and every layer would hand on the room for it.
#[derive(Clone, Debug)]
pub struct Edge<L, S> {
    layer: L,
    inner: S,
}

impl<L, S> Edge<L, S> {
    pub(crate) const fn new(layer: L, inner: S) -> Self {
        Self { layer, inner }
    }

    #[cfg(test)]
    pub(crate) const fn layer(&self) -> &L {
        &self.layer
    }
}

impl<'s, 'r, L, S> Service<Entry<'r>> for &'s Edge<L, S>
where
    L: EdgeLayer,
    &'s S: Service<
            Entry<'r>,
            Response = Admission,
            Error = Box<Refusal>,
            Future = Ready<Result<Admission, Box<Refusal>>>,
        >,
{
    type Response = Admission;
    type Error = Box<Refusal>;
    type Future = Ready<Result<Admission, Box<Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Refusal>>> {
        (&self.inner).poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut entry: Entry<'r>) -> Self::Future {
        match self.layer.judge(&entry.head, &mut entry.admission) {
            Ok(()) => (&self.inner).call(entry),
            Err(refusal) => ready(Err(Box::new(refusal))),
        }
    }
}

/// The innermost edge service: everything that came so far is let in.
#[derive(Clone, Copy, Debug)]
pub struct Admit;

impl<'r> Service<Entry<'r>> for &Admit {
    type Response = Admission;
    type Error = Box<Refusal>;
    type Future = Ready<Result<Admission, Box<Refusal>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Box<Refusal>>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, entry: Entry<'r>) -> Self::Future {
        ready(Ok(entry.admission))
    }
}

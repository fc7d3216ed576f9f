//! What changed under open sessions and streams.

use std::sync::Arc;

use tokio::sync::broadcast;

/// Something that clients may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources or of templates.
    Resources,
    /// The content of one resource.
    ResourceUpdated(Arc<str>),
}

/// Hands each change to every open stream.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Change>);

impl Changes {
    /// How many changes a slow stream may lag behind; it is told to read everything anew when it lags more.
    const BACKLOG: usize = 256;

    /// No listeners yet.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::Sender::new(Self::BACKLOG))
    }

    /// Tells every listener.
    pub fn publish(&self, change: Change) {
        // An error only says that nobody listens.
        drop(self.0.send(change));
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

//! A modern client's subscription to changes (`subscriptions/listen`), whatever it came over.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use protocol::json::{Kind, Raw};
use protocol::{Envelope, Fault, Id, META_PREFIX, MetaKey, Param, encode};
use runtime::{Change, Generation, Task, Watch};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};

use crate::endpoint::Endpoint;
use crate::task;

/// What a subscription has to say.
pub(crate) enum Heard {
    /// A notification.
    Message(Bytes),
    /// The server ends, or nobody offers any more what the client listens to: the result of the request.
    End(Bytes),
}

/// A task that a client follows.
struct Followed {
    id: String,
    /// Whoever listens does not keep it from expiring.
    task: Weak<Task>,
    /// The last change that the client was told of.
    seen: u64,
}

/// The changes that one client asked for.
pub(crate) struct Subscription {
    id: Id,
    tools: bool,
    prompts: bool,
    resources: bool,
    watches: Vec<Watch>,
    tasks: Vec<Followed>,
    /// Wakes at every change of a followed task.
    news: Arc<Notify>,
    changes: Receiver<Change>,
    ending: watch::Receiver<bool>,
}

impl Subscription {
    /// Reads what the client wants and begins to watch it, until `ending` turns true.
    ///
    /// # Errors
    /// -32602 for a filter of the wrong kind or with too many resources or tasks, -32021 for tasks of a client that does
    /// not know them.
    pub(crate) fn open(
        endpoint: &Endpoint,
        generation: &Generation,
        envelope: &Envelope,
        ending: watch::Receiver<bool>,
    ) -> Result<Self, Fault> {
        let filter = envelope.param(Param::Notifications).filter(|raw| raw.kind() == Kind::Object);
        let filter =
            filter.ok_or_else(|| Fault::invalid_params("notifications must be an object"))?;
        let catalogue = generation.stack().catalogue();
        let identity = catalogue.identity();
        let wants = |key| filter.get(key).and_then(Raw::as_bool) == Some(true);
        // Listening begins before the filter is read: nothing that happens meanwhile is missed.
        let changes = endpoint.changes.subscribe();
        let mut watches = Vec::new();
        if let Some(uris) = filter.get("resourceSubscriptions") {
            if uris.kind() != Kind::Array {
                return Err(Fault::invalid_params("resourceSubscriptions must be an array"));
            }
            let limit = generation.plan().session.subscriptions_max;
            for uri in uris.items() {
                let uri = uri.as_str();
                let uri = uri
                    .ok_or_else(|| Fault::invalid_params("resourceSubscriptions must hold URIs"))?;
                if watches.len() == limit {
                    return Err(Fault::invalid_params(format!(
                        "more than {limit} resourceSubscriptions"
                    )));
                }
                // What nobody serves is left out of the acknowledgement.
                if let Some(plugin) = catalogue.resource_owner(&uri) {
                    watches.push(endpoint.watches.watch(plugin, &uri));
                }
            }
        }
        let news = Arc::new(Notify::new());
        let tasks = followed(endpoint, generation, envelope, filter, &news)?;
        Ok(Self {
            id: envelope.id().unwrap_or_default(),
            tools: wants("toolsListChanged") && identity.has_tools(),
            prompts: wants("promptsListChanged") && identity.has_prompts(),
            resources: wants("resourcesListChanged") && identity.has_resources(),
            watches,
            tasks,
            news,
            changes,
            ending,
        })
    }

    /// Waits until everything is watched, so that nothing after the acknowledgement is missed.
    pub(crate) async fn begun(&self) {
        Watch::begun(&self.watches).await;
    }

    /// The first message: what of the wishes is honoured.
    pub(crate) fn acknowledgement(&self) -> Bytes {
        let mut members = Vec::new();
        for (wanted, key) in [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ] {
            if wanted {
                members.push(format!("\"{key}\":true"));
            }
        }
        if !self.watches.is_empty() {
            let mut uris = String::from("\"resourceSubscriptions\":[");
            for (at, watch) in self.watches.iter().enumerate() {
                if at > 0 {
                    uris.push(',');
                }
                protocol::json::write_string(&mut uris, watch.uri());
            }
            uris.push(']');
            members.push(uris);
        }
        if !self.tasks.is_empty() {
            let mut ids = String::from("\"taskIds\":[");
            for (at, followed) in self.tasks.iter().enumerate() {
                if at > 0 {
                    ids.push(',');
                }
                protocol::json::write_string(&mut ids, &followed.id);
            }
            ids.push(']');
            members.push(ids);
        }
        let member = format!("\"notifications\":{{{}}}", members.join(","));
        self.notification("notifications/subscriptions/acknowledged", &member)
    }

    /// Waits for the next thing to say.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            if let Some(message) = self.changed_task() {
                return Heard::Message(message);
            }
            let change = tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending) => None,
                () = self.news.notified() => continue,
                change = self.changes.recv() => Some(change),
            };
            let change = match change {
                Some(Ok(change)) => change,
                // Too many changes to name each: lists are the cheapest way to catch up.
                Some(Err(RecvError::Lagged(_))) => Change::Resources,
                Some(Err(RecvError::Closed)) | None => return Heard::End(self.end()),
            };
            let message = self.message(&change);
            let concerns_resources = message.is_some() || change == Change::Resources;
            if concerns_resources && self.has_nothing_left() {
                return Heard::End(self.end());
            }
            if let Some(message) = message {
                return Heard::Message(message);
            }
        }
    }

    /// Whether all that was acknowledged were resources, and nobody offers any of them now.
    fn has_nothing_left(&self) -> bool {
        let has_others = self.tools || self.prompts || self.resources || !self.tasks.is_empty();
        let has_resources = !self.watches.is_empty();
        has_resources && !has_others && !self.watches.iter().any(Watch::is_offered)
    }

    /// The state of a followed task that changed since the client was last told of it. What changes faster than the
    /// client reads is told once.
    fn changed_task(&mut self) -> Option<Bytes> {
        let members = self.tasks.iter_mut().find_map(|followed| {
            followed.task.upgrade()?.members_after(&followed.id, &mut followed.seen)
        })?;
        // Written by the encoder, from texts.
        Some(self.notification("notifications/tasks", &String::from_utf8_lossy(&members)))
    }

    fn message(&self, change: &Change) -> Option<Bytes> {
        let list = |wanted: bool, method: &str| wanted.then(|| self.notification(method, ""));
        match change {
            Change::Tools => list(self.tools, "notifications/tools/list_changed"),
            Change::Prompts => list(self.prompts, "notifications/prompts/list_changed"),
            Change::Resources => list(self.resources, "notifications/resources/list_changed"),
            Change::ResourceUpdated(uri) => {
                let is_watched = self
                    .watches
                    .iter()
                    .any(|watch| Arc::ptr_eq(watch.uri(), uri) || watch.uri() == uri);
                is_watched.then(|| {
                    let mut member = String::from("\"uri\":");
                    protocol::json::write_string(&mut member, uri);
                    self.notification("notifications/resources/updated", &member)
                })
            }
        }
    }

    /// A notification of this subscription; `member` is one more member of its params, or empty.
    fn notification(&self, method: &str, member: &str) -> Bytes {
        let comma = if member.is_empty() { "" } else { "," };
        let params = format!("{{{member}{comma}\"_meta\":{}}}", self.meta());
        encode::notification(method, &params)
    }

    fn meta(&self) -> String {
        format!("{{\"{META_PREFIX}subscriptionId\":{}}}", self.id.text())
    }

    /// The result that ends the subscription from this side.
    fn end(&self) -> Bytes {
        let id = self.id.text();
        let meta = self.meta();
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"complete\",\"_meta\":{meta}}}}}").into()
    }
}

/// The tasks that the filter names. Those that nobody knows are left out of the acknowledgement.
fn followed(
    endpoint: &Endpoint,
    generation: &Generation,
    envelope: &Envelope,
    filter: Raw<'_>,
    news: &Arc<Notify>,
) -> Result<Vec<Followed>, Fault> {
    let Some(ids) = filter.get("taskIds") else {
        return Ok(Vec::new());
    };
    let client = envelope.meta(MetaKey::ClientCapabilities).map(encode::capabilities);
    task::check_declared(client.unwrap_or_default())?;
    if ids.kind() != Kind::Array {
        return Err(Fault::invalid_params("taskIds must be an array"));
    }
    let limit = generation.plan().session.subscriptions_max;
    let mut followed = Vec::new();
    for id in ids.items() {
        let id = id.as_str().ok_or_else(|| Fault::invalid_params("taskIds must hold strings"))?;
        if followed.len() == limit {
            return Err(Fault::invalid_params(format!("more than {limit} taskIds")));
        }
        if let Some(task) = endpoint.tasks.find(&id) {
            task.listen(news);
            // Nothing is seen yet: the state that it has now is told first, so that no change falls between.
            let task = Arc::downgrade(&task);
            followed.push(Followed { id: id.into_owned(), task, seen: 0 });
        }
    }
    Ok(followed)
}

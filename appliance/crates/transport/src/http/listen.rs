//! `subscriptions/listen` over HTTP: a stream that lives until its client closes it or the server ends.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use protocol::Envelope;

use super::{Admitted, HttpEndpoint, answer};
use crate::body::ReplyBody;
use crate::session::sse;
use crate::subscription::{Heard, Subscription};

impl HttpEndpoint {
    pub(super) fn listen(
        self: Arc<Self>,
        admitted: Admitted,
        envelope: &Envelope,
    ) -> Response<ReplyBody> {
        let id = envelope.id().unwrap_or_default();
        let generation = &admitted.generation;
        let ending = self.ending.subscribe();
        let opened = Subscription::open(&self.endpoint, generation, envelope, ending);
        let subscription = match opened {
            Ok(subscription) => subscription,
            Err(fault) => return answer::fault(&id, &fault),
        };
        let mut held = admitted.held;
        match self.endpoint.take_stream() {
            Ok(permit) => held.add(permit),
            Err(refusal) => {
                let refusal = refusal.for_principal(admitted.principal);
                return answer::refusal(&id, &refusal, generation);
            }
        }
        let heartbeat = admitted.heartbeat;
        let acknowledgement = subscription.acknowledgement();
        let opened = Some((subscription, Some(acknowledgement)));
        let messages = stream::unfold(opened, move |state| async move {
            let (mut subscription, first) = state?;
            if let Some(first) = first {
                subscription.begun().await;
                return Some((sse::event(None, None, &first), Some((subscription, None))));
            }
            tokio::select! {
                heard = subscription.next() => match heard {
                    Heard::Message(message) => {
                        Some((sse::event(None, None, &message), Some((subscription, None))))
                    }
                    Heard::End(response) => Some((sse::event(None, None, &response), None)),
                },
                () = tokio::time::sleep(heartbeat) => {
                    Some((Bytes::from_static(sse::COMMENT), Some((subscription, None))))
                }
            }
        });
        answer::events(Box::pin(messages), held)
    }
}

//! Which path is whose.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Body;

use crate::answers::Answers;
use crate::pace::Pace;
use crate::{profile, reload, selftest, upgrade};

/// Answers a request, at once unless it is an order.
pub(crate) async fn respond<B>(
    answers: &Answers,
    head: &Request<()>,
    body: B,
    pace: &Pace,
) -> Response<Full<Bytes>>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    if let Some(refused) = answers.refused_host(head) {
        return refused;
    }
    match head.uri().path() {
        profile::PATH => answers.profile(head, body, pace).await,
        reload::RELOAD => answers.reload(head).await,
        reload::ROLLBACK => answers.roll_back(head).await,
        upgrade::PATH => answers.upgrade(head).await,
        path if selftest::is_ours(path) => answers.selftest(head).await,
        _ => answers.answer(head),
    }
}

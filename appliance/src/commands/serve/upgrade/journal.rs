//! What becomes of sessions while two processes have them: told by the one before, known by the one after.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::watch;
use transport::session::{Journal, News};

/// Changes that wait to be told. More come only if the process after does not read, which then goes without them.
const NEWS_MAX: usize = 65_536;
/// How long a client waits for its session to be known to the process after.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);

/// Takes in changes where they happen.
pub(super) struct Telling {
    news: SyncSender<News>,
    noted: AtomicU64,
    known: watch::Sender<u64>,
}

impl Telling {
    /// Nothing has changed yet; the other end is for who tells it on.
    pub(super) fn new() -> (Arc<Self>, Receiver<News>) {
        let (news, told) = sync_channel(NEWS_MAX);
        let known = watch::Sender::new(0);
        (Arc::new(Self { news, noted: AtomicU64::new(0), known }), told)
    }

    /// Notes that the process after knows of so many changes.
    pub(super) fn known(&self, count: u64) {
        self.known.send_if_modified(|known| {
            let is_more = count > *known;
            *known = count.max(*known);
            is_more
        });
    }
}

impl Journal for Telling {
    fn note(&self, news: News) {
        // First: whoever waits for so many waits for this one.
        self.noted.fetch_add(1, AcqRel);
        if let Err(error) = self.news.try_send(news) {
            self.noted.fetch_sub(1, AcqRel);
            // Without a receiver the upgrade has failed, and nobody needs to know.
            if matches!(error, TrySendError::Full(_)) {
                tracing::warn!(
                    "The process that takes over does not hear of a session: too many changed."
                );
            }
        }
    }

    fn settled(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let noted = self.noted.load(Acquire);
        let mut known = self.known.subscribe();
        Box::pin(async move {
            let settled = known.wait_for(|known| *known >= noted);
            drop(tokio::time::timeout(SETTLED_WITHIN, settled).await);
        })
    }
}

#[cfg(test)]
mod tests {
    use runtime::IdDigest;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_settled_when_it_is_known_and_waited_for_no_longer_than_is_of_use() {
        let (telling, told) = Telling::new();
        telling.settled().await;
        telling.note(News::Ended(IdDigest::from_bytes([1; 32])));
        let settled = tokio::spawn(telling.settled());
        tokio::task::yield_now().await;
        assert!(!settled.is_finished(), "nobody knows of it");
        assert_eq!(told.try_iter().count(), 1);
        telling.known(1);
        settled.await.expect("settled");
        telling.note(News::Ended(IdDigest::from_bytes([2; 32])));
        telling.known(0);
        let begun = tokio::time::Instant::now();
        telling.settled().await;
        assert_eq!(begun.elapsed(), SETTLED_WITHIN, "nobody says that it is known");
        drop(told);
        telling.note(News::Ended(IdDigest::from_bytes([3; 32])));
        telling.known(2);
        telling.settled().await;
    }
}

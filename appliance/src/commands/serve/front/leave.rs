//! What a process does with its listeners when another one takes over.

use tokio::task::JoinSet;
use tokio::time::timeout;
use transport::accept::Socket;

use super::super::stop::Signals;
use super::super::upgrade::{Handed, Role};
use super::Front;

impl Front {
    /// The sockets of the listeners that serve, for whoever takes over.
    pub(in super::super) fn sockets(&self) -> Vec<(Handed, Socket)> {
        self.set().sockets(|name, bind| Handed {
            role: Role::Listener(String::from(&**name)),
            bind: bind.to_string(),
        })
    }

    /// Lets nobody in while `is_held`; the kernel keeps them waiting.
    pub(in super::super) fn hold(&self, is_held: bool) {
        self.set().hold(is_held);
    }

    /// Ends while another process lets clients in on the same sockets: whoever is inside is served until they leave, as
    /// their connections tell them to, and at the end of the drain everything else ends as it does when a process stops.
    pub(super) async fn leave(&self, client: JoinSet<()>, mut signals: Signals) -> u8 {
        let drain = self.endpoint.switch.load().plan().shutdown.drain;
        let mut serving = self.set().leave();
        let everybody = async { while serving.join_next().await.is_some() {} };
        tokio::select! {
            // Late or not: the rest is stopped.
            left = timeout(drain, everybody) => drop(left),
            () = signals.next() => {}
        }
        self.set().go_on(serving);
        self.stop(client, signals).await
    }
}

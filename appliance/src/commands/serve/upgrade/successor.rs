//! The process that takes over: from the first word on its standard input to the last.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use protocol::Salt;
use rustix::stdio::dup2_stdin;
use stack::CarriedKey;
use transport::Endpoint;

use super::super::service_manager::ServiceManager;
use super::super::sockets::{Origin, Passed, PassedSocket};
use super::before::Before;
use super::channel::Channel;
use super::message::{self, Handed, Message, Role, SealKey, VERSION};

/// How long the process before may keep silent: it has only to look things up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A conversation with the process before.
pub(in super::super) struct Successor {
    channel: Channel,
    /// What was offered.
    sockets: Passed,
    seal_keys: Vec<SealKey>,
}

impl Successor {
    /// Hears what the process before, which is on standard input, has to hand over. Comes before anything is hashed.
    ///
    /// # Errors
    /// Why it cannot take over.
    pub(in super::super) fn meet() -> Result<Self, String> {
        let failed = |error| {
            format!(
                "--take-over: {error}; only a process that is upgraded starts another one with it"
            )
        };
        let stream = taken_from_stdin().map_err(failed)?;
        let mut channel = Channel::new(stream).map_err(failed)?;
        channel.set_patience(Some(PATIENCE)).map_err(failed)?;
        match channel.receive().map_err(failed)? {
            Message::Hello { version: VERSION } => {}
            Message::Hello { version } => {
                let problem = format!(
                    "the process that is to be upgraded hands over in version {version}, and this program takes over \
                     in version {VERSION}; restart instead"
                );
                return Err(refuse(&mut channel, problem));
            }
            _ => return Err(refuse(&mut channel, "the first message is no greeting".to_owned())),
        }
        let (offer, handles) = channel.receive_with().map_err(failed)?;
        let Message::Offer { sockets, salt, seal_keys } = offer else {
            return Err(refuse(&mut channel, "nothing is offered".to_owned()));
        };
        if sockets.len() != handles.len() || !Salt::from_words(salt).adopt() {
            return Err(refuse(&mut channel, "what is offered cannot be taken".to_owned()));
        }
        let sockets =
            sockets.into_iter().zip(handles).map(|(handed, handle)| passed(handed, handle));
        Ok(Self { channel, sockets: Passed::new(sockets), seal_keys })
    }

    /// Takes out the sockets that were handed over.
    pub(in super::super) fn take_sockets(&mut self) -> Passed {
        std::mem::take(&mut self.sockets)
    }

    /// The keys that the process before sealed with.
    pub(in super::super) fn seal_keys(&self) -> Vec<CarriedKey> {
        self.seal_keys.iter().map(SealKey::carried).collect()
    }

    /// Says why it cannot take over. The process before serves on.
    pub(in super::super) fn refuse(mut self, problems: Vec<String>) {
        // Whoever does not listen any more needs no reason.
        self.channel.send(&Message::Refused { problems }).ok();
    }

    /// Says that everything is built, and takes in the state: waits for the process before, which lets nobody in
    /// meanwhile.
    ///
    /// # Errors
    /// When it does not say all of it.
    pub(in super::super) fn take_over(&mut self, endpoint: &Endpoint) -> Result<(), String> {
        let failed = |error| format!("the process that is to be upgraded: {error}");
        self.channel.send(&Message::Prepared).map_err(failed)?;
        let generation = endpoint.switch.load();
        loop {
            let message = self.channel.receive().map_err(failed)?;
            if message == Message::Commit {
                return Ok(());
            }
            if let Message::News { count, .. } = message {
                self.channel.send(&Message::Settled { count }).map_err(failed)?;
            }
            if !message::install(&message, &endpoint.sessions, generation.stack().kit()) {
                return Err(
                    "the process that is to be upgraded says what nobody expects".to_owned()
                );
            }
        }
    }

    /// Says that clients are let in, and follows what the process before says until it ends.
    ///
    /// # Errors
    /// When it does not hear, or there is no thread.
    pub(in super::super) fn serve(
        mut self,
        endpoint: &Arc<Endpoint>,
        manager: &Arc<ServiceManager>,
        before: &Arc<Before>,
    ) -> std::io::Result<()> {
        before.begins();
        self.channel.send(&Message::Serving)?;
        self.channel.set_patience(None)?;
        let (endpoint, manager) = (Arc::clone(endpoint), Arc::clone(manager));
        let before = Arc::clone(before);
        let thread = std::thread::Builder::new().name("take-over".to_owned());
        let follow = move || {
            follow(self.channel, &endpoint, &manager);
            before.ends();
            tracing::info!("The process before has ended.");
        };
        thread.spawn(follow).map(drop)
    }
}

/// What is on standard input, where nothing is afterwards: plugins could read it.
fn taken_from_stdin() -> std::io::Result<UnixStream> {
    let stream = std::io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(stream.into())
}

fn refuse(channel: &mut Channel, problem: String) -> String {
    channel.send(&Message::Refused { problems: vec![problem.clone()] }).ok();
    problem
}

fn follow(mut channel: Channel, endpoint: &Endpoint, manager: &ServiceManager) {
    while let Ok(message) = channel.receive() {
        let generation = endpoint.switch.load();
        message::install(&message, &endpoint.sessions, generation.stack().kit());
        match message {
            Message::Released => manager.speak(),
            Message::News { count, .. } if channel.send(&Message::Settled { count }).is_err() => {
                break;
            }
            _ => {}
        }
    }
}

fn passed(handed: Handed, handle: OwnedFd) -> PassedSocket {
    let Handed { role, bind } = handed;
    let (name, is_control) = match role {
        Role::Listener(name) => (name, false),
        Role::Control => ("control".to_owned(), true),
    };
    let is_unix = bind.starts_with('/');
    let origin = Origin::ProcessBefore { bind, is_control };
    if is_unix {
        PassedSocket::unix(name, UnixListener::from(handle), origin)
    } else {
        PassedSocket::tcp(name, TcpListener::from(handle), origin)
    }
}

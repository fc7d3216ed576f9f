//! Sockets that are open already when the process begins: from the service manager, or from the process before.
//!
//! A listener takes the one that has its name, or else the one at its address, and opens none.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use control::OpenSocket;
use profile::plan::ControlBind;
use transport::accept::{BindError, Socket};

/// What the control listener's socket is called.
const CONTROL: &str = "control";

/// Where a socket comes from.
pub(super) enum Origin {
    /// The service manager opened it (sd_listen_fds(3)).
    ServiceManager,
    /// The process before opened it, where its profile said.
    ProcessBefore { bind: String, is_control: bool },
}

/// A socket that listens.
pub(super) struct PassedSocket {
    name: String,
    socket: OpenSocket,
    origin: Origin,
}

/// Those that nobody has taken yet.
#[derive(Default)]
pub(super) struct Passed(Vec<PassedSocket>);

impl PassedSocket {
    pub(super) const fn tcp(name: String, socket: TcpListener, origin: Origin) -> Self {
        Self { name, socket: OpenSocket::Tcp(socket), origin }
    }

    pub(super) const fn unix(name: String, socket: UnixListener, origin: Origin) -> Self {
        Self { name, socket: OpenSocket::Unix(socket), origin }
    }

    /// Whether it is meant for whoever has this name and place. The process before may have had another profile, in
    /// which the same name had another place.
    fn is_meant_for(&self, name: &str, bind: &str, is_control: bool) -> bool {
        self.name == name
            && match &self.origin {
                Origin::ServiceManager => true,
                Origin::ProcessBefore { bind: before, is_control: was } => {
                    before == bind && *was == is_control
                }
            }
    }

    fn is_at(&self, address: SocketAddr) -> bool {
        let OpenSocket::Tcp(socket) = &self.socket else { return false };
        socket.local_addr().is_ok_and(|local| local == address)
    }

    fn is_file(&self, path: &Path) -> bool {
        let OpenSocket::Unix(socket) = &self.socket else { return false };
        socket.local_addr().is_ok_and(|local| local.as_pathname() == Some(path))
    }

    const fn is_tcp(&self) -> bool {
        matches!(self.socket, OpenSocket::Tcp(_))
    }
}

impl std::fmt::Display for PassedSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.socket {
            OpenSocket::Tcp(socket) => match socket.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "{error}"),
            },
            OpenSocket::Unix(socket) => {
                match socket.local_addr().as_ref().map(|at| at.as_pathname()) {
                    Ok(Some(path)) => write!(f, "unix:{}", path.display()),
                    _ => f.write_str("a Unix socket without a name"),
                }
            }
        }
    }
}

impl Passed {
    pub(super) fn new(sockets: impl Iterator<Item = PassedSocket>) -> Self {
        Self(sockets.collect())
    }

    /// What the service manager passed to this process. To be called before there is another thread.
    pub(super) fn by_service_manager() -> Self {
        let (mut sockets, names) = crate::cli::passed_sockets();
        let passed = (0..sockets.len()).filter_map(|at| {
            let name = names.get(at).cloned().unwrap_or_default();
            if let Ok(Some(socket)) = sockets.take_tcp_listener(at) {
                return Some(PassedSocket::tcp(name, socket, Origin::ServiceManager));
            }
            let socket = sockets.take_unix_listener(at).ok().flatten()?;
            Some(PassedSocket::unix(name, socket, Origin::ServiceManager))
        });
        Self(passed.collect())
    }

    /// The socket of the listener `name`: one that was passed, or else a new one beside those that are about to be closed.
    ///
    /// # Errors
    /// When the address cannot be bound, or what was passed is of no use.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub(super) fn open(
        &mut self,
        name: &Arc<str>,
        bind: SocketAddr,
        leaving: &[Socket],
    ) -> Result<Socket, BindError> {
        let text = bind.to_string();
        let meant =
            |passed: &PassedSocket| passed.is_tcp() && passed.is_meant_for(name, &text, false);
        let Some(PassedSocket { socket: OpenSocket::Tcp(socket), .. }) =
            self.take(meant, |passed| passed.is_at(bind))
        else {
            return Socket::open_beside(name, bind, leaving);
        };
        let failed =
            |source| BindError::System { listener: Arc::clone(name), address: bind, source };
        Socket::adopt(socket).map_err(failed)
    }

    /// The socket of the control listener, if one was passed.
    pub(super) fn control(&mut self, bind: &ControlBind) -> Option<control::Passed> {
        let text = bind_text(bind);
        let passed = self.take(
            |passed| {
                passed.is_tcp() == matches!(bind, ControlBind::Tcp(_))
                    && passed.is_meant_for(CONTROL, &text, true)
            },
            |passed| match bind {
                ControlBind::Tcp(address) => passed.is_at(*address),
                ControlBind::Unix(path) => passed.is_file(path),
            },
        )?;
        // A socket file of the service manager is the service manager's.
        let is_ours = matches!(passed.origin, Origin::ProcessBefore { .. });
        Some(control::Passed { socket: passed.socket, is_ours })
    }

    fn take(
        &mut self,
        is_meant: impl Fn(&PassedSocket) -> bool,
        is_there: impl Fn(&PassedSocket) -> bool,
    ) -> Option<PassedSocket> {
        let at = self.0.iter().position(is_meant).or_else(|| self.0.iter().position(is_there))?;
        Some(self.0.remove(at))
    }

    /// Closes what nobody has taken, and says how that is mended.
    pub(super) fn close_rest(&mut self) {
        for passed in self.0.drain(..) {
            match passed.origin {
                Origin::ServiceManager => tracing::warn!(
                    name = passed.name,
                    address = %passed,
                    "No listener of the profile takes a socket that the service manager passed: whoever connects there \
                     waits in vain. Give it the listener's name (FileDescriptorName=), or the listener its address."
                ),
                Origin::ProcessBefore { .. } => tracing::info!(
                    listener = passed.name,
                    address = %passed,
                    "A listener of the process before is gone from the profile."
                ),
            }
        }
    }
}

/// Where a control listener is, as both processes write it.
pub(super) fn bind_text(bind: &ControlBind) -> String {
    match bind {
        ControlBind::Tcp(address) => address.to_string(),
        ControlBind::Unix(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(name: &str, origin: Origin) -> (PassedSocket, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        (PassedSocket::tcp(name.to_owned(), socket, origin), address)
    }

    fn free() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn a_listener_takes_the_socket_of_its_name_or_of_its_address_and_opens_none() {
        let (named, named_at) = socket("public", Origin::ServiceManager);
        let (unnamed, unnamed_at) = socket("unknown", Origin::ServiceManager);
        let mut passed = Passed(vec![unnamed, named]);
        let opened = passed.open(&"public".into(), free(), &[]).expect("its own");
        assert_eq!(opened.local_addr(), named_at);
        let opened = passed.open(&"other".into(), unnamed_at, &[]).expect("at its address");
        assert_eq!(opened.local_addr(), unnamed_at);
        assert!(passed.0.is_empty());
        let opened = passed.open(&"third".into(), free(), &[]).expect("a new one");
        assert!(![named_at, unnamed_at].contains(&opened.local_addr()));
    }

    #[tokio::test]
    async fn a_socket_of_the_process_before_is_taken_for_the_same_place_only() {
        let before =
            |bind: &str, is_control| Origin::ProcessBefore { bind: bind.to_owned(), is_control };
        let (listener, listener_at) = socket("public", before("127.0.0.1:0", false));
        let (control, control_at) = socket("control", before("127.0.0.1:0", true));
        let mut passed = Passed(vec![listener, control]);
        let moved = SocketAddr::from(([127, 0, 0, 1], 0));
        let elsewhere = SocketAddr::from(([127, 0, 0, 2], 0));
        let opened = passed.open(&"public".into(), elsewhere, &[]).expect("a new one");
        assert_ne!(opened.local_addr(), listener_at);
        let opened = passed.open(&"public".into(), moved, &[]).expect("its own");
        assert_eq!(opened.local_addr(), listener_at);
        let opened = passed.open(&"control".into(), moved, &[]).expect("a listener of that name");
        assert_ne!(opened.local_addr(), control_at);
        let taken = passed.control(&ControlBind::Tcp(moved)).expect("its own");
        assert!(taken.is_ours);
        passed.close_rest();
    }

    #[test]
    fn a_socket_file_of_the_service_manager_stays_the_service_managers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let socket = UnixListener::bind(&path).expect("a socket");
        let mut passed =
            Passed(vec![PassedSocket::unix("any".to_owned(), socket, Origin::ServiceManager)]);
        assert!(passed.control(&ControlBind::Unix(folder.path().join("other"))).is_none());
        let taken = passed.control(&ControlBind::Unix(path)).expect("at its path");
        assert!(!taken.is_ours);
    }
}

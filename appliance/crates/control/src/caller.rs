//! Who is at the other end of a control connection, as far as the kernel knows.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, StatusCode};
use procfs::net::{TcpNetEntries, TcpNetEntry};
use procfs::{FromReadSI, ProcResult, current_system_info};

use crate::orders::Told;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Whom the mode of a socket's file let in.
    OfFile,
    /// Anybody on this machine, or whom `control.allow_remote` lets in.
    OfAddress {
        /// Its own end.
        remote: SocketAddr,
        /// Ours.
        local: SocketAddr,
        /// Where the kernel says whose they are.
        sockets: Arc<Sockets>,
    },
}

impl Caller {
    /// Whether it may say what the process does: who runs it and `root` may, and who reaches the file of a socket.
    fn is_trusted(&self) -> bool {
        match self {
            Self::OfFile => true,
            Self::OfAddress { remote, local, sockets } => {
                let own = rustix::process::geteuid().as_raw();
                let owner = sockets.owner(*remote, *local);
                owner.is_some_and(|owner| owner == own || owner == 0)
            }
        }
    }
}

/// The kernel's lists of TCP sockets, of either family. Kept open: orders are most wanted when something is wrong, and
/// that may be that there is no descriptor left.
#[derive(Debug)]
pub(crate) struct Sockets([Option<Mutex<File>>; 2]);

impl Sockets {
    /// Opens what there is; nobody is known by a list that is not there.
    pub(crate) fn open() -> Self {
        let lists = ["/proc/net/tcp", "/proc/net/tcp6"];
        Self(lists.map(|path| File::open(path).ok().map(Mutex::new)))
    }

    fn owner(&self, remote: SocketAddr, local: SocketAddr) -> Option<u32> {
        let lists = self.0.iter().flatten();
        let sockets = lists.filter_map(|list| entries(list).ok()).flatten();
        let sockets =
            sockets.map(|socket| (socket.local_address, socket.remote_address, socket.uid));
        owner(sockets, remote, local)
    }
}

/// What the list says by now. One reader at a time: a reader's place in it is the file's.
fn entries(list: &Mutex<File>) -> ProcResult<Vec<TcpNetEntry>> {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    list.seek(SeekFrom::Start(0))?;
    TcpNetEntries::from_read(&*list, current_system_info()).map(|entries| entries.0)
}

/// The user whose socket goes from `remote` to `local`. Of each socket: its own address, that of the other end, its user.
fn owner(
    mut sockets: impl Iterator<Item = (SocketAddr, SocketAddr, u32)>,
    remote: SocketAddr,
    local: SocketAddr,
) -> Option<u32> {
    let ends = (canonical(remote), canonical(local));
    sockets
        .find(|(own, other, _)| (canonical(*own), canonical(*other)) == ends)
        .map(|found| found.2)
}

/// The address itself where a socket of the newer family names one of the older.
fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// Refuses an order of somebody who may not say what the process does. On another thread, since the kernel lists every
/// socket of the machine, and probes must not wait for that.
///
/// # Errors
/// The answer to it.
pub(crate) async fn check_caller<B>(request: &Request<B>) -> Result<(), Told> {
    let is_trusted = match request.extensions().get::<Caller>().cloned() {
        Some(caller) => tokio::task::spawn_blocking(move || caller.is_trusted()).await,
        None => Ok(false),
    };
    if is_trusted.unwrap_or(false) {
        return Ok(());
    }
    let sentence = "On an address that every user of this machine reaches, only the user who runs the appliance and root \
                    may order this; be one of them, or bind control to a Unix socket.";
    Err(Told::refused(StatusCode::FORBIDDEN, sentence))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_of_this_process_belongs_to_whoever_runs_it() {
        let sockets = Arc::new(Sockets::open());
        let is_trusted = |remote, local| {
            Caller::OfAddress { remote, local, sockets: Arc::clone(&sockets) }.is_trusted()
        };
        // More than once: the lists stay open.
        for address in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"] {
            let listener = TcpListener::bind(address).expect("a port");
            let client = TcpStream::connect(listener.local_addr().expect("open")).expect("open");
            let (server, remote) = listener.accept().expect("a client");
            let local = server.local_addr().expect("open");
            assert!(is_trusted(remote, local), "{address}");
            // The other way round it is ours as well; what does not exist is nobody's.
            let nowhere = SocketAddr::new(remote.ip(), 1);
            assert!(!is_trusted(nowhere, local), "{address}");
            drop(client);
        }
    }

    #[test]
    fn a_client_of_the_newer_family_is_found_by_the_address_of_the_older() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let sockets = [
            ("127.0.0.1:9", "127.0.0.1:7", 1),
            ("[::ffff:127.0.0.1]:8", "[::ffff:127.0.0.1]:7", 2),
            ("127.0.0.1:7", "127.0.0.1:8", 3),
        ];
        let sockets = sockets.map(|(own, other, user)| (address(own), address(other), user));
        let of = |remote| owner(sockets.into_iter(), address(remote), address("127.0.0.1:7"));
        assert_eq!(
            [of("127.0.0.1:8"), of("127.0.0.1:9"), of("127.0.0.1:10")],
            [Some(2), Some(1), None]
        );
    }
}

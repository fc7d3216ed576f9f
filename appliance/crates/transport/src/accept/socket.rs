//! A socket that listens: the port is taken, nobody is let in yet.

use std::io;
use std::net::{SocketAddr, TcpListener as BareListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel completes before they are accepted: a burst longer than this is refused by it.
const BACKLOG: i32 = 1024;
/// Bytes of one connection that the kernel takes beyond what its client's window lets it send. Whoever does not read
/// would have it keep up to 4 MiB of an answer otherwise, which nobody counts, and a whole answer in it looks taken.
#[cfg(target_os = "linux")]
pub(super) const UNSENT_BYTES_MAX: u32 = 256 * 1024;
/// How long bytes may stay unacknowledged before the kernel gives the connection up, and how it finds dead peers on
/// silent connections.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Why a listener cannot be opened. The text names the key to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another listener of this one, has the port.
    #[error(
        "listen.{listener}.http.bind: {address} is in use; stop whatever listens there, or choose another port \
         (port 0 takes a free one)"
    )]
    AddressInUse {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
    },
    /// The port needs a privilege that this process does not have.
    #[error(
        "listen.{listener}.http.bind: {address} needs a privilege that this process does not have; choose a port \
         from 1024 upward"
    )]
    PermissionDenied {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
    },
    /// No interface of this host has the address.
    #[error(
        "listen.{listener}.http.bind: no interface of this host has the address {address}; choose one that it has, \
         for example 127.0.0.1 or 0.0.0.0"
    )]
    AddressNotAvailable {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
    },
    /// Anything else that the system objects to.
    #[error("listen.{listener}.http.bind: cannot listen on {address}: {source}")]
    System {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
}

impl BindError {
    fn new(listener: Arc<str>, address: SocketAddr, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::AddressInUse { listener, address }
        } else if source.kind() == io::ErrorKind::PermissionDenied {
            Self::PermissionDenied { listener, address }
        } else if source.kind() == io::ErrorKind::AddrNotAvailable {
            Self::AddressNotAvailable { listener, address }
        } else {
            Self::System { listener, address, source }
        }
    }
}

/// A socket that listens. Clones share it: it is closed with the last one, and until then the kernel keeps clients
/// waiting.
#[derive(Clone, Debug)]
pub struct Socket {
    pub(super) inner: Arc<TcpListener>,
    local_addr: SocketAddr,
}

impl Socket {
    /// Opens the socket of the listener `name`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn open(name: &Arc<str>, address: SocketAddr) -> Result<Self, BindError> {
        bind(address, false)
            .and_then(Self::adopt)
            .map_err(|error| BindError::new(Arc::clone(name), address, error))
    }

    /// Opens the socket of the listener `name` while those of `leaving`, which this process is about to close, may still
    /// have its port on another address, as 127.0.0.1 and 0.0.0.0 have one another's.
    ///
    /// # Errors
    /// When the address cannot be bound, because of somebody else or at all.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn open_beside(
        name: &Arc<str>,
        address: SocketAddr,
        leaving: &[Self],
    ) -> Result<Self, BindError> {
        let opened = Self::open(name, address);
        let is_in_the_way = |socket: &&Self| socket.local_addr.port() == address.port();
        let in_the_way: Vec<_> = leaving.iter().filter(is_in_the_way).collect();
        if in_the_way.is_empty() || !matches!(opened, Err(BindError::AddressInUse { .. })) {
            return opened;
        }
        // For a moment only: whoever else of this user asks to share the port meanwhile would get a part of its clients.
        let share = |is_shared| {
            in_the_way
                .iter()
                .try_for_each(|socket| SockRef::from(&*socket.inner).set_reuse_port(is_shared))
        };
        let bound = share(true).and_then(|()| bind(address, true));
        share(false)
            .and(bound)
            .and_then(Self::adopt)
            .map_err(|error| BindError::new(Arc::clone(name), address, error))
    }

    /// Takes over a socket that listens already, wherever it comes from.
    ///
    /// # Errors
    /// When it is not one of TCP that listens.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn adopt(listening: BareListener) -> io::Result<Self> {
        listening.set_nonblocking(true)?;
        // Accepted sockets inherit these.
        let socket = SockRef::from(&listening);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        {
            socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
            socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        }
        let local_addr = listening.local_addr()?;
        Ok(Self { inner: Arc::new(TcpListener::from_std(listening)?), local_addr })
    }

    /// The address that it is bound to, with the port that was taken for 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Lets go of the socket. If nobody else has it, it is closed once those were taken who had connected already.
    pub(super) fn close(self) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
        let last = Arc::into_inner(self.inner).and_then(|socket| socket.into_std().ok());
        let waiting = std::iter::from_fn(move || {
            let (connection, remote) = last.as_ref()?.accept().ok()?;
            connection.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(connection).ok()?, remote))
        });
        waiting.take(BACKLOG as usize)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<BareListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restart does not wait for connections of the last process to be forgotten.
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    if is_shared {
        socket.set_reuse_port(false)?;
    }
    Ok(socket.into())
}

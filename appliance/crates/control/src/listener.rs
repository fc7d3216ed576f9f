//! Where the control listener is, and how it gets there.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use profile::plan::ControlBind;
use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why there is no control listener.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken.
    #[error(
        "control.bind: {0} is in use by another process; \
         stop it, or choose another address (port 0 takes a free one)"
    )]
    InUse(String),
    /// Something else is where the socket file would be.
    #[error("control.bind: `{}` is there and is no socket; choose another path", .0.display())]
    Occupied(PathBuf),
    /// The system says no.
    #[error("control.bind: cannot listen on {address}: {source}{}", hint(.source.kind()))]
    Refused {
        /// What was wanted.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no thread, or no runtime for it.
    #[error("no thread for the control listener: {0}")]
    NoThread(io::Error),
}

const fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrNotAvailable => "; choose an address of this machine",
        ErrorKind::NotFound => "; make its folder first",
        ErrorKind::PermissionDenied => {
            "; choose a port above 1023, or a folder that belongs to the user who runs toolrack"
        }
        _ => "",
    }
}

/// Where the control listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// An address with its real port.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An open listener that no runtime knows yet.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: OpenSocket,
    pub(crate) address: ControlAddress,
    /// What is to be removed in the end.
    pub(crate) file: Option<SocketFile>,
}

/// A socket that listens.
#[derive(Debug)]
pub enum OpenSocket {
    /// At an address.
    Tcp(std::net::TcpListener),
    /// At a path.
    Unix(std::os::unix::net::UnixListener),
}

impl OpenSocket {
    /// Another handle of the same socket.
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }
}

impl AsFd for OpenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// A socket that listens already, from outside of this process.
#[derive(Debug)]
pub struct Passed {
    /// The socket.
    pub socket: OpenSocket,
    /// Whether its file, if it has one, is removed in the end.
    pub is_ours: bool,
}

impl Listener {
    /// On a socket that was passed, or else on a new one.
    pub(crate) fn open(bind: &ControlBind, passed: Option<Passed>) -> Result<Self, StartError> {
        match (passed, bind) {
            (Some(passed), _) => Self::adopt(passed),
            (None, ControlBind::Tcp(wanted)) => open_tcp(*wanted),
            (None, ControlBind::Unix(path)) => open_unix(path),
        }
    }

    fn adopt(passed: Passed) -> Result<Self, StartError> {
        let Passed { socket, is_ours } = passed;
        let place = || match &socket {
            OpenSocket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Ok((ControlAddress::Tcp(socket.local_addr()?), None))
            }
            OpenSocket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
                let file = path.as_deref().filter(|_| is_ours).map(SocketFile::at).transpose()?;
                Ok((ControlAddress::Unix(path.unwrap_or_default()), file))
            }
        };
        let (address, file) =
            place().map_err(|error| refused("a passed socket".to_owned(), error))?;
        Ok(Self { socket, address, file })
    }

    /// Another handle of its socket, for whoever takes over.
    pub(crate) fn handle(&self) -> Result<OpenSocket, StartError> {
        self.socket.try_clone().map_err(|error| refused(self.address.to_string(), error))
    }
}

fn open_tcp(wanted: SocketAddr) -> Result<Listener, StartError> {
    let open = || {
        let socket = std::net::TcpListener::bind(wanted)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    let (socket, address) = open().map_err(|error| refused(wanted.to_string(), error))?;
    Ok(Listener {
        socket: OpenSocket::Tcp(socket),
        address: ControlAddress::Tcp(address),
        file: None,
    })
}

fn open_unix(path: &Path) -> Result<Listener, StartError> {
    let label = || ControlAddress::Unix(path.to_owned()).to_string();
    remove_stale(path)?;
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Before `bind`, which gives the file the mode of the socket: it is never open to others.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok((socket, SocketFile::at(path)?))
    };
    let (socket, file) = open().map_err(|error| refused(label(), error))?;
    Ok(Listener {
        socket: OpenSocket::Unix(socket.into()),
        address: ControlAddress::Unix(path.to_owned()),
        file: Some(file),
    })
}

fn refused(address: String, source: io::Error) -> StartError {
    match source.kind() {
        ErrorKind::AddrInUse => StartError::InUse(address),
        _ => StartError::Refused { address, source },
    }
}

/// Removes a socket file that a process left when it died: one that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), StartError> {
    let label = || ControlAddress::Unix(path.to_owned()).to_string();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(label(), error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(StartError::Occupied(path.to_owned()));
        }
        Ok(_) => {}
    }
    let connected = Socket::new(Domain::UNIX, Type::STREAM, None).and_then(|probe| {
        // A listener with a full backlog would make a blocking `connect` wait.
        probe.set_nonblocking(true)?;
        probe.connect(&SockAddr::unix(path)?)
    });
    match connected {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| refused(label(), error))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(refused(label(), error)),
        Ok(()) | Err(_) => Err(StartError::InUse(label())),
    }
}

/// The file of a Unix socket.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and number, which tell it from a file that takes its place later.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), identity: (file.dev(), file.ino()) })
    }

    /// Removes the file, unless another process has put its own there.
    pub(crate) fn remove(self) {
        let found = Self::at(&self.path);
        if found.is_ok_and(|found| found.identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "The control listener's socket file stays behind.");
        }
    }
}

//! Where the control listener is, and how it gets there.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
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

/// A listener that no runtime knows yet.
pub(crate) enum Socket_ {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

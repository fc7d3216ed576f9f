//! Where the load goes: an address to connect to, and the names to send.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::arrival;

/// A plain HTTP address, resolved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where connections go.
    pub address: SocketAddr,
    /// What `Host` says: the host and port as they were given.
    pub authority: String,
    /// The path of the endpoint, beginning with `/`.
    pub path: String,
}

impl Target {
    /// Reads a URL and resolves its host.
    ///
    /// # Errors
    /// What is wrong with the URL, and how to mend it.
    pub fn resolve(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            format!("`{url}`: the load speaks plain HTTP; give a URL that begins with http://")
        })?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if authority.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`{url}`: no URL; write it like http://127.0.0.1:8080"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let place = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let address = place
            .to_socket_addrs()
            .map_err(|error| {
                format!(
                    "`{url}`: cannot resolve {place}: {error}; correct the name, or give an address"
                )
            })?
            .next()
            .ok_or_else(|| format!("`{url}`: {place} has no address; give one"))?;
        Ok(Self { address, authority: authority.to_owned(), path: path.to_owned() })
    }

    /// A socket to connect from, at `source` or wherever the kernel likes, with stamps of what comes in.
    pub(crate) fn socket(&self, source: Option<IpAddr>) -> io::Result<Socket> {
        let domain = Domain::for_address(self.address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        arrival::request_stamps(&socket);
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        Ok(socket)
    }

    /// Whether it is this machine, so that any address of 127.0.0.0/8 can be a client.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_ipv4() && self.address.ip().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_gives_address_host_and_path() {
        let target = Target::resolve("http://127.0.0.1:8080/mcp").unwrap();
        assert_eq!(target.address, ([127, 0, 0, 1], 8080).into());
        assert_eq!((&*target.authority, &*target.path), ("127.0.0.1:8080", "/mcp"));
        assert!(target.is_loopback());
    }

    #[test]
    fn port_and_path_have_defaults() {
        let target = Target::resolve("http://[::1]").unwrap();
        assert_eq!((target.address.port(), &*target.path), (80, "/"));
        assert!(!target.is_loopback());
    }

    #[test]
    fn refuses_what_it_cannot_reach() {
        for url in ["https://127.0.0.1/", "127.0.0.1:80", "http://", "http://a b/", "http://x:y/"] {
            assert!(Target::resolve(url).is_err(), "{url}");
        }
    }
}

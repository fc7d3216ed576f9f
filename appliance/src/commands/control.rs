//! The control listener of an appliance that serves, over TCP or a Unix socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use load::answer;
use load::target::Target;
use serde_json::Value;

use crate::cli::ControlOption;

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum Control {
    Tcp(Target),
    Unix(PathBuf),
}

impl Control {
    /// Why an answer is none that was expected.
    pub(super) fn why_not(&self, status: u16, body: &Value) -> String {
        body["error"].as_str().map_or_else(
            || {
                format!(
                    "{self} is not the control listener of an appliance that knows this order (status {status}); \
                     name it with --control"
                )
            },
            ToOwned::to_owned,
        )
    }

    /// The one that is named, by `http://HOST:PORT`, `unix:/path` or a path.
    ///
    /// # Errors
    /// What is wrong with its name, and how to mend it.
    pub(crate) fn named(ControlOption { control }: &ControlOption) -> Result<Self, String> {
        let path =
            control.strip_prefix("unix:").or_else(|| control.starts_with('/').then_some(control));
        match path {
            Some(path) => Ok(Self::Unix(path.into())),
            None if control.starts_with("http://") => {
                Target::resolve(control).map(Self::Tcp).map_err(|why| format!("--control {why}"))
            }
            None => Err(format!(
                "--control `{control}`: write it like http://127.0.0.1:9090 or unix:/path"
            )),
        }
    }

    /// Asks once, on a connection of its own, and waits for so long. The status and the message.
    ///
    /// # Errors
    /// Why no answer came.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        patience: Duration,
    ) -> Result<(u16, Value), String> {
        self.send(method, path, "", patience)
    }

    /// The same with a text to go with it.
    ///
    /// # Errors
    /// Why no answer came.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        text: &str,
        patience: Duration,
    ) -> Result<(u16, Value), String> {
        let host = match self {
            Self::Tcp(target) => &*target.authority,
            Self::Unix(_) => "localhost",
        };
        let length = text.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
        let exchanged = match self {
            Self::Tcp(target) => {
                TcpStream::connect_timeout(&target.address, patience).and_then(|stream| {
                    stream.set_read_timeout(Some(patience))?;
                    exchange(stream, &request)
                })
            }
            Self::Unix(path) => UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(patience))?;
                exchange(stream, &request)
            }),
        };
        let bytes = exchanged.map_err(|error| self.why_silent(&error, patience))?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        let status = bytes.get(9..12).and_then(|status| str::from_utf8(status).ok()?.parse().ok());
        let status = status.ok_or_else(|| {
            format!(
                "{self} speaks no HTTP; name the control listener with --control. It said: {}",
                text()
            )
        })?;
        let body = answer::body(&bytes)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

impl Control {
    /// Why no answer came, after so long at most.
    fn why_silent(&self, error: &std::io::Error, patience: Duration) -> String {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => format!(
                "nobody listens at {self}; start the appliance, or name its control listener with --control"
            ),
            ErrorKind::PermissionDenied => {
                format!(
                    "{self} is not open to this user; be the one who runs the appliance, or root"
                )
            }
            // A socket's deadline is either of them.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!(
                "{self} has not answered within {} s; what was asked for may still happen: look at its log, or at \
                 /admin/reloads",
                patience.as_secs()
            ),
            _ => format!("{self} did not answer: {error}; is it the control listener?"),
        }
    }
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(target) => write!(f, "http://{}", target.authority),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

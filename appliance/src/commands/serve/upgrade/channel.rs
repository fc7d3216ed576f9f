//! What the two processes say to each other over: messages one after the other on a pair of Unix sockets, each with its
//! length before it, and open sockets beside the first.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::message::Message;

/// Most bytes of a message. What does not fit goes in several.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most sockets beside a message: what Linux lets go at once.
pub(super) const SOCKETS_MAX: usize = 253;
/// How long the other side may take to read what is written.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// One end.
pub(super) struct Channel(UnixStream);

impl Channel {
    /// An end of a pair.
    ///
    /// # Errors
    /// When the system does not let it have a deadline.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_DEADLINE))?;
        Ok(Self(stream))
    }

    /// Another handle of this end, for a thread of its own.
    ///
    /// # Errors
    /// Without a descriptor left.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// How long [`Channel::receive`] waits for each part of a message; `None`: until the other end is closed.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)
    }

    /// Says one message.
    ///
    /// # Errors
    /// When the other end is closed or does not read, or the message is too long.
    pub(super) fn send(&mut self, message: &Message) -> io::Result<()> {
        let frame = frame(message)?;
        self.0.write_all(&frame)
    }

    /// The same with open sockets beside it, of which the other process gets handles of its own.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub(super) fn send_with(
        &mut self,
        message: &Message,
        sockets: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let frame = frame(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many sockets"));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(&frame)], &mut beside, SendFlags::NOSIGNAL)?;
        self.0.write_all(&frame[sent..])
    }

    /// Hears one message.
    ///
    /// # Errors
    /// When the other end is closed or keeps silent, or what it says is no message.
    pub(super) fn receive(&mut self) -> io::Result<Message> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        self.receive_rest(length)
    }

    /// The same with what came beside it.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub(super) fn receive_with(&mut self) -> io::Result<(Message, Vec<OwnedFd>)> {
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(
            self.0.as_fd(),
            &mut [IoSliceMut::new(&mut length)],
            &mut beside,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let sockets = beside.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let sockets = sockets.flatten().collect();
        if got.bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.0.read_exact(&mut length[got.bytes..])?;
        Ok((self.receive_rest(length)?, sockets))
    }

    fn receive_rest(&mut self, length: [u8; 4]) -> io::Result<Message> {
        let length = u32::from_be_bytes(length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, "a message is too long"));
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text)?;
        serde_json::from_slice(&text).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }
}

fn frame(message: &Message) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "the message is too long"));
    }
    frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (Channel, Channel, UnixStream) {
        let (one, other) = UnixStream::pair().expect("a pair");
        let bare = one.try_clone().expect("a handle");
        (Channel::new(one).expect("an end"), Channel::new(other).expect("an end"), bare)
    }

    #[test]
    fn sockets_go_along_and_are_open() {
        let (mut one, mut other, _) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        one.send_with(&Message::Commit, &[listener.as_fd(), listener.as_fd()]).expect("sent");
        one.send(&Message::Serving).expect("sent");
        drop(listener);
        let (message, mut sockets) = other.receive_with().expect("received");
        assert_eq!((message, sockets.len()), (Message::Commit, 2));
        let listener = TcpListener::from(sockets.remove(0));
        let client = TcpStream::connect(address).expect("it listens");
        let (_, from) = listener.accept().expect("a client");
        assert_eq!(from, client.local_addr().expect("an address"));
        assert_eq!(other.receive().expect("received"), Message::Serving);
    }

    #[test]
    fn what_is_no_message_is_an_error_and_nothing_more() {
        for text in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x02{}", b"\0\0\0\x01", b"\0\0"] {
            let (one, mut other, mut bare) = pair();
            bare.write_all(text).expect("written");
            drop((one, bare));
            assert!(other.receive_with().is_err(), "{text:?}");
        }
        let (one, mut other, bare) = pair();
        drop((one, bare));
        assert_eq!(other.receive().map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    }

    #[test]
    fn silence_ends_with_the_patience() {
        let (_one, mut other, _bare) = pair();
        other.set_patience(Some(Duration::from_millis(1))).expect("a deadline");
        assert!(other.receive().is_err());
    }

    #[test]
    fn a_message_that_would_not_be_read_is_not_sent() {
        let (mut one, _other, _) = pair();
        let long = Message::Refused { problems: vec!["x".repeat(MESSAGE_BYTES_MAX)] };
        assert!(one.send(&long).is_err());
    }
}

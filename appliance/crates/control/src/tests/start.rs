//! How the listener gets to its place, and how it leaves.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::*;
use crate::{OpenSocket, Passed, start};

fn at(path: &Path) -> ControlPlan {
    plan(ControlBind::Unix(path.to_owned()))
}

fn refused(plan: &ControlPlan) -> String {
    start(plan, sources(), None).expect_err("refused").to_string()
}

#[test]
fn says_who_is_in_the_way_and_what_to_do() {
    let (control, address) = started(sources(), WIDE);
    let message = refused(&plan(ControlBind::Tcp(address)));
    assert!(message.starts_with(&format!("control.bind: {address} is in use")), "{message}");
    assert!(message.contains("choose another address"), "{message}");
    control.stop();
}

#[test]
fn says_when_an_address_is_not_of_this_machine() {
    // TEST-NET-1 (RFC 5737) belongs to nobody.
    let address = SocketAddr::from(([192, 0, 2, 1], 0));
    let message = refused(&plan(ControlBind::Tcp(address)));
    assert!(message.contains("choose an address of this machine"), "{message}");
}

#[test]
fn an_address_is_free_again_after_the_stop() {
    let (control, address) = started(sources(), WIDE);
    assert_eq!(get(address, "/livez").status, 200);
    control.stop();
    let control = start(&plan(ControlBind::Tcp(address)), sources(), None).expect("starts");
    assert_eq!(get(address, "/livez").status, 200);
    control.stop();
}

#[test]
fn serves_on_a_unix_socket_that_only_its_user_reaches() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let control = start(&at(&path), sources(), None).expect("starts");
    assert_eq!(control.address().to_string(), format!("unix:{}", path.display()));
    let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = UnixStream::connect(&path).expect("connects");
    // No browser gets here, so any name will do.
    assert_eq!(ask_on(stream, "GET /livez", "anything").status, 200);
    control.stop();
    assert!(!path.exists(), "the file is removed");
}

#[test]
fn replaces_the_socket_of_a_process_that_died() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    // Dropping a listener leaves its file, as a killed process does.
    drop(UnixListener::bind(&path).expect("binds"));
    let control = start(&at(&path), sources(), None).expect("starts");
    let stream = UnixStream::connect(&path).expect("connects");
    assert_eq!(ask_on(stream, "GET /livez", "localhost").status, 200);
    control.stop();
}

#[test]
fn leaves_the_socket_of_a_process_that_lives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let other = UnixListener::bind(&path).expect("binds");
    let message = refused(&at(&path));
    assert!(message.contains("is in use by another process"), "{message}");
    drop(UnixStream::connect(&path).expect("still there"));
    drop(other);
}

#[test]
fn whoever_takes_over_has_the_socket_its_file_and_everybody_who_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let before = start(&at(&path), sources(), None).expect("starts");
    let socket = match &**before.socket() {
        OpenSocket::Unix(socket) => OpenSocket::Unix(socket.try_clone().expect("a handle")),
        OpenSocket::Tcp(_) => panic!("asked for a file"),
    };
    let mut inside = UnixStream::connect(&path).expect("connects");
    let mut ask = || {
        inside.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").expect("sends");
        let mut answer = String::new();
        while !answer.ends_with("ok\n") {
            let mut bytes = [0; 512];
            let count = inside.read(&mut bytes).expect("answers");
            assert_ne!(count, 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    ask();
    before.gate().send_replace(true);
    // Who is inside is served on.
    ask();
    let waiting = UnixStream::connect(&path).expect("the kernel lets it in");
    let passed = Passed { socket, is_ours: true };
    let after = start(&at(&path), sources(), Some(passed)).expect("starts");
    assert_eq!(ask_on(waiting, "GET /livez", "anything").status, 200);
    drop(inside);
    before.hand_over();
    let stream = UnixStream::connect(&path).expect("the file is there");
    assert_eq!(ask_on(stream, "GET /livez", "anything").status, 200);
    after.stop();
    assert!(!path.exists(), "the file is the last one's");
}

#[test]
fn leaves_a_file_that_is_no_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "precious").expect("writes");
    let message = refused(&at(&path));
    assert!(message.contains("is there and is no socket"), "{message}");
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "precious");
}

#[test]
fn leaves_a_socket_that_took_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let control = start(&at(&path), sources(), None).expect("starts");
    std::fs::rename(&path, folder.path().join("moved.sock")).expect("moves");
    let other = UnixListener::bind(&path).expect("binds");
    control.stop();
    assert!(path.exists(), "it belongs to another");
    drop(other);
}

#[test]
fn says_when_the_folder_of_a_socket_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = refused(&at(&folder.path().join("missing/control.sock")));
    assert!(message.contains("make its folder first"), "{message}");
}

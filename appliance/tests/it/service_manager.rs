//! A scripted service manager: what it is told, and the sockets that it passes.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{PATIENCE, Program, profile, toolrack};

/// Hears what is told.
struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Self { folder, socket }
    }

    fn command(&self) -> Command {
        let mut command = toolrack();
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command
    }

    /// The next thing that it is told.
    fn hears(&self) -> String {
        let mut text = [0; 1_000];
        let length = self.socket.recv(&mut text).expect("in time");
        String::from_utf8_lossy(&text[..length]).into_owned()
    }
}

fn quick() -> tempfile::TempPath {
    profile("[reload]\nwatch = false\n[shutdown]\ndrain_ms = 2000\n")
}

#[test]
fn is_told_when_it_serves_reloads_and_stops() {
    let manager = Manager::new();
    let profile = quick();
    let mut program = Program::start_by(manager.command(), &profile, &[]);
    let served = manager.hears();
    let generations = program.control("/admin/generations").json();
    let identity = &generations["current"]["identity"].as_str().expect("an identity")[..12];
    let address = &program.address;
    let expected =
        format!("READY=1\nSTATUS=Generation 1 ({identity}) serves at http://{address}/mcp.");
    assert_eq!(served, expected);
    program.signal("HUP");
    let reloading = manager.hears();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
    assert!(matches!(since, Some(Ok(1..))), "{reloading}");
    assert_eq!(manager.hears(), served, "nothing was to be done");
    program.signal("TERM");
    assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=Stopping.");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn is_told_that_it_lives_as_often_as_is_wanted() {
    let manager = Manager::new();
    let mut command = manager.command();
    command.env("WATCHDOG_USEC", "100000");
    let profile = quick();
    let _program = Program::start_by(command, &profile, &[]);
    assert!(manager.hears().starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let manager = Manager::new();
    let mut command = manager.command();
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let profile = quick();
    let mut program = Program::start_by(command, &profile, &[]);
    assert!(manager.hears().starts_with("READY=1"));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert!(manager.hears().starts_with("STOPPING=1"));
}

#[test]
fn is_told_who_took_over_and_then_by_that_one() {
    let manager = Manager::new();
    let profile = quick();
    let mut program = Program::start_by(manager.command(), &profile, &[]);
    let served = manager.hears();
    let head = format!("POST /admin/upgrade HTTP/1.1\r\nHost: {}\r\n", program.control);
    let told = program.request_control(&head);
    assert_eq!(told.status, 200, "{told:?}");
    let process = told.json()["process"].to_string();
    assert_eq!(manager.hears(), format!("MAINPID={process}"));
    assert_eq!(manager.hears(), served, "by the one that serves at the same place");
    assert_eq!(program.wait(), Some(0));
    assert!(Command::new("kill").arg(&process).status().expect("kill runs").success());
    assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=Stopping.", "the one before said nothing more");
}

/// The program with an open socket as descriptor 3, called `name`.
fn with_socket(socket: OwnedFd, name: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null";
    shell.args(["-c", script]).arg(toolrack().get_program());
    shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name).stdin(Stdio::from(socket));
    shell
}

#[test]
fn a_passed_socket_is_the_listeners_that_has_its_name() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let waiting = std::net::TcpStream::connect(&address).expect("the kernel lets it in");
    let profile = quick();
    let program = Program::start_passed(with_socket(socket.into(), "public"), &profile, &[]);
    assert_eq!(program.address, address);
    assert_eq!(crate::wire::echo(&program, "x").status, 200);
    drop(waiting);
}

#[test]
fn a_passed_socket_file_is_the_control_listeners_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let socket = UnixListener::bind(&path).expect("a socket");
    let bind = format!("control.bind=unix:{}", path.display());
    let profile = quick();
    let command = with_socket(socket.into(), "unknown");
    let mut program = Program::start_passed(command, &profile, &["--set", &bind]);
    let control = format!("unix:{}", path.display());
    let asked = toolrack().args(["reload", "--wait", "--control", &control]).status();
    assert!(asked.expect("it runs").success());
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert!(path.exists(), "it is the service manager's");
}

#[test]
fn a_passed_socket_that_nobody_wants_is_warned_of() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let profile = quick();
    let program = Program::start_passed(with_socket(socket.into(), "other"), &profile, &[]);
    let is_warned = program.said.iter().any(|line| {
        line["level"] == "WARN"
            && line["message"].as_str().is_some_and(|said| said.contains("FileDescriptorName="))
    });
    assert!(is_warned, "{:#?}", program.said);
}

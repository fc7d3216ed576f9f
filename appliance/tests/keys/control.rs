//! `control`: the listener of operators.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::program::PATIENCE;
use crate::wire::{check, refusal, serve};

pub(crate) fn bind_says_where_operators_come_in() {
    let program = serve(&["control.bind=127.0.0.2:0"]);
    assert!(program.control.starts_with("127.0.0.2:"));
    assert_eq!(program.control("/livez").status, 200);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let _program = serve(&[&format!("control.bind=unix:{}", path.display())]);
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

pub(crate) fn other_hosts_come_in_only_when_allowed() {
    let (is_good, said) = check(&["control.bind=0.0.0.0:1"]);
    assert!(!is_good && said.contains("control.bind"), "{said}");
    let (is_good, said) = check(&["control.bind=0.0.0.0:1", "control.allow_remote=true"]);
    assert!(is_good && said.starts_with("warning: "), "{said}");
}

pub(crate) fn a_test_is_begun_only_where_it_may() {
    for (setting, status) in [("control.selftest=false", 403), ("control.selftest=true", 201)] {
        let program = serve(&[setting]);
        let head = format!("POST /admin/selftest HTTP/1.1\r\nHost: {}\r\n", program.control);
        assert_eq!(program.request_control(&head).status, status);
    }
    let remote = ["control.bind=0.0.0.0:1", "control.allow_remote=true", "control.selftest=true"];
    let (is_good, said) = check(&remote);
    assert!(!is_good && said.contains("control.selftest"), "{said}");
}

pub(crate) fn a_profile_is_taken_only_where_it_may() {
    for (setting, status) in
        [("control.allow_profile=false", 403), ("control.allow_profile=true", 428)]
    {
        let program = serve(&[setting]);
        let head = format!("POST /admin/profile HTTP/1.1\r\nHost: {}\r\n", program.control);
        assert_eq!(program.request_control(&head).status, status);
    }
    let remote =
        ["control.bind=0.0.0.0:1", "control.allow_remote=true", "control.allow_profile=true"];
    let (is_good, said) = check(&remote);
    assert!(!is_good && said.contains("control.allow_profile"), "{said}");
}

pub(crate) fn so_many_refusals_of_each_kind_can_be_explained() {
    for (kept, found) in [("0", [404, 404]), ("1", [404, 200]), ("2", [200, 200])] {
        let program = serve(&[&format!("control.refusals_kept={kept}")]);
        let head = format!(
            "GET /mcp HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example.com\r\n",
            program.address
        );
        let refused = [(); 2].map(|()| program.request(&head, ""));
        let explained = refused.each_ref().map(|answer| {
            assert_eq!(refusal(answer), (403, "origin_forbidden".to_owned()));
            let id = answer.header("x-request-id").expect("an id");
            program.control(&format!("/admin/explain?request={id}")).status
        });
        assert_eq!(explained, found, "{kept}");
    }
}

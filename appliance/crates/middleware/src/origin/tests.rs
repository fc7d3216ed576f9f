use http::Request;
use protocol::Peer;

use super::*;
use crate::edge::Admit;
use crate::testing::ask;

fn verdict(config: &Config, local: &str, headers: &[(&str, &str)]) -> Result<(), RefusalKind> {
    let mut request = Request::builder().uri("/mcp").method("POST");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("valid request");
    let peer = Peer {
        remote: "192.0.2.7:4000".parse().expect("address"),
        local: local.parse().expect("address"),
    };
    let service = OriginLayer::new(config).layer(Admit);
    ask(&service, request, peer, None).map(drop).map_err(|refusal| refusal.kind)
}

const FORBIDDEN: Result<(), RefusalKind> = Err(RefusalKind::OriginForbidden);

#[test]
fn admits_loopback_names_on_a_loopback_listener() {
    let config = Config::default();
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "localhost."]
    {
        assert_eq!(verdict(&config, "127.0.0.1:8080", &[("host", host)]), Ok(()), "{host}");
    }
    for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173"] {
        let headers = [("host", "localhost"), ("origin", origin)];
        assert_eq!(verdict(&config, "127.0.0.1:8080", &headers), Ok(()), "{origin}");
    }
}

#[test]
fn refuses_foreign_malformed_and_repeated_hosts() {
    let config = Config::default();
    for host in [
        "evil.example.com",
        "localhost.evil.com",
        "evil.com:127",
        "127.0.0.1.evil.com",
        "127.0.0.2",
        "",
        ":8080",
        "localhost:",
        "localhost:x",
        "localhost:99999",
        "user@localhost",
        "[::1",
        "::1",
        "local host",
        "localhost/..",
    ] {
        assert_eq!(verdict(&config, "127.0.0.1:8080", &[("host", host)]), FORBIDDEN, "{host}");
    }
    let twice = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(verdict(&config, "127.0.0.1:8080", &twice), FORBIDDEN);
    assert_eq!(verdict(&config, "127.0.0.1:8080", &[]), FORBIDDEN);
}

#[test]
fn refuses_foreign_origins_whatever_the_host() {
    let config = Config::default();
    for origin in [
        "http://evil.example.com",
        "null",
        "http://localhost.evil.com",
        "file://",
        "http://localhost/path",
        "chrome-extension://localhost",
        "localhost",
        "http://user@localhost",
        "",
        "http://",
    ] {
        let headers = [("host", "localhost"), ("origin", origin)];
        assert_eq!(verdict(&config, "127.0.0.1:8080", &headers), FORBIDDEN, "{origin}");
    }
}

#[test]
fn denies_everything_unlisted_off_loopback() {
    let config = Config::default();
    assert_eq!(verdict(&config, "192.0.2.1:80", &[("host", "localhost")]), FORBIDDEN);
    let config = Config {
        allowed_hosts: vec!["mcp.example.com".into(), "strict.example.com:8443".into()],
        allowed_origins: vec!["https://chat.example.com:443".into()],
        ..Config::default()
    };
    let check = |headers: &[(&str, &str)]| verdict(&config, "192.0.2.1:80", headers);
    assert_eq!(check(&[("host", "MCP.example.com:9999")]), Ok(()));
    assert_eq!(check(&[("host", "strict.example.com:8443")]), Ok(()));
    assert_eq!(check(&[("host", "strict.example.com")]), FORBIDDEN);
    assert_eq!(
        check(&[("host", "mcp.example.com"), ("origin", "https://chat.example.com")]),
        Ok(())
    );
    assert_eq!(
        check(&[("host", "mcp.example.com"), ("origin", "http://chat.example.com")]),
        FORBIDDEN
    );
    assert_eq!(
        check(&[("host", "mcp.example.com"), ("origin", "https://chat.example.com:8443")]),
        FORBIDDEN
    );
}

#[test]
fn only_counts_in_shadow_mode_and_is_blind_when_off() {
    for mode in [Mode::Shadow, Mode::Off] {
        let config = Config { mode, ..Config::default() };
        assert_eq!(verdict(&config, "127.0.0.1:80", &[("host", "evil.example.com")]), Ok(()));
    }
}

#[test]
fn names_entries_that_are_not_hosts_or_origins() {
    let config = Config {
        allowed_hosts: vec!["ok.example".into(), "https://no".into()],
        allowed_origins: vec!["chat.example.com".into()],
        ..Config::default()
    };
    let keys: Vec<_> = config.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["allowed_hosts", "allowed_origins"]);
}

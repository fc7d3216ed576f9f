//! What the commands print, and how they end.

use std::io::Write;
use std::net::TcpListener;

use crate::program::{Program, plugins, profile, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file(toml: &str) -> tempfile::TempPath {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(toml.as_bytes()).expect("written");
    file.into_temp_path()
}

fn checked(toml: &str) -> (Option<i32>, String) {
    let file = file(toml);
    let output = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
    (output.status.code(), text(&output.stderr))
}

#[test]
fn every_built_in_profile_is_good() {
    let listed = text(&run(&["profiles", "list"]).stdout);
    for name in ["dev", "desktop"] {
        assert!(listed.contains(name), "{listed}");
        assert_eq!(run(&["check", "--profile", name]).status.code(), Some(0), "{name}");
        assert!(text(&run(&["profiles", "show", name]).stdout).starts_with("#:schema "));
    }
    assert_eq!(run(&["profiles", "show", "none"]).status.code(), Some(64));
    assert!(text(&run(&["profiles", "recommend"]).stdout).contains("cores"));
}

#[test]
fn names_every_problem_at_once_with_its_place_and_a_way_out() {
    let (code, said) = checked(
        "format = 1\nextends = \"dev\"\n[layer.timeout]\ndeadline_msec = 5\n[layer.concurrency]\ncalls_max = \"many\"\n[listn.x]\nhttp = {}\n",
    );
    assert_eq!(code, Some(78));
    assert!(
        said.contains(
            ":4:1: layer.timeout.deadline_msec: unknown key; did you mean `deadline_ms`?"
        ),
        "{said}"
    );
    assert!(said.contains(":6:1: layer.concurrency.calls_max:"), "{said}");
    assert!(said.contains(":7:2: listn: unknown key; did you mean `listen`?"), "{said}");
}

#[test]
fn refuses_profiles_that_cannot_be_meant() {
    for (toml, part) in [
        ("format = 2\nextends = \"dev\"\n", "this version reads format 1"),
        ("format = 1\n", "nobody can come in"),
        (
            "format = 1\nextends = \"dev\"\n[tasks]\nttl_ms = 1000\ndeadline_ms = 1001\n",
            ":5:1: tasks.deadline_ms: a task that works for 1001 ms would outlive its ttl_ms of 1000",
        ),
        (
            "format = 1\nextends = \"dev\"\n[tasks]\ncount_max = 0\n",
            "tasks.count_max: 0 is outside of 1 to 1000000",
        ),
        ("format = 1\nextends = \"nowhere\"\n", ":2:1: extends: "),
        ("format = 1\nextends = \"nowhere\"\n", "cannot read this profile"),
        ("extends = \"medum-4c8g\"\n", "did you mean the built-in profile `medium-4c8g`?"),
        ("", ".toml: format: this key is missing; it means: The format of this file"),
        (
            "format = 1\nextends = \"dev\"\n[listen.public]\nhttp = { bind = \"0.0.0.0:1\" }\n",
            "allowed_hosts is empty",
        ),
        (
            "format = 1\nextends = \"dev\"\n[control]\nbind = \"0.0.0.0:1\"\n",
            "control.allow_remote",
        ),
        (
            "format = 1\nextends = \"dev\"\n[plugin.echo]\nisolation = \"process\"\n",
            "plugin.echo.isolation",
        ),
        (
            "format = 1\nextends = \"dev\"\n[layer.timeout]\ndeadline_ms = 0\n",
            "layer.timeout.deadline_ms",
        ),
        (
            "format = 1\nextends = \"dev\"\n[layer.rate_limit]\nkeys_max = 1\n",
            ":4:1: layer.rate_limit.keys_max: 1 is outside of 256 to 1000000",
        ),
        (
            "format = 1\nextends = \"dev\"\n[layer.pre_auth_limit]\nrequests_per_sec = 0\n",
            ":4:1: layer.pre_auth_limit.requests_per_sec: 0 is outside of 1 to 1000000",
        ),
        (
            "format = 1\nextends = \"dev\"\n[listen.public.http]\ntrusted_proxies = [\"::/0\"]\n",
            "trusted_proxies: `::/0` is every address",
        ),
        (
            "format = 1\nextends = \"dev\"\n[listen.public.http]\ntrusted_proxies = [\"proxy\"]\n",
            "trusted_proxies: `proxy` is no network; write it like 10.0.0.0/8",
        ),
        ("format = = 1\n", "not TOML"),
    ] {
        let (code, said) = checked(toml);
        assert_eq!(code, Some(78), "{toml}");
        assert!(said.contains(part), "{toml}\n{said}");
    }
}

#[test]
fn explains_each_value_and_where_it_came_from() {
    let file = file("format = 1\nextends = \"dev\"\n[layer.timeout]\ndeadline_ms = 5000\n");
    let path = file.to_str().expect("UTF-8");
    let said = text(&run(&["explain", "--profile", path, "--set", "server.name=mine"]).stdout);
    let row = |key: &str| {
        said.lines()
            .find(|line| line.trim_start().starts_with(&format!("{key} ")))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(row("layer.timeout.deadline_ms").ends_with(&format!("{path}:4:1")), "{said}");
    assert!(row("server.name").ends_with("--set server.name=mine"), "{said}");
    assert!(row("layer.concurrency.calls_max").contains("built-in `dev`"), "{said}");
    assert!(row("session.sessions_max").ends_with("default"), "{said}");
    let one = text(&run(&["explain", "--profile", "dev", "layer.timeout.deadline_ms"]).stdout);
    assert!(one.starts_with("Milliseconds"), "{one}");
    assert_eq!(run(&["explain", "nothing.like.it"]).status.code(), Some(64));
}

#[test]
fn hides_what_a_plugin_calls_a_secret() {
    let file = file(
        "format = 1\nextends = \"dev\"\n[plugin.time]\nconfig = { api_token = \"hush\", zone = \"UTC\" }\n",
    );
    let said = text(&run(&["explain", "--profile", file.to_str().expect("UTF-8")]).stdout);
    assert!(said.contains("plugin.time.config.api_token") && !said.contains("hush"), "{said}");
    assert!(said.contains("\"UTC\""), "{said}");
}

#[test]
fn prints_the_schema_the_version_and_a_manifest() {
    assert!(text(&run(&["schema"]).stdout).contains("\"deadline_ms\""));
    assert!(text(&run(&["version"]).stdout).contains("2026-07-28"));
    let echo = plugins().join("libecho.so");
    let manifest = text(&run(&["plugin", "inspect", echo.to_str().expect("UTF-8")]).stdout);
    assert!(manifest.contains("toolrack.echo"), "{manifest}");
    let no_library = file("hello");
    let refused = run(&["plugin", "inspect", no_library.to_str().expect("UTF-8")]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(text(&refused.stderr).contains("is not a plugin"), "{}", text(&refused.stderr));
}

#[test]
fn warns_of_a_profile_that_serves_nothing() {
    let bare = "format = 1\nextends = \"production\"\n";
    let (code, said) = checked(bare);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("warning: plugin: there is none"), "{said}");
    let (code, said) = checked(&format!("{bare}[plugin.echo]\nlibrary = \"libecho.so\"\n"));
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn names_every_folder_in_which_it_missed_a_library() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = "format = 1\nextends = \"dev\"\n[plugin.new]\nlibrary = \"libnew.so\"\n";
    std::fs::write(folder.path().join("my.toml"), profile).expect("written");
    let mut serve = crate::program::toolrack();
    serve.args(["serve", "--profile", "my.toml"]).current_dir(folder.path());
    let said = text(&serve.output().expect("it runs").stderr);
    assert!(said.contains("`libnew.so` was not found in the current folder, /"), "{said}");
}

#[test]
fn says_what_to_do_about_a_port_in_use_and_a_missing_library() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let bind = format!("listen.public.http.bind={}", taken.local_addr().expect("an address"));
    let profile = profile("");
    let path = profile.to_str().expect("UTF-8");
    let output = run(&["serve", "--profile", path, "--set", &bind]);
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("in use"), "{}", text(&output.stderr));
    let output = run(&["serve", "--profile", path, "--set", "plugin.echo.library=libnothing.so"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("`libnothing.so` was not found in"),
        "{}",
        text(&output.stderr)
    );
    let output = run(&["serve", "--profile", path, "--set", "plugin.echo.library=/no/libecho.so"]);
    let said = text(&output.stderr);
    assert!(said.contains("`/no/libecho.so` does not exist; build or copy it there"), "{said}");
}

#[test]
fn two_plugins_may_not_offer_the_same_tool() {
    let profile = profile("[plugin.twin]\nlibrary = \"libecho.so\"\n");
    let output = run(&["serve", "--profile", profile.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("the tool `echo` is already offered by"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn stops_in_order_on_each_signal() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&profile(""), &[]);
        program.signal(signal);
        program.wait_for(|_, line| line["message"] == "Stopped; every call was answered.");
        assert_eq!(program.wait(), Some(0));
    }
}

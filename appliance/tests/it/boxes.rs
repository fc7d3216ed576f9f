//! The profiles for a box, served for real, on whatever machine this is.

use std::process::Command;

use serde_json::{Value, json};

use crate::memory::group::Group;
use crate::program::{Program, modern_call, modern_headers, plugins, run, toolrack};

/// The profile on free ports, with a plugin.
fn serve(profile: &str, command: Command) -> Program {
    let plugin = format!("plugin.echo.library={}", plugins().join("libecho.so").display());
    let settings =
        ["listen.public.http.bind=127.0.0.1:0", "control.bind=127.0.0.1:0", plugin.as_str()];
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Program::start_by(command, profile.as_ref(), &settings)
}

/// Whether something was said that begins so.
fn says(program: &Program, begins: &str) -> bool {
    let begins =
        |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with(begins));
    program.said.iter().any(begins)
}

/// The line that names what `auto` chose.
fn chosen(program: &Program) -> &Value {
    let is_it = |line: &&Value| line["message"] == "Profile chosen for this machine.";
    program.said.iter().find(is_it).expect("it says so")
}

#[track_caller]
fn echoes(program: &Program) {
    let call = modern_call("echo", &json!({ "text": "hello" }));
    let answer = program.post(&modern_headers("tools/call", Some("echo")), &call);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["result"]["content"][0]["text"], "hello");
}

#[test]
fn every_profile_that_the_program_has_for_a_box_serves_and_warns_where_the_host_has_less() {
    let host_cores = std::thread::available_parallelism().expect("known").get();
    let of_box = profile::built_ins().iter().filter(|profile| profile.is_box);
    let names: Vec<_> = of_box.map(|profile| profile.name).chain(["seed"]).collect();
    assert_eq!(names.len(), 7);
    for name in names {
        let program = serve(name, toolrack());
        echoes(&program);
        let sources = profile::Sources { profile: name.to_owned(), ..Default::default() };
        let plan = profile::load(&sources).expect("good").plan;
        let cores = plan.hardware.expect("a box").cores;
        let warned = says(&program, &format!("hardware.cores: the profile `{name}` is made for"));
        assert_eq!(warned, host_cores < cores, "{name}: {:#?}", program.said);
    }
}

#[test]
fn auto_says_what_it_chose_and_serves_it() {
    let program = serve("auto", toolrack());
    echoes(&program);
    let chosen = chosen(&program)["profile"].as_str().expect("a name");
    let recommended = run(&["profiles", "recommend"]);
    let recommended = String::from_utf8(recommended.stdout).expect("text");
    assert!(recommended.contains(&format!("Recommended: {chosen},")), "{recommended}");
}

#[test]
fn auto_keeps_to_the_limit_of_a_control_group() {
    let group = match Group::new(1_200 << 20) {
        Ok(group) => group,
        Err(reason) => {
            eprintln!("not tried: this machine lets nobody make a control group: {reason}");
            return;
        }
    };
    let program = serve("auto", group.command(&toolrack()));
    echoes(&program);
    let chosen = chosen(&program);
    assert_eq!((&chosen["profile"], &chosen["memory_mib"]), (&json!("edge-1c1g"), &json!(1_200)));
    assert!(!says(&program, "hardware."), "{:#?}", program.said);
}

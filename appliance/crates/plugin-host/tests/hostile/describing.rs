//! Plugins that do not start, or that describe what cannot be described.

use plugin_host::{Plugin, PluginState};

use crate::compiler::hostile;
use crate::house::{Ended, beside_a_healthy_one, call, limits, start};
use crate::pipes::Pipes;

async fn start_refused(config: String) -> String {
    let started = tokio::task::spawn_blocking(move || start(&hostile(), &config, limits()));
    match started.await.expect("the host does not panic") {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_why_a_plugin_does_not_start() {
    beside_a_healthy_one(async {
        for (wrong, message) in [
            ("create_fails", "the plugin refuses to start: it says \u{fffd} why"),
            ("create_lies", "the plugin refuses to start: code -99"),
        ] {
            assert_eq!(start_refused(format!(r#"{{"wrong":"{wrong}"}}"#)).await, message);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_descriptions_that_are_rubbish() {
    beside_a_healthy_one(async {
        for (wrong, why) in [
            ("describe_not_json", "description is wrong"),
            ("describe_utf8", "invalid UTF-8"),
            ("describe_no_object", "it is not an object"),
            ("describe_no_list", "tools: not an array"),
            ("describe_twice", "tools: `a` is there twice"),
            ("describe_no_name", "tools: an item has no `name`"),
            ("describe_no_schema", "tool `a` needs an inputSchema"),
            ("describe_bad_name", "`a b` is not a valid `name`"),
            ("describe_oversized", "too large"),
            ("describe_null", "describes no memory"),
            ("describe_fails", "describe returned -12"),
        ] {
            let message = start_refused(format!(r#"{{"wrong":"{wrong}"}}"#)).await;
            assert!(message.contains(why), "{message:?} does not say {why:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_a_plugin_that_hangs_at_its_start_and_destroys_it_when_it_comes_back() {
    async fn hangs(wrong: &str, what: &str) {
        let mut pipes = Pipes::new();
        let message = start_refused(pipes.config(wrong)).await;
        assert_eq!(
            message,
            format!(
                "the plugin did not {what} within 5000 ms; see in its log lines what it waits for, or leave it out"
            )
        );
        pipes.let_go();
        pipes.wait_for('d');
    }
    beside_a_healthy_one(async {
        tokio::join!(hangs("create_hangs", "start"), hangs("describe_hangs", "describe itself"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shows_clients_a_description_on_one_line() {
    let plugin = start(&hostile(), "{}", limits()).expect("it starts").plugin;
    let last = plugin.described().tools.last().expect("a tool").json.clone();
    assert_eq!(&*last, r#"{"name":"last", "inputSchema":{"type":"object"}}"#);
    assert_eq!(plugin.state(), PluginState::Ready);
    assert_eq!(Plugin::describe_again(&plugin).expect("as before"), plugin.described());
    assert_eq!(call(&plugin, "two_completions").await, Ended::text("one"));
}

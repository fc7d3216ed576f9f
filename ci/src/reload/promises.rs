//! What is promised of changing a profile that serves, and what holds each promise.
//!
//! H1 to H30 are the contract's own numbers. Whoever adds a test that holds more of one names it here; a test of this
//! file looks whether everything that is named is there.

use crate::run;

use Evidence::{Scenario, Test};

/// One promise.
struct Promise {
    name: &'static str,
    says: &'static str,
    held_by: &'static [Evidence],
    /// What of it nothing holds yet; empty: nothing is left.
    left: &'static str,
    /// What it speaks of that the program does not have, so that nothing could hold or break it; empty: nothing.
    awaits: &'static str,
}

/// What holds a promise.
#[derive(Clone, Copy)]
enum Evidence {
    /// A test: its file, from the root, and its name.
    Test(&'static str, &'static str),
    /// A scenario of `cargo ci reload`.
    Scenario(&'static str),
}

const TRIGGERS: &str = "appliance/tests/it/reload/triggers.rs";
const WRITES: &str = "appliance/tests/it/reload/writes.rs";
const REFUSED: &str = "appliance/tests/it/reload/refused.rs";
const BROKEN: &str = "appliance/tests/it/reload/broken.rs";
const CLIENTS: &str = "appliance/tests/it/reload/clients.rs";
const PLUGINS: &str = "appliance/tests/it/reload/plugins.rs";
const DRAINING: &str = "appliance/tests/it/reload/draining.rs";
const LISTENERS: &str = "appliance/tests/it/reload/listeners.rs";
const PROBATION: &str = "appliance/tests/it/reload/probation.rs";
const STORMS: &str = "appliance/tests/it/reload/storms.rs";
const NAMED: &str = "appliance/tests/it/reload/named.rs";
const POSTED: &str = "appliance/tests/it/reload/posted.rs";
const LOAD: &str = "appliance/tests/it/reload/load.rs";
const KEPT: &str = "appliance/tests/it/reload/kept.rs";
const HISTORY: &str = "appliance/tests/it/reload/history.rs";
const LAST_GOOD: &str = "appliance/tests/it/reload/last_good.rs";
const KILLED: &str = "appliance/tests/it/reload/killed.rs";
const STEPS: &str = "appliance/tests/it/reload/steps.rs";
const RESTART: &str = "appliance/tests/it/reload/restart.rs";
const ON_DISK: &str = "appliance/crates/history/src/tests.rs";
const CLASSES: &str = "appliance/crates/profile/src/classes.rs";

const PROMISES: [Promise; 30] = [
    Promise {
        name: "H1",
        says: "signal, watch, admin and command go through one queue",
        held_by: &[
            Test(TRIGGERS, "a_signal_has_the_profile_read_again"),
            Test(TRIGGERS, "whoever_does_not_wait_is_told_that_it_will_be_read"),
            Test(TRIGGERS, "the_command_says_what_became_of_it_and_ends_accordingly"),
            Test(TRIGGERS, "one_content_is_applied_once_however_many_ask_for_it"),
            Test(POSTED, "a_posted_profile_serves_and_a_shown_one_can_be_posted_again"),
            Scenario("ledger"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H2",
        says: "content decides, events only hint",
        held_by: &[
            Test(WRITES, "what_is_written_again_as_it_was_makes_no_attempt"),
            Scenario("touch"),
            Scenario("styles"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H3",
        says: "storms are coalesced, and the last content wins",
        held_by: &[
            Scenario("storm"),
            Test(STORMS, "a_storm_of_writings_makes_one_change_a_second_and_ends_with_the_last"),
            Test(STORMS, "an_order_waits_for_its_time_and_is_answered"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H4",
        says: "what is half written is never applied",
        held_by: &[Scenario("torn")],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H5",
        says: "every way to write a file is seen",
        held_by: &[
            Test(WRITES, "every_way_to_write_a_file_is_seen"),
            Test(WRITES, "a_config_map_is_swapped_by_its_link"),
            Test(WRITES, "a_folder_that_was_made_anew_is_followed"),
            Scenario("styles"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H6",
        says: "all that is wrong is said at once, with its place, and no secret",
        held_by: &[
            Test(
                BROKEN,
                "two_hundred_broken_profiles_are_refused_by_check_by_a_dry_run_and_by_a_reload_alike",
            ),
            Test(BROKEN, "a_profile_that_is_no_text_or_no_file_is_refused"),
            Test(REFUSED, "no_secret_stands_in_the_ledger"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H7",
        says: "`check` says what a live reload says, and touches nothing",
        held_by: &[
            Test(
                BROKEN,
                "two_hundred_broken_profiles_are_refused_by_check_by_a_dry_run_and_by_a_reload_alike",
            ),
            Test(
                BROKEN,
                "fifty_good_profiles_are_taken_by_check_by_a_dry_run_and_by_a_reload_alike",
            ),
            Test(BROKEN, "check_opens_no_port_and_writes_no_file"),
        ],
        left: "what only loading a library tells: `check` does not load any",
        awaits: "",
    },
    Promise {
        name: "H8",
        says: "everything is built beside what serves, and a failure leaves nothing behind",
        held_by: &[
            Test(REFUSED, "a_broken_profile_leaves_the_old_one_and_the_next_good_one_comes_in"),
            Test(STEPS, "whichever_step_fails_says_what_to_do_and_leaves_nothing_behind"),
            Test(
                STEPS,
                "plugins_that_take_longer_than_a_change_may_are_refused_and_stopped_when_they_come",
            ),
            Test(STEPS, "a_start_that_never_ends_is_given_up"),
            Test(
                PLUGINS,
                "one_more_image_than_there_may_be_takes_a_restart_and_the_same_bytes_take_none",
            ),
            Test(HISTORY, "a_disk_that_fails_holds_nothing_up"),
            Scenario("alternate"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H9",
        says: "one step makes the next generation, and no answer mixes two",
        held_by: &[Scenario("mixture"), Scenario("plugins")],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H10",
        says: "no request, connection or stream is lost because of a reload",
        held_by: &[
            Test(LOAD, "fifty_reloads_under_load_lose_no_call_and_no_connection"),
            Scenario("steady"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H11",
        says: "connections go on, and take the new generation with their next request",
        held_by: &[
            Test(KEPT, "listeners_stay_the_sockets_that_they_were"),
            Test(CLIENTS, "a_limit_holds_from_the_next_call_on_of_the_same_connection"),
            Scenario("mixture"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H12",
        says: "streams go on when other parts change",
        held_by: &[
            Test(CLIENTS, "a_session_lives_on_and_hears_once_of_lists_that_changed"),
            Scenario("steady"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H13",
        says: "streams whose tool or plugin is gone are ended properly",
        held_by: &[
            Test(PLUGINS, "a_call_that_asks_is_answered_by_the_plugin_that_asked"),
            Test(DRAINING, "calls_of_a_generation_that_drains_for_too_long_are_ended"),
            Test(DRAINING, "a_task_that_waits_for_its_client_ends_with_its_generation"),
            Test(DRAINING, "a_call_that_asks_its_client_ends_with_its_generation"),
            Test(
                CLIENTS,
                "a_subscription_ends_with_its_result_when_nobody_offers_any_of_it_any_more",
            ),
            Test(CLIENTS, "a_session_hears_that_its_resource_is_gone_and_when_it_is_back"),
            Test(LISTENERS, "a_call_ends_on_a_listener_that_has_gone"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H14",
        says: "what is taken away is refused from the next request on",
        held_by: &[
            Scenario("revoke"),
            Test(
                CLIENTS,
                "a_subscription_ends_with_its_result_when_nobody_offers_any_of_it_any_more",
            ),
            Test(CLIENTS, "a_limit_holds_from_the_next_call_on_of_the_same_connection"),
        ],
        left: "",
        awaits: "keys, scopes and principals that an operator could take away: nobody signs in",
    },
    Promise {
        name: "H15",
        says: "buckets, circuits, sessions and permits live on under the new limits",
        held_by: &[
            Scenario("quota"),
            Scenario("limits"),
            Test(CLIENTS, "what_a_client_has_used_up_stays_used_up"),
            Test(CLIENTS, "a_bound_on_sessions_follows_without_ending_any"),
            Test(PLUGINS, "a_task_ends_where_it_began"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H16",
        says: "listeners come, go and change without the others noticing",
        held_by: &[
            Test(LISTENERS, "listeners_come_change_and_go_and_the_others_notice_nothing"),
            Test(LISTENERS, "two_listeners_swap_their_addresses_and_no_connection_is_refused"),
            Test(LISTENERS, "an_address_in_use_is_refused_and_nothing_changes"),
            Test(LISTENERS, "a_lower_bound_on_connections_cuts_nobody_and_lets_nobody_in"),
        ],
        left: "",
        awaits: "certificates: listeners speak no TLS",
    },
    Promise {
        name: "H17",
        says: "what takes a restart is known, and refuses the attempt whole",
        held_by: &[
            Test(REFUSED, "what_takes_a_restart_is_refused_whole_with_its_keys"),
            Test(CLASSES, "every_key_has_a_class_and_every_rule_a_key"),
            Test(RESTART, "each_key_that_takes_a_restart_is_refused_by_itself_and_with_its_reason"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H18",
        says: "every attempt is acknowledged, once and in order",
        held_by: &[
            Test(REFUSED, "the_ledger_keeps_the_last_attempts"),
            Test(TRIGGERS, "attempts_are_counted_and_the_last_good_one_is_dated"),
            Scenario("ledger"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H19",
        says: "after a refused attempt everything still works",
        held_by: &[
            Test(REFUSED, "a_broken_profile_leaves_the_old_one_and_the_next_good_one_comes_in"),
            Scenario("alternate"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H20",
        says: "writes by the API are conditional",
        held_by: &[
            Test(POSTED, "of_fifty_writers_at_once_one_wins"),
            Test(POSTED, "the_files_undo_a_posted_profile_only_when_they_change"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H21",
        says: "few generations drain at once, and what is over is given back",
        held_by: &[
            Test(PLUGINS, "a_generation_drains_until_its_last_call_has_ended"),
            Test(DRAINING, "no_more_than_so_many_generations_drain_and_the_oldest_makes_way"),
            Test(DRAINING, "streams_that_only_listen_keep_no_generation"),
            Scenario("endless"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H22",
        says: "clients hear once of each list that changed",
        held_by: &[
            Scenario("lists"),
            Test(CLIENTS, "a_session_lives_on_and_hears_once_of_lists_that_changed"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H23",
        says: "the last good profile and five generations are kept on disk",
        held_by: &[
            Test(
                HISTORY,
                "what_served_is_kept_over_a_restart_and_the_same_again_is_the_same_generation",
            ),
            Test(HISTORY, "what_is_kept_is_its_owners_and_holds_no_secret"),
            Test(HISTORY, "a_generation_comes_back_and_the_files_stay_as_they_are"),
            Test(HISTORY, "only_what_is_kept_comes_back"),
            Test(HISTORY, "the_commands_show_generations_and_go_back"),
            Test(HISTORY, "a_generation_comes_back_with_its_library_or_says_which_file_is_wanted"),
            Test(HISTORY, "a_disk_that_fails_holds_nothing_up"),
            Test(ON_DISK, "no_loss_of_power_takes_a_record_that_was_written"),
            Test(
                KILLED,
                "whichever_step_of_writing_it_is_killed_at_what_it_said_that_serves_comes_back",
            ),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H24",
        says: "a start with a broken profile fails, or begins with the last good one and says so",
        held_by: &[
            Test("appliance/tests/it/cli.rs", "refuses_profiles_that_cannot_be_meant"),
            Test(LAST_GOOD, "without_a_good_profile_the_last_good_one_serves_when_that_is_allowed"),
            Test(LAST_GOOD, "the_newest_kept_generation_that_works_is_the_last_good_one"),
            Test(LAST_GOOD, "a_profile_that_was_mended_serves_instead_of_the_last_good_one"),
            Test(LAST_GOOD, "a_last_good_profile_is_taken_only_from_where_nobody_else_writes"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H25",
        says: "a change that does harm is taken back by itself",
        held_by: &[
            Test(
                PROBATION,
                "a_change_that_makes_calls_fail_is_taken_back_with_the_plugins_of_before",
            ),
            Test(PROBATION, "a_limit_that_refuses_most_calls_is_taken_back"),
            Test(PROBATION, "a_change_that_makes_calls_slow_is_taken_back"),
            Test(PROBATION, "good_changes_under_load_all_stay"),
            Scenario("steady"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H26",
        says: "a plugin is replaced beside the old one, and calls end where they began",
        held_by: &[
            Test(PLUGINS, "another_library_of_the_same_name_takes_over"),
            Test(NAMED, "a_broken_library_is_refused_once_and_the_next_good_one_comes_in"),
            Test(PLUGINS, "a_plugin_with_other_settings_is_started_anew_and_one_without_stays"),
            Test(
                PLUGINS,
                "one_more_image_than_there_may_be_takes_a_restart_and_the_same_bytes_take_none",
            ),
            Scenario("plugins"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H27",
        says: "a reload works in an overload, and is refused with its reason while the process stops",
        held_by: &[
            Scenario("overload"),
            Test(KEPT, "a_process_that_stops_takes_no_other_profile_and_says_so"),
        ],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H28",
        says: "secrets and certificates are read again",
        held_by: &[Test(
            NAMED,
            "another_content_of_a_secret_makes_an_attempt_that_says_nothing_of_it",
        )],
        left: "",
        awaits: "certificates: listeners speak no TLS",
    },
    Promise {
        name: "H29",
        says: "a reload of a large profile is cheap",
        held_by: &[Scenario("cost")],
        left: "",
        awaits: "",
    },
    Promise {
        name: "H30",
        says: "one profile is the same everywhere",
        held_by: &[Test(KEPT, "one_profile_is_the_same_in_every_folder_language_and_zone")],
        left: "",
        awaits: "",
    },
];

impl Promise {
    const fn state(&self) -> &'static str {
        match (self.held_by.is_empty(), self.left.is_empty()) {
            (true, _) => "not yet",
            (false, true) => "covered",
            (false, false) => "partly",
        }
    }
}

/// Says each promise with its state, what holds it, and what is left.
pub(super) fn list() {
    for promise in &PROMISES {
        run::say(&format!("{:4} {:8} {}", promise.name, promise.state(), promise.says));
        for evidence in promise.held_by {
            let line = match evidence {
                Test(file, name) => format!("{file}::{name}"),
                Scenario(name) => format!("cargo ci reload --only {name}"),
            };
            run::say(&format!("       {line}"));
        }
        for (word, what) in [("left", promise.left), ("awaits", promise.awaits)] {
            if !what.is_empty() {
                run::say(&format!("       {word}: {what}"));
            }
        }
    }
    let count = |state| PROMISES.iter().filter(|promise| promise.state() == state).count();
    let [covered, partly, not_yet] = ["covered", "partly", "not yet"].map(count);
    let awaiting = PROMISES.iter().filter(|promise| !promise.awaits.is_empty()).count();
    run::say(&format!(
        "{covered} covered, {partly} partly, {not_yet} not yet; {awaiting} await what does not exist"
    ));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::reload::scenarios;

    #[test]
    fn everything_that_is_named_is_there() {
        for evidence in PROMISES.iter().flat_map(|promise| promise.held_by) {
            match evidence {
                Test(file, name) => {
                    let text = fs::read_to_string(run::root().join(file)).unwrap();
                    let is_test = ["#[test]", "#[tokio::test]"]
                        .iter()
                        .any(|mark| text.contains(&format!("{mark}\n")));
                    assert!(is_test && text.contains(&format!("fn {name}(")), "{file}::{name}");
                }
                Scenario(name) => {
                    assert!(scenarios::ALL.iter().any(|known| known.name == *name), "{name}");
                }
            }
        }
    }

    #[test]
    fn every_scenario_holds_a_promise() {
        for scenario in scenarios::ALL {
            let holds = PROMISES
                .iter()
                .flat_map(|promise| promise.held_by)
                .any(|evidence| matches!(evidence, Scenario(name) if *name == scenario.name));
            assert!(holds, "{}", scenario.name);
        }
    }

    #[test]
    fn the_thirty_promises_stand_in_their_order_and_none_without_a_word() {
        let names: Vec<_> = PROMISES.iter().map(|promise| promise.name.to_owned()).collect();
        assert_eq!(names, (1..=30).map(|number| format!("H{number}")).collect::<Vec<_>>());
        assert!(
            PROMISES.iter().all(|promise| !promise.held_by.is_empty() || !promise.left.is_empty())
        );
    }
}

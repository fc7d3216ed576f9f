use std::net::{Ipv4Addr, Ipv6Addr};

use super::address::Address;
use super::*;

fn config(mode: Mode, connections_max: usize, per_address_max: usize) -> Config {
    Config { mode, connections_max, per_address_max, ..Config::default() }
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

#[test]
fn refuses_above_the_bound_of_the_process_and_admits_again_after_an_end() {
    let state = State::new(&config(Mode::Enforce, 2, 2));
    let first = state.admit(v4(1)).expect("free");
    let _second = state.admit(v4(2)).expect("free");
    let refusal = state.admit(v4(3)).expect_err("full");
    assert_eq!((refusal.kind, &*refusal.scope), (RefusalKind::ConnectionsExhausted, "process"));
    assert_eq!((refusal.limit, state.bound().used()), (Some(2), 2));
    assert_eq!((state.bound().peak(), state.bound().refused()), (2, 1));
    drop(first);
    assert!(state.admit(v4(3)).is_ok());
}

#[test]
fn refuses_only_the_address_that_has_its_share() {
    let state = State::new(&config(Mode::Enforce, 10, 2));
    let first = state.admit(v4(1)).expect("free");
    let _second = state.admit(v4(1)).expect("free");
    let refusal = state.admit(v4(1)).expect_err("full");
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::AddressExhausted, Some(2)));
    assert_eq!(state.bound().used(), 2, "a refused connection holds nothing");
    let _other = state.admit(v4(2)).expect("another address");
    drop(first);
    assert!(state.admit(v4(1)).is_ok());
}

#[test]
fn takes_a_64_bit_network_of_ipv6_and_one_address_of_ipv4_for_one_client() {
    let v6 = |text: &str| Address::from(IpAddr::V6(text.parse::<Ipv6Addr>().expect("address")));
    assert_eq!(v6("2001:db8:0:1::1"), v6("2001:db8:0:1:ffff::2"));
    assert_ne!(v6("2001:db8:0:1::1"), v6("2001:db8:0:2::1"));
    assert_ne!(Address::from(v4(1)), Address::from(v4(2)));
    assert_eq!(v6("::ffff:192.0.2.1"), Address::from(IpAddr::from([192, 0, 2, 1])));
}

#[test]
fn shadow_admits_everybody_and_ages_nobody() {
    let state = State::new(&config(Mode::Shadow, 1, 1));
    let passes = [state.admit(v4(1)), state.admit(v4(1))];
    assert!(passes.iter().all(Result::is_ok));
    assert_eq!((state.bound().used(), state.bound().refused()), (2, 1));
    assert_eq!(state.age_max(), None);
}

#[test]
fn off_counts_nothing() {
    let state = State::new(&config(Mode::Off, 1, 1));
    let _passes = [state.admit(v4(1)), state.admit(v4(1))];
    assert_eq!((state.bound().used(), state.bound().peak(), state.age_max()), (0, 0, None));
}

#[test]
fn follows_new_settings_without_losing_who_is_inside() {
    let state = State::new(&config(Mode::Enforce, 1, 1));
    let _first = state.admit(v4(1)).expect("free");
    state.follow(&config(Mode::Enforce, 2, 1));
    assert_eq!(state.admit(v4(1)).expect_err("still there").kind, RefusalKind::AddressExhausted);
    assert!(state.admit(v4(2)).is_ok());
}

#[test]
fn forgets_addresses_without_connections_and_gives_their_room_back() {
    let addresses = Addresses::new();
    let places: Vec<_> = (0..100_000).map(|n| addresses.enter(Address::V4(n)).0).collect();
    let (count, room) = addresses.size();
    assert!(count == 100_000 && room >= count);
    drop(places);
    let (count, room) = addresses.size();
    assert!(count == 0 && room < 10_000, "{count} in {room}");
}

#[test]
fn names_the_key_that_is_out_of_range() {
    let keys =
        |config: &Config| config.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(&Config::default()), [""; 0]);
    let wrong = Config { connections_max: 0, age_max_ms: 0, ..Config::default() };
    assert_eq!(keys(&wrong), ["connections_max", "age_max_ms"]);
}

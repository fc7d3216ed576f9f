//! What one process says to the one that takes over: any frames, with the state that they carry.
//!
//! They belong to the program, which is no library: its two rooms are taken in as they stand.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "."]
mod serve {
    #[path = "."]
    pub(super) mod upgrade {
        #[path = "../../../appliance/src/commands/serve/upgrade/channel.rs"]
        #[expect(dead_code, reason = "the other directions")]
        mod channel;
        #[path = "../../../appliance/src/commands/serve/upgrade/message.rs"]
        #[expect(dead_code, reason = "the other directions")]
        mod message;

        use std::io::Write;
        use std::net::Shutdown;
        use std::os::unix::net::UnixStream;
        use std::sync::{Arc, OnceLock};
        use std::time::Duration;

        use channel::Channel;
        use message::Message;
        use profile::Sources;
        use stack::{Kit, Seal};
        use telemetry::CallMeter;
        use transport::session::Sessions;

        /// Fewer than a pair of sockets holds.
        const BYTES_MAX: usize = 64 << 10;

        /// A house with every layer, but without plugins.
        struct House {
            kit: Kit,
            plan: profile::Plan,
        }

        fn house() -> &'static House {
            static HOUSE: OnceLock<House> = OnceLock::new();
            HOUSE.get_or_init(|| {
                let sources = Sources { profile: "small-2c4g".to_owned(), ..Sources::default() };
                let plan = profile::load(&sources).expect("a profile of the program").plan;
                let seal = Seal::random(Duration::from_secs(60)).expect("chance");
                let kit = Kit::new(&plan, Vec::new(), seal, Arc::new(CallMeter::new()));
                House { kit, plan }
            })
        }

        /// Hears frames to their end and takes in what they carry.
        pub(in super::super) fn hear(frames: &[u8]) {
            let (mut one, other) = UnixStream::pair().expect("a pair");
            one.write_all(&frames[..frames.len().min(BYTES_MAX)]).expect("it fits");
            one.shutdown(Shutdown::Write).expect("it is open");
            let mut channel = Channel::new(other).expect("a deadline");
            let House { kit, plan } = house();
            let sessions = Sessions::new(&plan.session);
            let Ok((first, sockets)) = channel.receive_with() else { return };
            assert!(sockets.is_empty(), "none went along");
            let mut next = Some(first);
            while let Some(message) = next {
                message::install(&message, &sessions, kit);
                again(&message);
                next = channel.receive().ok();
            }
            for message in message::sessions(&sessions).iter().chain(&message::limits(kit)) {
                again(message);
            }
        }

        /// What was heard can be said, and is heard the same.
        fn again(message: &Message) {
            let (one, other) = UnixStream::pair().expect("a pair");
            let mut one = Channel::new(one).expect("a deadline");
            let mut other = Channel::new(other).expect("a deadline");
            // What is longer than a pair of sockets holds would have to be read meanwhile.
            let text = serde_json::to_vec(message).expect("a message is JSON");
            if text.len() <= BYTES_MAX {
                one.send(message).expect("it is no longer than it came");
                assert_eq!(&other.receive().expect("a message"), message);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| serve::upgrade::hear(data));

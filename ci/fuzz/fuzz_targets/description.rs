//! Any bytes as what a plugin says of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| plugin_host::fuzzing::description(data));

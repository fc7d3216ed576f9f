//! Any bytes as a plugin's library: read without running it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| plugin_host::fuzzing::manifest(data));

//! Any text as a profile: a plan, or problems that have places.
#![no_main]

use std::cell::RefCell;
use std::io::{Seek, SeekFrom, Write};

use libfuzzer_sys::fuzz_target;
use profile::{Sources, load};
use tempfile::NamedTempFile;

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(
        tempfile::Builder::new().suffix(".toml").tempfile().expect("a file"),
    );
}

fuzz_target!(|data: &[u8]| {
    // What comes after a NUL is given as on the command line.
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let set = parts.next().and_then(|set| std::str::from_utf8(set).ok()).map(str::to_owned);
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).expect("cut");
        file.seek(SeekFrom::Start(0)).expect("back");
        file.write_all(text).expect("written");
        let path = file.path().to_string_lossy().into_owned();
        let sources = Sources { profile: path, set: set.into_iter().collect(), ..Sources::default() };
        match load(&sources) {
            Ok(loaded) => assert!(!loaded.to_json().is_empty()),
            Err(problems) => {
                assert!(!problems.0.is_empty(), "refused without a reason");
                for problem in &problems.0 {
                    assert!(!problem.to_string().is_empty());
                }
            }
        }
    });
});

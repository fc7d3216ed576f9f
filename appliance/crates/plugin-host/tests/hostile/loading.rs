//! Libraries that are refused before any of their code, or before any of it that matters, runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use plugin_host::{Plugin, images, inspect};
use tempfile::TempPath;

use crate::compiler::{allow, compile, file, healthy};
use crate::house::{IMAGES_MAX, IN_TIME, limits, settings, start};

/// The message of a library that does not start.
fn refused(library: &Path) -> String {
    match start(library, "{}", limits()) {
        Ok(_) => panic!("{} started", library.display()),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn refuses(library: &Path, why: &str) {
    let message = refused(library);
    assert!(message.contains(why), "{message:?} does not say {why:?}");
}

/// The healthy library with some bytes changed.
fn spoilt(spoil: impl FnOnce(&mut Vec<u8>)) -> TempPath {
    let mut bytes = fs::read(healthy()).expect("it was built");
    spoil(&mut bytes);
    let file = file();
    fs::write(&file, bytes).expect("written");
    allow(&file, 0o644);
    file
}

#[test]
fn refuses_a_descriptor_that_is_not_one() {
    for (define, why) in [
        ("-DRETURNED=0", "returns no descriptor"),
        (
            "-DRETURNED=(const tr_descriptor *)((const char *)&descriptor + 4)",
            "returns no descriptor",
        ),
        ("-DMAGIC=7", "wrong magic number"),
        ("-DMAJOR=2", "built for plugin ABI 2.0"),
        ("-DSIZE=16", "descriptor of 16 bytes"),
        ("-DHOST_MINOR=9", "built for plugin ABI 1.9"),
        ("-DFLAGS=TR_PF_PANIC_ABORT", "a panic in it would end the process"),
        ("-DFLAGS=TR_PF_PROCESS_ONLY", "needs a process of its own"),
        ("-DID=0", "no id, version or sdk"),
        ("-DAPI=0", "no functions"),
        ("-DAPI_SIZE=8", "table of functions is too small"),
        ("-DCALL=0", "lacks one of create, describe, call and destroy"),
    ] {
        refuses(&compile("descriptor.c", &[define]), why);
    }
}

#[test]
fn refuses_a_library_without_entry_or_with_one_that_cannot_be_linked() {
    refuses(&compile("descriptor.c", &["-DENTRY=another_name"]), "toolrack_plugin_entry");
    refuses(&compile("descriptor.c", &["-DUNDEFINED"]), "nowhere");
}

#[test]
fn refuses_a_manifest_that_is_missing_or_wrong_without_running_anything() {
    for (define, why) in [
        ("-DNO_MANIFEST", "no `.note.toolrack` section"),
        ("-DMANIFEST=\"{\"", "its manifest is not JSON"),
        ("-DMANIFEST=\"{}\"", "its manifest has no `abi`"),
        (r#"-DMANIFEST="{\"abi\":\"1.0\"}""#, "its manifest has no `id`"),
        (r#"-DMANIFEST="{\"abi\":\"2.0\"}""#, "built for plugin ABI 2.0"),
        (r#"-DMANIFEST="{\"abi\":\"one\"}""#, "built for plugin ABI one"),
    ] {
        let library = compile("descriptor.c", &[define]);
        let message = inspect(&library).expect_err(why).to_string();
        assert!(message.contains(why), "{message:?} does not say {why:?}");
        refuses(&library, why);
    }
}

#[test]
fn refuses_what_asks_the_loader_for_danger() {
    for (flag, why) in [
        ("-Wl,-z,execstack", "executable stack"),
        ("-Wl,-rpath,/opt/lib", "names folders to load libraries from"),
    ] {
        refuses(&compile("healthy.c", &[flag]), why);
    }
}

#[test]
fn refuses_files_for_other_machines_and_files_that_are_no_libraries() {
    refuses(&spoilt(|bytes| bytes[4] = 1), "not a 64-bit little-endian ELF file");
    refuses(&spoilt(|bytes| bytes[5] = 2), "not a 64-bit little-endian ELF file");
    // e_machine: 8 is MIPS.
    refuses(&spoilt(|bytes| bytes[18] = 8), "built for another system");
    // e_type: 2 is an executable.
    refuses(&spoilt(|bytes| bytes[16] = 2), "not a shared library");
    refuses(&spoilt(|bytes| *bytes = b"#!/bin/sh".to_vec()), "not an ELF file");
    refuses(&spoilt(Vec::clear), "not an ELF file");
    for bytes_left in [16, 63, 64, 512] {
        refuses(&spoilt(|bytes| bytes.truncate(bytes_left)), "is not a plugin");
    }
}

#[test]
fn refuses_files_that_somebody_else_could_have_changed() {
    let library = spoilt(|_| ());
    for mode in [0o664, 0o646, 0o666] {
        allow(&library, mode);
        refuses(&library, "chmod go-w");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let inside = folder.path().join("libhealthy.so");
    fs::copy(healthy(), &inside).expect("copied");
    allow(folder.path(), 0o777);
    refuses(&inside, "chmod o-w");
    allow(folder.path(), 0o755);
    start(&inside, "{}", limits()).expect("its folder was the only fault");
}

#[test]
fn refuses_what_is_no_regular_file_or_too_large() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let link = folder.path().join("link.so");
    symlink(healthy(), &link).expect("linked");
    refuses(&link, "symbolic link or not a regular file");
    refuses(folder.path(), "symbolic link or not a regular file");
    refuses(Path::new("/dev/null"), "symbolic link or not a regular file");
    refuses(&folder.path().join("missing.so"), "cannot read");
    let large = file();
    fs::File::create(&large).and_then(|file| file.set_len((64 << 20) + 1)).expect("a sparse file");
    refuses(&large, "the limit is");
}

fn sink() -> plugin_host::NoticeSink {
    tokio::sync::mpsc::channel(1).0
}

fn stop(plugin: &Plugin) {
    plugin.stop(Instant::now() + IN_TIME).expect("it is idle");
}

#[test]
fn an_image_serves_again_when_its_plugin_has_ended() {
    let library = spoilt(|bytes| bytes.extend_from_slice(b"build 1"));
    let settings = || settings(&library, "{}", limits());
    let first = start(&library, "{}", limits()).expect("it starts").plugin;
    assert!(images::has(first.digest()));
    let full = Plugin::start(settings(), sink(), 1);
    let error = full.expect_err("its image serves the first one");
    assert!(error.takes_a_start() && error.to_string().contains("reload.images_max"), "{error}");
    stop(&first);
    let again = Plugin::start(settings(), sink(), 1).expect("it needs no other image");
    assert_eq!(first.digest(), again.digest());
}

#[test]
fn a_plugin_starts_from_memory_when_its_file_is_gone() {
    let library = spoilt(|bytes| bytes.extend_from_slice(b"build 2"));
    let settings = settings(&library, "{}", limits());
    let digest = start(&library, "{}", limits()).expect("it starts").plugin.digest();
    drop(library);
    assert!(Plugin::start(settings.clone(), sink(), IMAGES_MAX).is_err(), "gone");
    // The other one runs on, in an image of its own.
    let plugin = Plugin::start_from(settings.clone(), sink(), IMAGES_MAX, digest);
    assert_eq!(plugin.expect("from memory").digest(), digest);
    assert!(Plugin::start_from(settings, sink(), IMAGES_MAX, "0").is_err());
}

/// Bytes that this thread has read so far.
fn bytes_read() -> u64 {
    let counted = fs::read_to_string("/proc/thread-self/io").expect("counted by the kernel");
    let read = counted.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.expect("the first line").parse().expect("a number")
}

#[test]
fn a_library_is_read_again_when_the_system_says_that_it_may_be_another() {
    let library = spoilt(|_| {});
    let plugin = start(&library, "{}", limits()).expect("it starts").plugin;
    let bytes = fs::metadata(&library).expect("it is there").len();
    let is_read = || {
        let before = bytes_read();
        assert!(plugin.is_as(&settings(&library, "{}", limits())).expect("it can be read"));
        bytes_read() - before >= bytes
    };
    assert!(is_read(), "it was written right now, and may be once more without a trace");
    let begun = Instant::now();
    while is_read() {
        assert!(begun.elapsed() < IN_TIME, "it is read for ever");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    allow(&library, 0o600);
    assert!(is_read(), "it has changed");
    fs::write(&library, "another").expect("written");
    assert!(!plugin.is_as(&settings(&library, "{}", limits())).expect("it can be read"));
}

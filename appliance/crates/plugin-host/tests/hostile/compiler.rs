//! Builds the plugins of these tests with the machine's C compiler.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tempfile::TempPath;

static HEALTHY: OnceLock<PathBuf> = OnceLock::new();
static HOSTILE: OnceLock<PathBuf> = OnceLock::new();

/// The library that does what it should.
pub(crate) fn healthy() -> &'static Path {
    HEALTHY.get_or_init(|| keep("healthy.c"))
}

/// The library that does everything wrong. No two are the same, byte for byte: it leaves its image as no other plugin
/// may find it.
pub(crate) fn hostile() -> TempPath {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let mut bytes = std::fs::read(HOSTILE.get_or_init(|| keep("hostile.c"))).expect("it was built");
    bytes.extend_from_slice(&COPIES.fetch_add(1, Relaxed).to_le_bytes());
    let copy = file();
    std::fs::write(&copy, bytes).expect("written");
    allow(&copy, 0o755);
    copy
}

/// Compiles what every test uses, to one name: renamed into place, so that two runs at once do not meet.
fn keep(source: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{source}.so"));
    compile(source, &[]).persist(&place).expect("the same file system");
    place
}

/// A file for one test.
pub(crate) fn file() -> TempPath {
    let builder = tempfile::Builder::new().suffix(".so").tempfile_in(env!("CARGO_TARGET_TMPDIR"));
    builder.expect("a file").into_temp_path()
}

/// Compiles `source` of this folder to a library of its own.
pub(crate) fn compile(source: &str, more: &[&str]) -> TempPath {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = file();
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-D_GNU_SOURCE",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
            "-fPIC",
            "-shared",
        ])
        .arg("-I")
        .arg(here.join("../../../schemas"))
        .args(more)
        .arg("-o")
        .arg(&library)
        .arg(here.join("tests/hostile").join(source))
        .arg("-lpthread")
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("these tests need a C compiler named `cc` (Debian: apt install gcc): {error}")
    });
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    allow(&library, 0o755);
    library
}

/// Sets who may do what with a file.
pub(crate) fn allow(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

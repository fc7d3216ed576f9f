//! What the process was started with besides its command line. The environment is read here and nowhere else.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use listenfd::ListenFd;

/// What the variables of profile keys begin with.
const PREFIX: &str = "TOOLRACK_";

/// Variables that begin with the prefix and mean something else.
const RESERVED: [&str; 1] = ["TOOLRACK_PROFILE"];

/// Environment variables that are keys of a profile. What is not UTF-8 in a value is replaced, so
/// that the value is complained of where it is used.
pub(crate) fn profile_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX) && !RESERVED.contains(&name.as_str()))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

/// A secret that a profile asks for by name.
pub(crate) fn secret_from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether log lines may be coloured (no-color.org: an empty variable says nothing).
pub(crate) fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// The file of this program, to start it once more.
pub(crate) fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The file that this process was started from, as it was named, and its arguments. What a name or a link leads to may
/// be another file by now: to start it again is how another version comes in.
pub(crate) fn started() -> std::io::Result<(PathBuf, Vec<OsString>)> {
    let mut words = std::env::args_os();
    let named = words.next().map(PathBuf::from).filter(|named| named.components().count() > 1);
    let program = match named {
        Some(named) => std::path::absolute(named)?,
        // Found by a search that another process would not make in the same way.
        None => std::env::current_exe()?,
    };
    Ok((program, words.collect()))
}

/// Where the service manager wants to hear of this process (sd_notify(3)).
pub(crate) fn notify_socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
}

/// How often it wants to hear that this process lives (sd_watchdog_enabled(3)).
pub(crate) fn watchdog_period() -> Option<Duration> {
    let is_of_another =
        std::env::var("WATCHDOG_PID").is_ok_and(|pid| pid.parse() != Ok(std::process::id()));
    let period_us = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (period_us > 0 && !is_of_another).then(|| Duration::from_micros(period_us))
}

/// The sockets that it passed to this process, and their names (sd_listen_fds(3)). To be called before there is another
/// thread: what is taken is taken out of the environment, so that no other process takes it for its own.
pub(crate) fn passed_sockets() -> (ListenFd, Vec<String>) {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    (ListenFd::from_env(), names.split(':').map(ToOwned::to_owned).collect())
}

/// The command line as it was given.
pub(crate) fn words() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Where bare library names are looked for: around the program.
pub(crate) fn library_search() -> Vec<PathBuf> {
    let Some(folder) = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from))
    else {
        return Vec::new();
    };
    vec![folder.clone(), folder.join("../lib/toolrack/plugins"), folder.join("plugins")]
}

//! What can be asked on the command line. The environment is read here and nowhere else.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use listenfd::ListenFd;
use middleware::ByteSize;

use crate::exit;

/// What the variables of profile keys begin with.
const PREFIX: &str = "TOOLRACK_";

/// Variables that begin with the prefix and mean something else.
const RESERVED: [&str; 1] = ["TOOLRACK_PROFILE"];

const ABOUT_ALL: &str = "\
Begin with:
  toolrack serve                     serve the built-in profile `dev` on this machine
  toolrack profiles recommend        see which profile fits this machine
  toolrack profiles show dev         see what it is made of
  toolrack explain                   see every value, and where it came from

Every key of a profile can also be set by an environment variable, with two underscores between
tables: TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS=5000.

Exit codes:
   0  as asked
   1  a self-test saw a protection fail
 3-5  diff: what changes is live, drains, or takes a restart
  64  the command line is wrong
  70  a fault of ours
  75  not now, for example a port in use
  78  the profile, or something that it names, is wrong";

const ABOUT_SERVE: &str = "\
Examples:
  toolrack serve
  toolrack serve --profile my.toml
  toolrack serve --set listen.public.http.bind=127.0.0.1:0
  toolrack serve --profile desktop --set plugin.filesystem.config.root=/srv/docs
  toolrack serve --profile my.toml --allow-last-good

The last good one is looked for in `history.folder`: of --set, else of TOOLRACK_HISTORY__FOLDER, else of
the profile, as far as that key itself can be read.";

const ABOUT_CHECK: &str = "\
Examples:
  toolrack check --profile my.toml
  toolrack check --profile my.toml --set layer.timeout.deadline_ms=5000

It reads the profile and those that it extends, and nothing else: that libraries are there, ports
are free and plugins like their configuration shows when `toolrack serve` starts.";

const ABOUT_EXPLAIN: &str = "\
Examples:
  toolrack explain
  toolrack explain layer.timeout
  toolrack explain --profile my.toml plugin.files
  toolrack explain --profile my.toml --call request.json --from 203.0.113.9
  toolrack explain --call request.http --header 'Origin: https://chat.example.com'";

const ABOUT_BENCH: &str = "\
Examples:
  toolrack bench                                     an appliance of its own, with the profile `dev`
  toolrack bench --profile my.toml --quick
  toolrack bench --url http://127.0.0.1:8080/mcp --control http://127.0.0.1:9090
  toolrack bench --tool now --arguments '{\"zone\":\"Europe/Berlin\"}' --out figures

Without --calls-per-sec it first finds the highest rate at which 99 % of the calls are accepted.
Ctrl-C ends it with the figures so far. Load only servers that are yours to load.";

const ABOUT_SELFTEST: &str = "\
Examples:
  toolrack selftest
  toolrack selftest --control unix:/run/toolrack/control --json
  toolrack selftest --layer rate_limit --layer concurrency

Run it on the machine of the appliance, after every deployment. Clients do not notice: the lane has
listeners, states and a plugin of its own, and ends within a minute. Exit code 1 says that a
protection did not do what the profile says, 75 that there was no test, or not to its end.";

const ABOUT_RELOAD: &str = "\
Examples:
  toolrack reload
  toolrack reload --wait
  toolrack reload --wait --control unix:/run/toolrack/control

The appliance reads the profile that it was started with, with the same --set and environment. With
--wait: exit code 0 when the profile is what serves, 78 when it was refused with reasons (what was
there before serves on), 75 when the appliance could not be asked.";

const ABOUT_DIFF: &str = "\
Examples:
  toolrack diff my.toml
  toolrack diff my.toml --json --control unix:/run/toolrack/control
  toolrack diff dev

The profile is checked here, then compared by the appliance with what it serves, under its own --set
and environment, as if it took the place of the file that it was started with. Plugins are not
started. What needs nothing to be replaced is live; what drains lets calls under way end on what was
there before; one change that takes a restart has all of them refused while the process lives.

Exit codes:
   0  nothing would change
   3  every change is live
   4  something is replaced, and drains
   5  something takes a restart
  75  the appliance could not be asked
  78  the profile is wrong, here or there";

const ABOUT_UPGRADE: &str = "\
Examples:
  install -m 755 toolrack /usr/local/bin/toolrack.new && mv /usr/local/bin/toolrack.new /usr/local/bin/toolrack
  toolrack upgrade
  toolrack upgrade --program /opt/toolrack-2/toolrack --control unix:/run/toolrack/control

The program that serves starts the one that is now where it was started from, with the same arguments, hands over its
sockets, sessions and limits, answers what it has and ends. Exit code 0 when the new one serves; 78 when it could not
take over, with the reasons (the old one serves on); 75 when the appliance could not be asked.";

const ABOUT_GENERATIONS: &str = "\
Examples:
  toolrack generations
  toolrack generations --json --control unix:/run/toolrack/control";

const ABOUT_ROLLBACK: &str = "\
Examples:
  toolrack rollback              to the last good generation of other content
  toolrack rollback 41
  toolrack rollback --control unix:/run/toolrack/control

The values of then serve as a new generation, with the libraries of then. The files of the profile stay
as they are and come in again when they change, by `toolrack reload`, or by a restart. Exit code 0 when
the generation serves, 78 when it was refused with reasons, 75 when the appliance could not be asked.";

const ABOUT_SHOW: &str = "\
Example:
  toolrack profiles show dev > my.toml";

const ABOUT_RECOMMEND: &str = "\
Examples:
  toolrack profiles recommend
  toolrack profiles recommend --cores 4 --memory 8GiB";

const ABOUT_SCHEMA: &str = "\
Examples:
  toolrack schema > profile.schema.json
  toolrack schema --non-reloadable
and as the first line of a profile:
  #:schema ./profile.schema.json";

const ABOUT_INSPECT: &str = "\
Example:
  toolrack plugin inspect ./libweather.so";

/// The MCP appliance that people configure instead of code.
#[derive(Parser)]
#[command(
    name = "toolrack",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = ABOUT_ALL
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a profile until SIGTERM or Ctrl-C.
    #[command(after_help = ABOUT_SERVE)]
    Serve {
        #[command(flatten)]
        options: ProfileOptions,
        /// When the profile, or something that it names, is wrong: serve the newest generation of `history.folder` that
        /// works, and say so.
        #[arg(long)]
        allow_last_good: bool,
        /// End when the parent, the process of this number, ends; `toolrack bench` asks for it.
        #[arg(long, value_name = "PID", hide = true)]
        end_with: Option<i32>,
        /// Take over from the process on standard input; `toolrack upgrade` has that process ask for it.
        #[arg(long, hide = true)]
        take_over: bool,
    },
    /// Say everything that is wrong with a profile, without starting anything.
    #[command(after_help = ABOUT_CHECK)]
    Check(ProfileOptions),
    /// Show the layers in their order, and every value with where it came from.
    #[command(after_help = ABOUT_EXPLAIN)]
    Explain {
        #[command(flatten)]
        options: ProfileOptions,
        /// Only this key, or everything below it, with its meaning.
        #[arg(conflicts_with = "call")]
        key: Option<String>,
        #[command(flatten)]
        asked: CallOptions,
    },
    /// Load an appliance with 1, 2, 5 and 10 times what it carries, and write a receipt.
    #[command(after_help = ABOUT_BENCH)]
    Bench(BenchOptions),
    /// Attack the protections of an appliance that serves, in a lane beside its clients, and report key by key.
    #[command(after_help = ABOUT_SELFTEST)]
    Selftest(SelftestOptions),
    /// Have an appliance that serves read its profile again, and swap it in without a client noticing.
    #[command(after_help = ABOUT_RELOAD)]
    Reload(ReloadOptions),
    /// Say what a profile would change in an appliance that serves, key by key, and change nothing.
    #[command(after_help = ABOUT_DIFF)]
    Diff(DiffOptions),
    /// Have an appliance that serves hand over to another version of the program, without a lost connection.
    #[command(after_help = ABOUT_UPGRADE)]
    Upgrade(UpgradeOptions),
    /// Show the generations that an appliance has served and can be rolled back to.
    #[command(after_help = ABOUT_GENERATIONS)]
    Generations(GenerationsOptions),
    /// Have an appliance that serves go back to a generation that served before.
    #[command(after_help = ABOUT_ROLLBACK)]
    Rollback(RollbackOptions),
    /// The profiles that are part of the program.
    #[command(subcommand)]
    Profiles(Profiles),
    /// Print the JSON Schema of a profile, for editors.
    #[command(after_help = ABOUT_SCHEMA)]
    Schema {
        /// Print the keys that only a restart takes over instead, each with the reason.
        #[arg(long)]
        non_reloadable: bool,
    },
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the version, and the revisions of MCP that it speaks.
    Version,
}

/// Which profile, and what to change in it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProfileOptions {
    /// A profile file, the name of a built-in profile, or `auto`: the largest built-in one that fits this machine.
    #[arg(
        long,
        short,
        env = "TOOLRACK_PROFILE",
        hide_env_values = true,
        default_value = "dev",
        value_name = "PATH|NAME"
    )]
    pub(crate) profile: String,
    /// Change one value; may be given more than once. Wins over the file and the environment.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// A request to explain.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallOptions {
    /// Say what each layer would decide about the request in this file: HTTP as it is sent, head and body, or a JSON-RPC
    /// message alone. Nothing is started and nothing is sent.
    #[arg(long, value_name = "FILE")]
    pub(crate) call: Option<PathBuf>,
    /// Who sends it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", requires = "call")]
    pub(crate) from: IpAddr,
    /// A header field that it has besides, or instead of its own; may be given more than once.
    #[arg(long, value_name = "NAME: VALUE", requires = "call")]
    pub(crate) header: Vec<String>,
    /// Print JSON.
    #[arg(long, requires = "call")]
    pub(crate) json: bool,
}

/// What to load, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchOptions {
    #[command(flatten)]
    pub(crate) served: ProfileOptions,
    /// Load this server instead of starting one with the profile.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The control listener of that server, for its health and its plan.
    #[arg(long, value_name = "URL", requires = "url")]
    pub(crate) control: Option<String>,
    /// The process of that server on this machine, for what it uses; found by itself when the URL has a loopback
    /// address and the process may be looked into.
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// How long each step is.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Steps of two seconds, for a first look.
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) quick: bool,
    /// Connections, each with one call under way at most. Give more than layer.concurrency.calls_max to see that layer
    /// refuse calls of a slow tool.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// The rate that the steps multiply; without it, the measured peak.
    #[arg(long)]
    pub(crate) calls_per_sec: Option<f64>,
    /// Share of the calls that come on a new connection.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub(crate) new_connections: f64,
    /// Addresses of 127.0.0.0/8 that the load comes from, each a client of its own to the limits. Only for a server
    /// on 127.0.0.1.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=250))]
    pub(crate) addresses: u32,
    /// How clients speak.
    #[arg(long, value_enum, default_value_t = BenchEra::Modern)]
    pub(crate) era: BenchEra,
    /// The tool to call.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub(crate) tool: String,
    /// What to call it with; for `echo`, a text of 64 letters when nothing is said.
    #[arg(long, value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// The folder for receipt.json and receipt.html.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
}

/// Which appliance to test, and how to report.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelftestOptions {
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
    /// Report as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this layer, or `listen` or `session`; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Vec<String>,
}

/// Which appliance is to read its profile again.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReloadOptions {
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
    /// Wait for the end, print it, and say by the exit code whether the profile is what serves.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    pub(crate) timeout_secs: u64,
}

/// Which profile to compare, and with which appliance.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffOptions {
    /// A profile file, or the name of a built-in profile.
    #[arg(value_name = "PATH|NAME")]
    pub(crate) profile: String,
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which appliance is to hand over, and to what.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpgradeOptions {
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
    /// Hand over to this program instead of the one that is where the appliance was started from. Nobody but root and
    /// the appliance's user may be able to write it.
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
    /// Most milliseconds that the new program may take until it has built everything.
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) wait_ms: u64,
    /// Upgrade even though the appliance keeps tasks, which end with it.
    #[arg(long)]
    pub(crate) forget_tasks: bool,
}

/// Whose generations to show.
#[derive(Args, Clone, Debug)]
pub(crate) struct GenerationsOptions {
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which appliance is to go back, and to what.
#[derive(Args, Clone, Debug)]
pub(crate) struct RollbackOptions {
    /// The number of a generation that `toolrack generations` shows. Without it: the last one of other content that
    /// nobody rolled back from.
    #[arg(value_name = "NUMBER")]
    pub(crate) to: Option<u64>,
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
    /// How long to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout_secs: u64,
}

/// How clients of the load speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchEra {
    /// 2026-07-28, stateless.
    Modern,
    /// 2025-11-25, a session for each connection.
    Session,
}

/// The profiles that are part of the program.
#[derive(Subcommand)]
pub(crate) enum Profiles {
    /// Name them all.
    List,
    /// Print one.
    #[command(after_help = ABOUT_SHOW)]
    Show {
        /// Its name.
        name: String,
    },
    /// Look at this machine and say what to begin with.
    #[command(after_help = ABOUT_RECOMMEND)]
    Recommend {
        /// Cores of another machine than this one.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
        cores: Option<u16>,
        /// Memory of another machine than this one.
        #[arg(long, value_name = "SIZE")]
        memory: Option<ByteSize>,
    },
}

/// Look at plugins.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Print what a library says of itself, without running any of it.
    #[command(after_help = ABOUT_INSPECT)]
    Inspect {
        /// The library.
        file: PathBuf,
    },
}

/// Reads the command line. Help and mistakes are printed, and end the program.
#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "nothing has been made yet that would have to be unmade; clap's own exit has code 2"
)]
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        // Whoever does not read it any more has gone.
        error.print().ok();
        let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
        std::process::exit(code.into())
    })
}

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! What can be asked on the command line.

mod about;
mod environment;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use middleware::ByteSize;

use crate::exit;

pub(crate) use environment::*;

/// The MCP appliance that people configure instead of code.
#[derive(Parser)]
#[command(
    name = "toolrack",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = about::ALL
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a profile until SIGTERM or Ctrl-C.
    #[command(after_help = about::SERVE)]
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
    #[command(after_help = about::CHECK)]
    Check(ProfileOptions),
    /// Show the layers in their order, and every value with where it came from.
    #[command(after_help = about::EXPLAIN)]
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
    #[command(after_help = about::BENCH)]
    Bench(BenchOptions),
    /// Attack the protections of an appliance that serves, in a lane beside its clients, and report key by key.
    #[command(after_help = about::SELFTEST)]
    Selftest(SelftestOptions),
    /// Have an appliance that serves read its profile again, and swap it in without a client noticing.
    #[command(after_help = about::RELOAD)]
    Reload(ReloadOptions),
    /// Say what a profile would change in an appliance that serves, key by key, and change nothing.
    #[command(after_help = about::DIFF)]
    Diff(DiffOptions),
    /// Have an appliance that serves hand over to another version of the program, without a lost connection.
    #[command(after_help = about::UPGRADE)]
    Upgrade(UpgradeOptions),
    /// Show the generations that an appliance has served and can be rolled back to.
    #[command(after_help = about::GENERATIONS)]
    Generations(GenerationsOptions),
    /// Have an appliance that serves go back to a generation that served before.
    #[command(after_help = about::ROLLBACK)]
    Rollback(RollbackOptions),
    /// The profiles that are part of the program.
    #[command(subcommand)]
    Profiles(Profiles),
    /// Print the JSON Schema of a profile, for editors.
    #[command(after_help = about::SCHEMA)]
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
    /// Give the load the last processor, and the appliance that is started the others, so that neither takes the
    /// other's time.
    #[arg(long, conflicts_with = "url")]
    pub(crate) apart: bool,
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

/// Which appliance is meant of those that serve.
#[derive(Args, Clone, Debug)]
pub(crate) struct ControlOption {
    /// The control listener of the appliance: a URL, or the path of its Unix socket.
    #[arg(long, value_name = "URL|PATH", default_value = "http://127.0.0.1:9090")]
    pub(crate) control: String,
}

/// Which appliance to test, and how to report.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelftestOptions {
    #[command(flatten)]
    pub(crate) appliance: ControlOption,
    /// Report as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this layer, or this table beside the layers, as `listen` or `tasks`; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Vec<String>,
}

/// Seconds that an order may be waited for: up to a day.
fn timeout_secs() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=86_400)
}

/// Which appliance is to read its profile again.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReloadOptions {
    #[command(flatten)]
    pub(crate) appliance: ControlOption,
    /// Wait for the end, print it, and say by the exit code whether the profile is what serves.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = timeout_secs(), requires = "wait")]
    pub(crate) timeout_secs: u64,
}

/// Which profile to compare, and with which appliance.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffOptions {
    /// A profile file, or the name of a built-in profile.
    #[arg(value_name = "PATH|NAME")]
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) appliance: ControlOption,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which appliance is to hand over, and to what.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpgradeOptions {
    #[command(flatten)]
    pub(crate) appliance: ControlOption,
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
    #[command(flatten)]
    pub(crate) appliance: ControlOption,
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
    #[command(flatten)]
    pub(crate) appliance: ControlOption,
    /// How long to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = timeout_secs())]
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
    #[command(after_help = about::SHOW)]
    Show {
        /// Its name.
        name: String,
    },
    /// Look at this machine and say what to begin with.
    #[command(after_help = about::RECOMMEND)]
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
    #[command(after_help = about::INSPECT)]
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
    Cli::try_parse().unwrap_or_else(|mut error| {
        suggest_option(&mut error);
        // Whoever does not read it any more has gone.
        error.print().ok();
        let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
        std::process::exit(code.into())
    })
}

/// Says how a profile is given, to whoever gave one as an argument where it is an option.
fn suggest_option(error: &mut clap::Error) {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return };
    if error.kind() == ErrorKind::UnknownArgument && !given.starts_with('-') && takes_profile() {
        let tip = format!("for a profile, say '--profile {given}'");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Whether the command that was asked for has the option.
fn takes_profile() -> bool {
    let Some(name) = std::env::args_os().nth(1) else { return false };
    let cli = Cli::command();
    let mut arguments =
        cli.find_subcommand(name).into_iter().flat_map(clap::Command::get_arguments);
    arguments.any(|argument| argument.get_long() == Some("profile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! What can be asked on the command line. The environment is read here and nowhere else.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Variables that begin with the prefix of profile keys and mean something else.
const RESERVED: [&str; 1] = ["TOOLRACK_PROFILE"];

/// The MCP appliance that people configure instead of code.
#[derive(Parser)]
#[command(name = "toolrack", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a profile until SIGTERM or Ctrl-C.
    #[command(
        after_help = "Examples:\n  toolrack serve\n  toolrack serve --profile my.toml\n  toolrack serve --profile dev --set listen.public.http.bind=127.0.0.1:0"
    )]
    Serve(ProfileOptions),
    /// Say everything that is wrong with a profile, without starting anything.
    Check(ProfileOptions),
    /// Show the layers in their order, and every value with where it came from.
    #[command(
        after_help = "Examples:\n  toolrack explain\n  toolrack explain layer.timeout\n  toolrack explain --profile my.toml plugin.files"
    )]
    Explain {
        #[command(flatten)]
        options: ProfileOptions,
        /// Only this key, or everything below it, with its meaning.
        key: Option<String>,
    },
    /// The profiles that are part of the program.
    #[command(subcommand)]
    Profiles(Profiles),
    /// Print the JSON Schema of a profile, for editors.
    Schema,
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the version, and what it speaks.
    Version,
}

/// Which profile, and what to change in it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProfileOptions {
    /// A profile file, or the name of a built-in profile.
    #[arg(long, short, env = "TOOLRACK_PROFILE", default_value = "dev", value_name = "PATH|NAME")]
    pub(crate) profile: String,
    /// Change one value; may be given more than once. The last word, after the file and the environment.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// The profiles that are part of the program.
#[derive(Subcommand)]
pub(crate) enum Profiles {
    /// Name them all.
    List,
    /// Print one.
    Show {
        /// Its name.
        name: String,
    },
    /// Look at this machine and say which to begin with.
    Recommend,
}

/// Look at plugins.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Print what a library says of itself, without running any of it.
    Inspect {
        /// The library.
        file: PathBuf,
    },
}

/// Reads the command line; prints help and errors itself.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

/// Environment variables that are keys of a profile.
pub(crate) fn profile_environment() -> Vec<(String, String)> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with("TOOLRACK_") && !RESERVED.contains(&name.as_str()))
        .collect()
}

/// A secret that a profile asks for by name.
pub(crate) fn secret_from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether log lines may be coloured.
pub(crate) fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal()
}

/// Where bare library names are looked for: around the program.
pub(crate) fn library_search() -> Vec<PathBuf> {
    let Some(folder) = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from))
    else {
        return Vec::new();
    };
    vec![folder.clone(), folder.join("../lib/toolrack/plugins"), folder.join("plugins")]
}

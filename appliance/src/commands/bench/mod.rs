//! `toolrack bench`: the load that an appliance carries, and what it does beyond it, as a receipt.

mod chart;
mod goals;
mod measure;
mod page;
mod progress;
mod search;
mod server;
mod settings;
mod subject;
mod table;

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use load::receipt::{Build, FORMAT, Machine, Receipt};
use rustix::fs::{Access, access};

use crate::cli::{self, BenchOptions};
use crate::exit;
use crate::hardware::Hardware;
use measure::Bench;
use settings::Settings;
use subject::Subject;

/// Why there are no figures: what to print, and with which code to end.
struct Failed {
    code: u8,
    lines: Vec<String>,
}

impl Failed {
    fn new(code: u8, error: impl Display) -> Self {
        Self { code, lines: vec![error.to_string()] }
    }
}

/// Loads, reports, and writes the receipt.
pub(crate) fn run(options: &BenchOptions) -> ExitCode {
    match measure(options) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            for line in &failed.lines {
                super::complain(line);
            }
            ExitCode::from(failed.code)
        }
    }
}

fn measure(options: &BenchOptions) -> Result<u8, Failed> {
    let settings = Settings::from(options).map_err(|error| Failed::new(exit::USAGE, error))?;
    // Now, and not after all the work.
    fs::create_dir_all(&options.out)
        .and_then(|()| Ok(access(&options.out, Access::WRITE_OK)?))
        .map_err(|error| cannot_write(&options.out, &error))?;
    let stopped = stop_on_signals().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    load::process::raise_descriptors().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let hardware = Hardware::read();
    let subject = Subject::find(options, &stopped)?;
    let call_time = load::trial::call(&subject.target, settings.era, &settings.tool)
        .map_err(|error| Failed::new(exit::TEMPORARY, error))?;
    let mut receipt = begin(hardware, &settings, &subject)?;
    let mut bench = Bench::new(&settings, subject, stopped);
    if let Err(why) = bench.run(call_time, &mut receipt) {
        receipt.ended_early = Some(why);
    }
    bench.end();
    receipt.goals = goals::judge(&receipt);
    super::say(&table::render(&receipt));
    write(&options.out, &receipt)?;
    Ok(if receipt.ended_early.is_some() { exit::TEMPORARY } else { exit::OK })
}

/// The receipt before anything is measured.
fn begin(hardware: Hardware, settings: &Settings, subject: &Subject) -> Result<Receipt, Failed> {
    let profile = subject.profile().map_err(|error| Failed::new(exit::TEMPORARY, error))?;
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    Ok(Receipt {
        format: FORMAT,
        date: httpdate::fmt_http_date(SystemTime::now()),
        toolrack: Build { version: env!("CARGO_PKG_VERSION").to_owned(), build: build.to_owned() },
        command: shareable(cli::words()),
        machine: Machine {
            processor: load::machine::processor(),
            cores: hardware.cores,
            cores_from: hardware.cores_from.to_string(),
            memory_bytes: hardware.memory_bytes,
            memory_from: hardware.memory_from.to_string(),
            kernel: load::machine::kernel(),
        },
        profile,
        load: settings.describe(subject),
        unloaded: None,
        search: Vec::new(),
        envelope: None,
        steps: Vec::new(),
        goals: Vec::new(),
        ended_early: None,
    })
}

/// A command line without the settings of plugins, among which may be secrets: receipts are shown to others.
fn shareable(words: Vec<String>) -> Vec<String> {
    let hidden = |word: &str| {
        let setting = word.strip_prefix("--set=").unwrap_or(word);
        let (key, _) = setting.split_once('=').filter(|(key, _)| key.starts_with("plugin"))?;
        Some(format!("{}{key}=hidden", word.strip_suffix(setting)?))
    };
    let hide = |word: String| hidden(&word).unwrap_or(word);
    words.into_iter().map(hide).collect()
}

/// Is set by Ctrl-C and SIGTERM: the figures so far are still worth something.
fn stop_on_signals() -> std::io::Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};

    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        // Signals are heard from here on.
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stopped)
}

/// Writes both shapes of the receipt.
fn write(folder: &Path, receipt: &Receipt) -> Result<(), Failed> {
    let json = serde_json::to_string_pretty(receipt)
        .map_err(|error| Failed::new(exit::INTERNAL, error))?;
    for (name, text) in [("receipt.json", json + "\n"), ("receipt.html", page::render(receipt))] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| {
            // Half a receipt is worse than none.
            fs::remove_file(&path).ok();
            cannot_write(&path, &error)
        })?;
        super::say(&format!("wrote {}\n", path.display()));
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failed {
    let path = path.display();
    let is_full = error.kind() == std::io::ErrorKind::StorageFull;
    let code = if is_full { exit::TEMPORARY } else { exit::USAGE };
    Failed::new(code, format!("{path}: {error}; name another folder with --out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipt_does_not_give_away_settings_of_plugins() {
        let words =
            ["--set", "plugin.a.config.token=x", "--set=plugin.a.config={token=1}", "--quick"];
        let shown = shareable(words.map(str::to_owned).to_vec());
        let expected =
            ["--set", "plugin.a.config.token=hidden", "--set=plugin.a.config=hidden", "--quick"];
        assert_eq!(shown, expected);
    }
}

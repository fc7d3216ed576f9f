//! The machine: what it is, and which of its cores does what.

use serde::Serialize;

use crate::run;

/// What the figures were measured on.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Processor, as it calls itself.
    pub(crate) processor: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Version of the kernel.
    pub(crate) kernel: String,
    /// Commit of the checkout; `-dirty` when it was changed since.
    pub(crate) commit: String,
    /// Version of the compiler.
    pub(crate) compiler: String,
    /// Coordinated universal time at the begin.
    pub(crate) date: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn describe() -> Result<Self, String> {
        let said = |program: &str, arguments: &[&str]| {
            run::output(program, arguments).map(|text| text.trim().to_owned())
        };
        Ok(Self {
            processor: load::machine::processor(),
            cores: load::machine::processors()?.len(),
            kernel: load::machine::kernel(),
            commit: said("git", &["describe", "--always", "--dirty"])
                .unwrap_or_else(|_| "unknown".to_owned()),
            compiler: said("rustc", &["--version"])?,
            date: said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"])?,
        })
    }
}

/// The core of the servers and that of the generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// Where the servers run, one at a time.
    pub(crate) server: usize,
    /// Where the load comes from.
    pub(crate) generator: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn choose() -> Result<Self, String> {
        match load::machine::processors()?.as_slice() {
            [server, generator, ..] => Ok(Self { server: *server, generator: *generator }),
            _ => {
                Err("the benchmark needs two cores: one for the server, one for the load"
                    .to_owned())
            }
        }
    }
}

//! Who is measured, and how each is built and started.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use load::Era;

use crate::Outcome;
use crate::{release, run};

/// The workspace of the peers.
const PEERS: &str = "ci/peers";
/// The profile that ours serves.
pub(crate) const PROFILE: &str = "ci/bench/profile.toml";
/// The same behind all layers.
const WHOLE: &str = "ci/bench/whole.toml";

/// What a contestant is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The appliance.
    Ours,
    /// The appliance behind every layer.
    Whole,
    /// The appliance as `cargo build --release` makes it, untrained as the peers are: how much of the distance is the
    /// compiler's.
    Plain,
    /// What ours is compared with.
    Peer,
    /// Nothing that speaks HTTP can be much faster.
    Ceiling,
}

/// One server program.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// Its name, in the report and for `--only`.
    pub(crate) name: &'static str,
    /// What it is there for.
    pub(crate) role: Role,
    /// The package whose version is reported.
    pub(crate) package: &'static str,
    /// The name of its program; that of a peer is also its package's in the workspace of the peers.
    program: &'static str,
    /// The eras that it speaks, and the argument that makes it do so.
    pub(crate) eras: &'static [(Era, Option<&'static str>)],
}

/// Everybody.
pub(crate) const ALL: &[Contestant] = &[
    Contestant {
        name: "toolrack",
        role: Role::Ours,
        package: "toolrack",
        program: "toolrack",
        eras: &[(Era::Session, None), (Era::Modern, None)],
    },
    Contestant {
        name: "toolrack, all layers",
        role: Role::Whole,
        package: "toolrack",
        program: "toolrack",
        eras: &[(Era::Session, None), (Era::Modern, None)],
    },
    Contestant {
        name: "toolrack, untrained",
        role: Role::Plain,
        package: "toolrack",
        program: "toolrack",
        eras: &[(Era::Session, None), (Era::Modern, None)],
    },
    Contestant {
        name: "raw-hyper",
        role: Role::Ceiling,
        package: "hyper",
        program: "raw-hyper",
        eras: &[(Era::Session, None), (Era::Modern, None)],
    },
    Contestant {
        name: "rmcp",
        role: Role::Peer,
        package: "rmcp",
        program: "rmcp-peer",
        eras: &[
            (Era::Session, Some("session")),
            (Era::Sessionless, Some("stateless")),
            (Era::Modern, Some("stateless")),
        ],
    },
    Contestant {
        name: "tower-mcp",
        role: Role::Peer,
        package: "tower-mcp",
        program: "tower-mcp-peer",
        eras: &[(Era::Session, None), (Era::Modern, None)],
    },
    Contestant {
        name: "turbomcp",
        role: Role::Peer,
        package: "turbomcp",
        program: "turbomcp-peer",
        eras: &[(Era::Session, None), (Era::Modern, None)],
    },
];

impl Contestant {
    /// How it is started for `era`. The ceiling answers with `answer_bytes`.
    pub(crate) fn argv(&self, era: Era, answer_bytes: usize) -> Vec<String> {
        let program = peers().join(self.program).to_string_lossy().into_owned();
        match self.role {
            Role::Ours => serve(PROFILE),
            Role::Whole => serve(WHOLE),
            Role::Plain => serve_with(&plain().join(self.program), PROFILE),
            Role::Ceiling => vec![program, answer_bytes.to_string()],
            Role::Peer => {
                let argument = self.eras.iter().find(|(known, _)| *known == era);
                let argument = argument.and_then(|(_, argument)| *argument).map(str::to_owned);
                std::iter::once(program).chain(argument).collect()
            }
        }
    }

    /// Whether it is the appliance, however it was built and set up.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.role, Role::Ours | Role::Whole | Role::Plain)
    }

    /// Whether it shakes hands and says the text back; the ceiling does neither.
    pub(crate) fn speaks_mcp(&self) -> bool {
        self.role != Role::Ceiling
    }
}

/// Where the programs of the peers are built.
fn peers() -> PathBuf {
    run::root().join(PEERS).join("target/release")
}

/// Where the untrained build is.
fn plain() -> PathBuf {
    run::target().join("release")
}

/// How ours serves a profile.
pub(crate) fn serve(profile: &str) -> Vec<String> {
    serve_with(&release::folder().join("toolrack"), profile)
}

/// How a build of ours serves a profile.
pub(crate) fn serve_with(program: &Path, profile: &str) -> Vec<String> {
    let program = program.to_string_lossy().into_owned();
    vec![program, "serve".to_owned(), "--profile".to_owned(), profile.to_owned()]
}

/// The ceiling for stdio, answering with `answer_bytes`; with tokio's own buffers, or larger ones.
pub(crate) fn bare_line_loop(answer_bytes: usize, buffer_bytes: Option<usize>) -> Vec<String> {
    let program = peers().join("bare-line-loop").to_string_lossy().into_owned();
    let arguments = [Some(answer_bytes), buffer_bytes].into_iter().flatten();
    [program].into_iter().chain(arguments.map(|bytes| bytes.to_string())).collect()
}

/// Those named, or everybody.
pub(crate) fn choose(only: &[String]) -> Result<Vec<&'static Contestant>, String> {
    let names: Vec<_> = ALL.iter().map(|contestant| contestant.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("nobody is called `{unknown}`; there are {}", names.join(", ")));
    }
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    Ok(ALL.iter().filter(|contestant| is_wanted(contestant.name)).collect())
}

/// Builds them. Each peer on its own, so that no peer's features change another.
pub(crate) fn build(chosen: &[&Contestant]) -> Outcome {
    release::build()?;
    if chosen.iter().any(|contestant| contestant.role == Role::Plain) {
        run::must("cargo", &["build", "--release", "--package", "toolrack", "--package", "echo"])?;
    }
    let manifest = format!("{PEERS}/Cargo.toml");
    let others = chosen.iter().filter(|contestant| !contestant.is_ours());
    let programs = others.map(|contestant| contestant.program);
    for package in programs.chain(["bare-line-loop"]) {
        let target = format!("{PEERS}/target");
        let arguments = [
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            &manifest,
            "--target-dir",
            &target,
            "--package",
            package,
        ];
        run::must("cargo", &arguments)?;
    }
    Ok(())
}

/// The version of everything that is compared, from the lock files.
pub(crate) fn versions() -> BTreeMap<&'static str, String> {
    let lock = |path: &str| fs::read_to_string(run::root().join(path)).unwrap_or_default();
    let locks = lock("Cargo.lock") + &lock(&format!("{PEERS}/Cargo.lock"));
    let version = |package: &str| {
        let (_, rest) = locks.split_once(&format!("name = \"{package}\"\nversion = \""))?;
        rest.split_once('"').map(|(version, _)| version.to_owned())
    };
    ALL.iter()
        .filter_map(|contestant| Some((contestant.package, version(contestant.package)?)))
        .collect()
}

//! The files that a profile names besides those that it consists of: libraries and secrets.
//!
//! Content decides here as well. Libraries are large, so their bytes are looked at only when the system says something
//! else of the file than before, and compared with those that run. Of secrets a digest is kept, never what is in them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_host::{Plugin, Stamp};
use profile::Plan;
use sha2::{Digest, Sha256};

/// Largest part of a secret that is looked at: a key has some dozen bytes.
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// Libraries as the system told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Stamp)>);

/// The named files of a plan, as they were when it was tried last.
#[derive(Debug)]
pub(in super::super) struct Named {
    plan: Arc<Plan>,
    libraries: Stamps,
    secrets: Vec<(PathBuf, Option<[u8; 32]>)>,
}

impl Named {
    /// Those of `plan`, as they are now. To be called before anything of them is read.
    pub(in super::super) fn of(plan: Arc<Plan>) -> Self {
        let (libraries, secrets) = (stamps(&plan), secrets(&plan));
        Self { plan, libraries, secrets }
    }

    /// Takes them as they are now.
    pub(super) fn look_again(&mut self) {
        *self = Self::of(Arc::clone(&self.plan));
    }

    /// Their paths, as far as they are there.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let libraries = self.libraries.0.iter().map(|(path, _)| path.clone());
        libraries.chain(self.secrets.iter().map(|(path, _)| path.clone())).collect()
    }

    /// What the system says of the libraries now.
    pub(super) fn libraries(&self) -> Stamps {
        stamps(&self.plan)
    }

    /// Whether a secret has other content than then. One that is not there is about to come back.
    pub(super) fn has_other_secrets(&self) -> bool {
        let is_other = |(path, digest): &(PathBuf, Option<[u8; 32]>)| {
            digest.is_some() && !self.secrets.contains(&(path.clone(), *digest))
        };
        secrets(&self.plan).iter().any(is_other)
    }

    /// Whether a library has other bytes than those of `running` that were started from it, or has come. What was only
    /// touched is taken as it is from now on.
    pub(super) fn has_other_libraries(&mut self, running: &[Arc<Plugin>]) -> bool {
        let holds = |path: &Path| {
            let mut of_path = running.iter().filter(|plugin| plugin.library() == path);
            of_path.next().is_some_and(|first| {
                std::iter::once(first).chain(of_path).all(|plugin| plugin.is_as_its_library())
            })
        };
        self.libraries_differ(holds)
    }

    fn libraries_differ(&mut self, holds: impl Fn(&Path) -> bool) -> bool {
        for (path, stamp) in self.libraries().0 {
            if self.libraries.0.contains(&(path.clone(), stamp)) {
                continue;
            }
            if !holds(&path) {
                return true;
            }
            self.libraries.0.retain(|(known, _)| *known != path);
            self.libraries.0.push((path, stamp));
        }
        false
    }
}

fn stamps(plan: &Plan) -> Stamps {
    let libraries = plan.plugins.iter().filter_map(stack::library_of);
    let stamped = libraries.filter_map(|path| {
        let stamp = Stamp::of(&std::fs::metadata(&path).ok()?);
        Some((path, stamp))
    });
    Stamps(stamped.collect())
}

fn secrets(plan: &Plan) -> Vec<(PathBuf, Option<[u8; 32]>)> {
    plan.secret_files().into_iter().map(|path| (path.to_owned(), digest(path))).collect()
}

/// Of the content of a file; `None` when it cannot be read, or is none: a pipe would be waited for.
fn digest(path: &Path) -> Option<[u8; 32]> {
    std::fs::metadata(path).ok()?.is_file().then_some(())?;
    let mut content = Vec::new();
    File::open(path).ok()?.take(SECRET_BYTES_MAX).read_to_end(&mut content).ok()?;
    Some(Sha256::digest(&content).into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use profile::Sources;

    use super::*;

    /// A folder with a profile that names a library and a secret in it.
    fn named(folder: &Path) -> Named {
        let text = "format = 1\n[listen.public]\nhttp = { bind = \"127.0.0.1:0\" }\n\
                    [plugin.mine]\nlibrary = \"./libmine.so\"\n\
                    [request_state]\nkey = { file = \"key\" }\n";
        fs::write(folder.join("live.toml"), text).expect("written");
        let profile = folder.join("live.toml").to_str().expect("UTF-8").to_owned();
        let loaded = profile::load(&Sources { profile, ..Sources::default() }).expect("good");
        Named::of(Arc::new(loaded.plan))
    }

    #[test]
    fn a_library_is_behind_when_it_has_come_or_has_other_bytes_than_those_that_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("libmine.so");
        let mut before = named(folder.path());
        assert!(!before.libraries_differ(|_| false), "it is not there");
        fs::write(&library, "one").expect("written");
        assert!(before.libraries_differ(|_| false), "it has come");
        before.look_again();
        assert!(!before.libraries_differ(|_| false), "and that was seen");
        let mut tried = named(folder.path());
        assert!(!tried.libraries_differ(|_| false), "what was tried is not tried again");
        fs::remove_file(&library).expect("removed");
        assert!(!tried.libraries_differ(|_| false), "it is about to come back");
        fs::write(&library, "two").expect("written");
        assert!(!tried.libraries_differ(|path| path == library), "its bytes run");
        assert!(!tried.libraries_differ(|_| false), "and that is known now");
        fs::write(&library, "three").expect("written");
        assert!(tried.libraries_differ(|_| false), "other bytes");
    }

    #[test]
    fn a_secret_is_behind_when_its_content_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        fs::write(&key, "hunter1").expect("written");
        let before = named(folder.path());
        fs::write(&key, "hunter1").expect("written");
        assert!(!before.has_other_secrets(), "the same once more");
        fs::remove_file(&key).expect("removed");
        assert!(!before.has_other_secrets(), "it is about to come back");
        fs::write(&key, "hunter2").expect("written");
        assert!(before.has_other_secrets());
        assert!(!format!("{before:?}").contains("hunter"), "no secret is kept");
        assert_eq!(before.paths().last(), Some(&key));
    }
}

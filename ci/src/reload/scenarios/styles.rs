//! H5: however a file is written, what stands in it comes in by itself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Outcome;
use crate::reload::live::{folder, play_in, write};
use crate::stage::profile::text;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Every way to write a file.
pub(super) const STYLES: Scenario = Scenario {
    name: "styles",
    title: "twelve ways to write a file: each is seen",
    left: "",
    play: styles,
};

/// The file that is mounted, and where.
const SOURCE: &str = "elsewhere/source.toml";
const BOUND: &str = "bound.toml";

/// One way to write: its name, the key whose number tells one writing from another, and the writing.
struct Style {
    name: &'static str,
    key: Key,
    write: fn(&Path, u32) -> Outcome,
}

/// The file that a style writes, by the key that stands in it.
#[derive(Clone, Copy)]
enum Key {
    /// `live.toml`, which is the profile.
    Profile,
    /// The file that the profile extends, behind the link of a `ConfigMap`.
    Mapped,
    /// The file that this one extends, in a folder of its own.
    Inner,
    /// The last of the chain, which may be a mount.
    Bound,
}

impl Key {
    const fn path(self) -> &'static str {
        match self {
            Self::Profile => "server.list_ttl_ms",
            Self::Mapped => "session.replay_events_max",
            Self::Inner => "session.subscriptions_max",
            Self::Bound => "session.streams_max",
        }
    }

    /// The file's text with this number in it.
    fn text(self, number: u32) -> String {
        let (table, key) = self.path().split_once('.').unwrap_or_default();
        let base = match self {
            Self::Profile => "map/base.toml",
            Self::Mapped => "../inner/base.toml",
            Self::Inner => "../bound.toml",
            Self::Bound => {
                return text(&format!("[reload]\ninterval_ms = 0\n[{table}]\n{key} = {number}\n"));
            }
        };
        format!("format = 1\nextends = \"{base}\"\n[{table}]\n{key} = {number}\n")
    }
}

const STYLES_ALL: [Style; 12] = [
    Style { name: "in place", key: Key::Profile, write: in_place },
    Style { name: "truncated and written", key: Key::Profile, write: truncated },
    Style { name: "another renamed over it", key: Key::Profile, write: renamed_over },
    Style { name: "by an editor's copy", key: Key::Profile, write: by_copy },
    Style { name: "by vim, with a backup", key: Key::Profile, write: with_backup },
    Style { name: "sed -i", key: Key::Profile, write: by_sed },
    Style { name: "cp over it", key: Key::Profile, write: by_cp },
    Style { name: "mv over it", key: Key::Profile, write: by_mv },
    Style { name: "a link in its place", key: Key::Profile, write: by_link },
    Style { name: "the link of a ConfigMap", key: Key::Mapped, write: by_config_map },
    Style { name: "its folder made anew", key: Key::Inner, write: with_folder },
    Style { name: "behind a mount of one file", key: Key::Bound, write: elsewhere },
];

fn styles(stage: &mut Stage<'_>) -> Outcome {
    let times: u32 = stage.pick(1, 100);
    let folder = folder()?;
    for name in ["map", "elsewhere"] {
        fs::create_dir(folder.path().join(name)).map_err(|error| failed(folder.path(), &error))?;
    }
    by_config_map(folder.path(), 1)?;
    with_folder(folder.path(), 1)?;
    let bound = folder.path().join(BOUND);
    elsewhere(folder.path(), 1)?;
    write(&bound, "")?;
    let mount = Mount::over(folder.path());
    if mount.is_none() {
        stage.findings.note("no mount can be made here: a second name of the file stands for it");
        fs::remove_file(&bound)
            .and_then(|()| fs::hard_link(folder.path().join(SOURCE), &bound))
            .map_err(|error| failed(&bound, &error))?;
    }
    // The text that `play_in` begins with extends the usual profile: the first writing puts the chain in its place.
    play_in(stage, folder.path(), "", Rules::USUAL, |live, findings| {
        write(&live.path(), Key::Profile.text(1))?;
        live.reload()?;
        let (mut unseen, mut slowest) = (0, 0.0_f64);
        for (number, style) in (2..).zip((0..times).flat_map(|_| &STYLES_ALL)) {
            let begun = Instant::now();
            (style.write)(live.folder, number)?;
            if !live.comes_to_serve(style.key.path(), &number.to_string()) {
                unseen += 1;
                findings.note(format!("not seen: {}, writing {number}", style.name));
            }
            // What the system does not tell of is measured below.
            if !matches!(style.key, Key::Bound) {
                slowest = slowest.max(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        // After the first of them nothing is left that the system could tell.
        let mut by_looks = 0.0_f64;
        for number in 5_000..5_003 {
            let begun = Instant::now();
            elsewhere(live.folder, number)?;
            unseen += u64::from(!live.comes_to_serve(Key::Bound.path(), &number.to_string()));
            by_looks = by_looks.max(begun.elapsed().as_secs_f64() * 1e3);
        }
        findings.show("writings", f64::from(times) * STYLES_ALL.len() as f64, "");
        findings.exactly("writings that were not seen", unseen, 0);
        findings.time_ms("slowest to be seen", slowest, 2_000.0, 60_000.0);
        findings.time_ms("slowest to be seen by looks alone", by_looks, 6_000.0, 60_000.0);
        Ok(())
    })
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn profile(folder: &Path) -> PathBuf {
    folder.join("live.toml")
}

/// The next text in a file beside the profile.
fn beside(folder: &Path, name: &str, number: u32) -> Result<PathBuf, String> {
    let path = folder.join(name);
    write(&path, Key::Profile.text(number))?;
    Ok(path)
}

fn rename(from: &Path, to: &Path) -> Outcome {
    fs::rename(from, to).map_err(|error| failed(from, &error))
}

fn command(name: &str, arguments: &[&Path]) -> Outcome {
    let mut command = Command::new(name);
    crate::run::finish(
        {
            command.args(arguments);
            command
        },
        name,
    )
}

fn in_place(folder: &Path, number: u32) -> Outcome {
    let (path, text) = (profile(folder), Key::Profile.text(number));
    let mut file =
        OpenOptions::new().write(true).open(&path).map_err(|error| failed(&path, &error))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.set_len(text.len() as u64))
        .map_err(|error| failed(&path, &error))
}

fn truncated(folder: &Path, number: u32) -> Outcome {
    write(&profile(folder), Key::Profile.text(number))
}

fn renamed_over(folder: &Path, number: u32) -> Outcome {
    rename(&beside(folder, "next", number)?, &profile(folder))
}

fn by_copy(folder: &Path, number: u32) -> Outcome {
    let copy = beside(folder, ".live.toml.swp", number)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o640))
        .map_err(|error| failed(&copy, &error))?;
    rename(&copy, &profile(folder))
}

fn with_backup(folder: &Path, number: u32) -> Outcome {
    let backup = folder.join("live.toml~");
    rename(&profile(folder), &backup)?;
    write(&profile(folder), Key::Profile.text(number))?;
    fs::remove_file(&backup).map_err(|error| failed(&backup, &error))
}

fn by_sed(folder: &Path, number: u32) -> Outcome {
    let change = format!("s/list_ttl_ms = .*/list_ttl_ms = {number}/");
    command("sed", &[Path::new("-i"), Path::new(&change), &profile(folder)])
}

fn by_cp(folder: &Path, number: u32) -> Outcome {
    command("cp", &[&beside(folder, "next", number)?, &profile(folder)])
}

fn by_mv(folder: &Path, number: u32) -> Outcome {
    command("mv", &[Path::new("-f"), &beside(folder, "next", number)?, &profile(folder)])
}

fn by_link(folder: &Path, number: u32) -> Outcome {
    let target = beside(folder, &format!("target-{number}.toml"), number)?;
    let link = folder.join("link");
    symlink(&target, &link).map_err(|error| failed(&link, &error))?;
    rename(&link, &profile(folder))?;
    // Later writings go through the link until one takes its place.
    Ok(())
}

/// A new version beside the old one, the link to it swapped, the old one gone.
fn by_config_map(folder: &Path, number: u32) -> Outcome {
    let map = folder.join("map");
    let (version, data, next) =
        (map.join(format!("..{number}")), map.join("..data"), map.join("..next"));
    let before = fs::read_link(&data).ok();
    fs::create_dir(&version).map_err(|error| failed(&version, &error))?;
    write(&version.join("base.toml"), Key::Mapped.text(number))?;
    symlink(format!("..{number}"), &next).map_err(|error| failed(&next, &error))?;
    rename(&next, &data)?;
    match before {
        Some(before) => fs::remove_dir_all(map.join(before)).map_err(|error| failed(&map, &error)),
        None => {
            symlink("..data/base.toml", map.join("base.toml")).map_err(|error| failed(&map, &error))
        }
    }
}

fn with_folder(folder: &Path, number: u32) -> Outcome {
    let inner = folder.join("inner");
    if inner.exists() {
        fs::remove_dir_all(&inner).map_err(|error| failed(&inner, &error))?;
    }
    fs::create_dir(&inner).map_err(|error| failed(&inner, &error))?;
    write(&inner.join("base.toml"), Key::Inner.text(number))
}

/// Writes the file by its other name, in another folder: nothing happens in the one that is watched.
fn elsewhere(folder: &Path, number: u32) -> Outcome {
    write(&folder.join(SOURCE), Key::Bound.text(number))
}

/// A mount of one file over another, for as long as it is held.
struct Mount(PathBuf);

impl Mount {
    /// Mounts the source over its place; `None` where that is not allowed.
    fn over(folder: &Path) -> Option<Self> {
        let (source, place) = (folder.join(SOURCE), folder.join(BOUND));
        let mut mount = Command::new("mount");
        mount.arg("--bind").args([&source, &place]).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(place))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

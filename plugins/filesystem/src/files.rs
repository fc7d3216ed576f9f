//! The folder, and everything that is read from or written to it.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use plugin_sdk::prelude::*;
use plugin_sdk::{IntoOutput, Output};

/// Largest file that is read: a model cannot take in more.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// Largest file that is searched for text.
const SEARCH_BYTES_MAX: u64 = 1 << 20;
/// Most results of a search.
const FOUND_MAX: usize = 200;
/// Most entries that a search looks at.
const VISITED_MAX: usize = 50_000;
/// Most files that are listed as resources.
const RESOURCES_MAX: usize = 200;

/// One folder.
pub(crate) struct Files {
    root: PathBuf,
    dir: Dir,
}

/// An entry of a folder.
pub(crate) struct Entry {
    name: String,
    is_folder: bool,
    bytes: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_folder {
            write!(f, "{}/", self.name)
        } else {
            write!(f, "{} ({} bytes)", self.name, self.bytes)
        }
    }
}

/// The content of a file, as a resource.
pub(crate) enum Content {
    Text(String, &'static str),
    Bytes(Vec<u8>, &'static str),
}

impl IntoOutput for Content {
    fn write(self, output: &mut Output) -> Result<()> {
        match self {
            Self::Text(text, mime) => {
                output.set_mime(mime);
                text.write(output)
            }
            Self::Bytes(data, mime) => Blob { data, mime: mime.into() }.write(output),
        }
    }
}

/// What the caller hears of a failure; nothing of what lies outside.
fn failure(path: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::tool(format!("There is no `{path}`.")),
        ErrorKind::IsADirectory => Error::tool(format!("`{path}` is a folder.")),
        ErrorKind::NotADirectory => Error::tool(format!("`{path}` is not a folder.")),
        _ => Error::tool(format!("`{path}` is not accessible.")),
    }
}

/// A path as the folder wants it: relative, and `.` for the folder itself.
fn relative(path: &str) -> &str {
    match path.trim_matches('/') {
        "" => ".",
        path => path,
    }
}

/// The path that a `file:///` URI means.
pub(crate) fn path_of(uri: &str) -> Option<String> {
    uri.strip_prefix("file:///").map(str::to_owned)
}

impl Files {
    pub(crate) fn open(root: &str) -> Result<Self> {
        let wrong = |error: std::io::Error| {
            Error::invalid(format!(
                "config.root: `{root}`: {error}; name a folder that is there, without `~`"
            ))
        };
        let root = Path::new(root).canonicalize().map_err(wrong)?;
        let dir = Dir::open_ambient_dir(&root, ambient_authority()).map_err(wrong)?;
        Ok(Self { root, dir })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn bytes(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| failure(path, &error);
        let file = self.dir.open(relative(path)).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Error::tool(format!("`{path}` is a folder.")));
        }
        if metadata.len() > bytes_max {
            let bytes = metadata.len();
            return Err(Error::tool(format!(
                "`{path}` has {bytes} bytes; at most {bytes_max} are read."
            )));
        }
        let mut bytes = Vec::new();
        // Bounded again: the file may be growing.
        file.take(bytes_max).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    pub(crate) fn read_text(&self, path: &str) -> Result<String> {
        let bytes = self.bytes(path, FILE_BYTES_MAX)?;
        String::from_utf8(bytes).map_err(|_| Error::tool(format!("`{path}` is not a text file.")))
    }

    pub(crate) fn content(&self, path: &str) -> Result<Content> {
        let bytes = self.bytes(path, FILE_BYTES_MAX).map_err(|_| Error::NotFound)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text, mime(path, "text/plain")),
            Err(error) => {
                Content::Bytes(error.into_bytes(), mime(path, "application/octet-stream"))
            }
        })
    }

    pub(crate) fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let failed = |error: std::io::Error| failure(path, &error);
        let mut entries = Vec::new();
        for entry in self.dir.read_dir(relative(path)).map_err(failed)? {
            let Ok(entry) = entry else { continue };
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, is_folder: metadata.is_dir(), bytes: metadata.len() });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    pub(crate) fn search(&self, ctx: &Context, path: &str, text: &str) -> Result<Vec<String>> {
        if text.is_empty() {
            return Err(Error::invalid("The text to search for is empty."));
        }
        let mut found = Vec::new();
        let mut folders = vec![relative(path).to_owned()];
        let mut visited = 0usize;
        while let Some(folder) = folders.pop() {
            ctx.checkpoint()?;
            for entry in self.list(&folder)? {
                visited += 1;
                if visited > VISITED_MAX || found.len() >= FOUND_MAX {
                    found.push(
                        "More is left out; search for something longer or in a smaller folder."
                            .to_owned(),
                    );
                    return Ok(found);
                }
                let path = if folder == "." {
                    entry.name.clone()
                } else {
                    format!("{folder}/{}", entry.name)
                };
                if entry.name.contains(text) {
                    found.push(path.clone());
                }
                if entry.is_folder {
                    folders.push(path);
                } else {
                    self.search_file(&path, text, &mut found);
                }
            }
        }
        Ok(found)
    }

    /// Files that cannot be read or are no text have no lines.
    fn search_file(&self, path: &str, text: &str, found: &mut Vec<String>) {
        let Ok(bytes) = self.bytes(path, SEARCH_BYTES_MAX) else {
            return;
        };
        let Ok(content) = String::from_utf8(bytes) else {
            return;
        };
        let lines = content.lines().zip(1..).filter(|(line, _)| line.contains(text));
        let room = FOUND_MAX.saturating_sub(found.len());
        found.extend(lines.take(room).map(|(line, number)| {
            let line: String = line.trim().chars().take(200).collect();
            format!("{path}:{number}: {line}")
        }));
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let failed = |error: std::io::Error| failure(path, &error);
        let path = relative(path);
        if let Some(folder) =
            Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            self.dir.create_dir_all(folder).map_err(failed)?;
        }
        self.dir.write(path, text).map_err(failed)
    }

    pub(crate) fn resources(&self) -> Vec<ResourceEntry> {
        let entries = self.list("").unwrap_or_default();
        let files = entries.into_iter().filter(|entry| !entry.is_folder && is_plain(&entry.name));
        files
            .take(RESOURCES_MAX)
            .map(|entry| ResourceEntry {
                uri: format!("file:///{}", entry.name),
                mime_type: Some(mime(&entry.name, "application/octet-stream").into()),
                size: Some(entry.bytes),
                name: entry.name,
            })
            .collect()
    }
}

/// Whether a name can stand in a URI as it is; others are reached through the template, escaped.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn mime(path: &str, unknown: &'static str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("txt" | "log" | "toml" | "lock" | "rs" | "c" | "h" | "py" | "sh" | "ts") => {
            "text/plain"
        }
        Some("md") => "text/markdown",
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("yaml" | "yml") => "application/yaml",
        Some("js" | "mjs") => "text/javascript",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("svg") => "image/svg+xml",
        Some("webp") => "image/webp",
        _ => unknown,
    }
}

//! The files of one folder: read, list, search, and write only when the operator allows it.
//!
//! No path leads out of the folder, by `..`, by a symbolic link or otherwise: the kernel resolves every path beneath
//! it.

mod files;
mod watching;

use plugin_sdk::prelude::*;

use files::Files;
use watching::Watching;

/// The plugin.
pub struct Filesystem {
    files: Files,
    watching: Watching,
    is_writable: bool,
}

/// Settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder.
    root: String,
    /// Whether tools may change files in it. Default: false.
    #[serde(default)]
    writable: bool,
}

/// Which file, and which part of it.
#[derive(Deserialize, JsonSchema)]
pub struct ReadArgs {
    /// The path from the root, for example `docs/guide.md`.
    path: String,
    /// First line, from 1. Default: 1.
    #[serde(default)]
    first_line: Option<usize>,
    /// Most lines. Default: all.
    #[serde(default)]
    lines_max: Option<usize>,
}

/// Which folder.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// The path from the root; empty for the root itself.
    #[serde(default)]
    path: String,
}

/// What to look for.
#[derive(Deserialize, JsonSchema)]
pub struct SearchArgs {
    /// The text to find: in names, and in lines of text files.
    text: String,
    /// The folder to look in, with all folders below it; empty for the root.
    #[serde(default)]
    path: String,
}

/// What to write.
#[derive(Deserialize, JsonSchema)]
pub struct WriteArgs {
    /// The path from the root.
    path: String,
    /// The whole new content.
    text: String,
}

/// The variable of the template.
#[derive(Deserialize, JsonSchema)]
pub struct PathArgs {
    /// The path from the root.
    path: String,
}

#[plugin(id = "toolrack.filesystem", description = "The files of one folder.", config = Config)]
impl Filesystem {
    fn new(config: Config, host: &Host) -> Result<Self> {
        let files = Files::open(&config.root)?;
        let watching = Watching::new(*host, files.root().to_owned());
        Ok(Self { files, watching, is_writable: config.writable })
    }

    /// Reads a text file, or some lines of it.
    #[tool(title = "Read a file", read_only, open_world = false)]
    fn read_file(&self, args: ReadArgs) -> Result<String> {
        let text = self.files.read_text(&args.path)?;
        if args.first_line.is_none() && args.lines_max.is_none() {
            return Ok(text);
        }
        let first = args.first_line.unwrap_or(1).max(1) - 1;
        let lines = text.lines().skip(first).take(args.lines_max.unwrap_or(usize::MAX));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Lists a folder: one entry a line, folders with a slash, files with their size.
    #[tool(title = "List a folder", read_only, open_world = false)]
    fn list_folder(&self, args: ListArgs) -> Result<String> {
        let entries = self.files.list(&args.path)?;
        if entries.is_empty() {
            return Ok("This folder is empty.".to_owned());
        }
        Ok(entries.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    /// Finds files by a part of their name, and lines of text files by a part of the line.
    #[tool(title = "Search", read_only, open_world = false)]
    fn search(&self, ctx: &Context, args: SearchArgs) -> Result<String> {
        let found = self.files.search(ctx, &args.path, &args.text)?;
        if found.is_empty() {
            return Ok(format!("Nothing has `{}` in it.", args.text));
        }
        Ok(found.join("\n"))
    }

    /// Writes a file: a new one, or over an old one. Folders on the way are made.
    #[tool(title = "Write a file", destructive, idempotent, open_world = false)]
    fn write_file(&self, args: WriteArgs) -> Result<String> {
        if !self.is_writable {
            return Err(Error::tool("This server does not allow writing."));
        }
        self.files.write(&args.path, &args.text)?;
        Ok(format!("Wrote {} bytes to {}.", args.text.len(), args.path))
    }

    /// A file beneath the root.
    #[resource_template("file:///{+path}", name = "File")]
    fn file(&self, args: PathArgs) -> Result<files::Content> {
        self.files.content(&args.path)
    }

    /// The files of the root folder itself; the template reaches all others.
    #[resources]
    fn resources(&self) -> Vec<ResourceEntry> {
        self.files.resources()
    }

    #[read]
    fn read(&self, _: &Context, uri: &str) -> Result<files::Content> {
        self.files.content(&files::path_of(uri).ok_or(Error::NotFound)?)
    }

    #[watch]
    fn watch(&self, uri: &str, on: bool) {
        if let Some(path) = files::path_of(uri) {
            self.watching.watch(uri, &path, on);
        }
    }
}

#[cfg(test)]
mod tests;

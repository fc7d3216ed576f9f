//! What prose points at must be there.

use std::fs;
use std::path::{Path, PathBuf};

/// Links of a page that lead to no file, or to no heading of one.
pub(super) fn broken(root: &Path, page: &Path, text: &str) -> Vec<String> {
    let folder = page.parent().unwrap_or(Path::new(""));
    let is_here = |target: &&str| !target.contains("://") && !target.contains(char::is_whitespace);
    let leads_nowhere = |target: &&str| {
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let file = root.join(folder).join(path);
        match (path, heading) {
            ("", heading) => !has_heading(text, heading),
            (_, "") => !file.exists(),
            _ => fs::read_to_string(file).map_or(true, |text| !has_heading(&text, heading)),
        }
    };
    let complain = |target: &str| format!("{}: the link `{target}` leads nowhere", page.display());
    targets(text).filter(is_here).filter(leads_nowhere).map(complain).collect()
}

/// Paths between backticks that are the end of no tracked file's: a page may leave out how they begin.
pub(super) fn unknown_paths(page: &str, text: &str, tracked: &[PathBuf]) -> Vec<String> {
    let is_path = |word: &&str| {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
        let ends = [".rs", ".toml", ".md", ".h", "/"].iter().any(|end| word.ends_with(end));
        ends && word.contains('/') && word.chars().all(is_plain)
    };
    let is_known = |word: &str| {
        tracked.iter().any(|file| {
            let file = format!("/{}", file.display());
            file.ends_with(&format!("/{word}"))
                || file.contains(&format!("/{}/", word.trim_end_matches('/')))
        })
    };
    let words = text.split('`').skip(1).step_by(2).filter(is_path);
    let unknown = words.filter(|word| !is_known(word));
    unknown.map(|word| format!("{page}: there is no `{word}`")).collect()
}

fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// Whether a heading has this name in links: its words in lower case with hyphens between them.
fn has_heading(text: &str, name: &str) -> bool {
    let named = |heading: &str| -> String {
        let letters = heading.trim_start_matches('#').trim().chars();
        let kept = letters.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.flat_map(char::to_lowercase).collect::<String>().replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).any(|line| named(line) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_or_to_a_heading_of_one() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("other.md"), "# Go back, and `start`\n").expect("writes");
        let page = Path::new("page.md");
        let text =
            "# Here\n[a](other.md) [b](other.md#go-back-and-start) [c](#here) [d](https://x.org/y)";
        assert!(broken(folder.path(), page, text).is_empty());
        let text = "[a](missing.md) [b](other.md#elsewhere) [c](#nowhere)";
        assert_eq!(broken(folder.path(), page, text).len(), 3);
    }

    #[test]
    fn a_path_may_leave_out_how_it_begins_and_nothing_else() {
        let tracked = [PathBuf::from("appliance/crates/stack/src/build.rs")];
        let known = "`stack/src/build.rs`, `appliance/crates/stack/`, `a.rs`, `<layer>/x.rs`";
        assert!(unknown_paths("page", known, &tracked).is_empty());
        let unknown = "`stack/src/bild.rs`, `tack/src/build.rs`, `stack/source/`";
        assert_eq!(unknown_paths("page", unknown, &tracked).len(), 3);
    }
}

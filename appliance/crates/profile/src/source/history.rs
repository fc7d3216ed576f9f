//! Where generations are kept, also for a profile that is wrong otherwise.

use std::path::PathBuf;

use figment::value::{Dict, Value};

use super::{environment, leniently, set};
use crate::load::Sources;

/// The folder `history.folder` as far as that key itself can be read, whatever else is wrong; `None` when nobody names
/// one. A later source wins as in a profile that is good.
#[must_use]
pub fn history_folder(sources: &Sources) -> Option<PathBuf> {
    let (folder, files) = leniently(&sources.profile);
    let set = set(&sources.set).ok().map(|source| source.values);
    let environment = environment(&sources.environment).ok().map(|source| source.values);
    let all = set.into_iter().chain(environment).chain(files);
    let named = all.filter_map(|values| named(&values)).next()?;
    Some(folder.unwrap_or_default().join(named))
}

fn named(values: &Dict) -> Option<String> {
    let history = values.get("history").and_then(Value::as_dict)?;
    let folder = history.get("folder").and_then(Value::as_str)?;
    (!folder.is_empty()).then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The folder that is found with a profile of this text.
    fn found(text: &str, variable: Option<&str>, set: &[&str]) -> Option<PathBuf> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("live.toml");
        fs::write(&path, text).expect("written");
        fs::write(folder.path().join("base.toml"), "[history]\nfolder = \"of-base\"\n[wrong\n")
            .expect("written");
        let variable =
            variable.map(|value| ("TOOLRACK_HISTORY__FOLDER".to_owned(), value.to_owned()));
        let sources = Sources {
            profile: path.to_str().expect("UTF-8").to_owned(),
            posted: None,
            environment: variable.into_iter().collect(),
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            library_search: Vec::new(),
        };
        let found = history_folder(&sources)?;
        Some(found.strip_prefix(folder.path()).map_or_else(|_| found.clone(), PathBuf::from))
    }

    #[test]
    fn the_folder_is_found_in_a_profile_that_is_wrong_otherwise() {
        let history = "[history]\nfolder = \"kept\"\n";
        let expected = Some(PathBuf::from("kept"));
        for wrong in
            ["", "[layer.nothing]\nx = 1\n", "format = \"x\"\n", "[layer.timeout\n", "a = = 1\n"]
        {
            assert_eq!(found(&format!("{history}{wrong}"), None, &[]), expected, "{wrong}");
        }
        assert_eq!(found(&format!("extends = \"base.toml\"\n{history}"), None, &[]), expected);
        assert_eq!(found("extends = \"base.toml\"\n", None, &[]), Some("of-base".into()));
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
        let text = "[history]\nfolder = \"kept\"\n";
        assert_eq!(found(text, Some("/variable"), &[]), Some("/variable".into()));
        let set = ["history.folder=/set"];
        assert_eq!(found(text, Some("/variable"), &set), Some("/set".into()));
        assert_eq!(found("not TOML", None, &set), Some("/set".into()));
    }

    #[test]
    fn what_is_no_folder_is_none() {
        assert_eq!(found("", None, &[]), None);
        for wrong in ["folder = 1", "folder = \"\"", "folder = [\"a\"]", "generations_max = 3"] {
            assert_eq!(found(&format!("[history]\n{wrong}\n"), None, &[]), None, "{wrong}");
        }
        assert_eq!(found("history = 1\n", None, &[]), None);
    }
}

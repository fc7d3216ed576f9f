//! A profile as it was kept: its effective values as one document, and the way back from it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::Value as Tree;

use crate::identity::SPELLING;
use crate::load::{Found, Loaded, assemble};
use crate::origin::Origin;
use crate::problem::{Place, Problem, Problems};
use crate::source::Source;
use crate::text::toml_of;

/// Effective values that were kept, and what else a plan depends on.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// The generation that they were of.
    pub generation: u64,
    /// The profile's name then.
    pub name: &'a str,
    /// Where relative paths of the profile begin.
    pub folder: Option<PathBuf>,
    /// Where bare library names are looked for, after that folder.
    pub library_search: Vec<PathBuf>,
    /// The values.
    pub values: &'a toml::Table,
}

impl Loaded {
    /// The effective values, without what nobody set. Secrets are references; settings of plugins are as they were written,
    /// so this is for whoever may read the profile.
    #[must_use]
    pub fn to_table(&self) -> toml::Table {
        let Some(toml::Value::Table(mut table)) = toml_of(&self.values) else {
            return toml::Table::new();
        };
        table.retain(|name, _| !SPELLING.contains(&name));
        table
    }
}

/// Loads values that were kept. They are taken as they are: the environment and `--set` were merged into them then.
///
/// # Errors
/// Everything that is wrong with them for this version of the program.
pub fn load_kept(kept: Kept<'_>) -> Result<Loaded, Problems> {
    let origin = Origin::Generation { number: kept.generation };
    let tree = Tree::serialize(kept.values).ok().and_then(Tree::into_dict);
    let values = tree.ok_or_else(|| {
        let message = "what was kept is no table".to_owned();
        let place = Place::Source(origin.to_string());
        Problems(vec![Problem { place, key: String::new(), message }])
    })?;
    let mut origins = BTreeMap::new();
    note_origins(kept.values, "", &origin, &mut origins);
    let source = Source { name: origin.to_string(), values, origins };
    assemble(
        &[source],
        Found { label: origin.to_string(), name: kept.name.to_owned(), folder: kept.folder },
        kept.library_search,
    )
}

fn note_origins(
    table: &toml::Table,
    path: &str,
    origin: &Origin,
    origins: &mut BTreeMap<String, Origin>,
) {
    for (name, value) in table {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let toml::Value::Table(table) = value {
            note_origins(table, &path, origin, origins);
        }
        origins.insert(path, origin.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sources, built_ins, load};

    fn again(loaded: &Loaded, folder: Option<PathBuf>) -> Result<Loaded, Problems> {
        let text = toml::to_string(&loaded.to_table()).expect("text");
        let values = text.parse().expect("TOML");
        let name = &loaded.plan.name;
        load_kept(Kept { generation: 7, name, folder, library_search: Vec::new(), values: &values })
    }

    #[test]
    fn what_was_kept_leads_to_the_same_plan() {
        for built_in in built_ins() {
            let sources = Sources { profile: built_in.name.to_owned(), ..Sources::default() };
            let loaded = load(&sources).expect("good");
            let kept = again(&loaded, None).expect("good");
            assert_eq!(kept.plan, loaded.plan, "{}", built_in.name);
            assert!(loaded.changes(&kept).is_empty(), "{}", built_in.name);
        }
    }

    #[test]
    fn settings_of_plugins_secrets_and_paths_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("live.toml");
        let text = "format = 1\nextends = \"dev\"\n[request_state]\nkey = { file = \"seal.key\" }\n\
            [plugin.files]\nlibrary = \"./libfiles.so\"\n\
            config = { root = \"/srv\", list = [1, 2.5, \"three\", { deep = true }], inner = { a = -1 } }\n";
        std::fs::write(&path, text).expect("written");
        let profile = path.to_str().expect("UTF-8").to_owned();
        let loaded = load(&Sources { profile, ..Sources::default() }).expect("good");
        let kept = again(&loaded, Some(folder.path().to_owned())).expect("good");
        assert_eq!(kept.plan, loaded.plan);
        let origin = &kept.rows(Some("plugin.files.library"))[0].origin;
        assert_eq!(origin.to_string(), "generation 7");
    }

    #[test]
    fn what_this_version_does_not_take_is_told_with_the_generation() {
        let values = "format = 1\n[layer.timeout]\ndeadline_ms = 0\n".parse().expect("TOML");
        let kept = Kept {
            generation: 7,
            name: "live",
            folder: None,
            library_search: Vec::new(),
            values: &values,
        };
        let problems = load_kept(kept).expect_err("wrong").to_string();
        assert!(problems.contains("generation 7: layer.timeout.deadline_ms"), "{problems}");
    }
}

//! The official schema of one revision.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

/// Its definitions; each becomes a validator when it is first needed.
pub(super) struct Schemas {
    revision: String,
    whole: Value,
    /// Where the definitions are: it changed with the dialect.
    place: &'static str,
    validators: BTreeMap<&'static str, Validator>,
}

impl Schemas {
    /// Reads the file of a revision.
    pub(super) fn read(folder: &Path, revision: &str) -> Result<Self, String> {
        let file = folder.join(format!("{revision}.schema.json"));
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = fs::read(&file).map_err(|error| failed(&error))?;
        let whole: Value = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        let place = if whole["$defs"].is_object() { "$defs" } else { "definitions" };
        let revision = revision.to_owned();
        Ok(Self { revision, whole, place, validators: BTreeMap::new() })
    }

    /// How a value breaks a definition.
    pub(super) fn errors(
        &mut self,
        definition: &'static str,
        value: &Value,
    ) -> Result<Vec<String>, String> {
        if !self.validators.contains_key(definition) {
            let validator = self.build(definition)?;
            self.validators.insert(definition, validator);
        }
        let errors = self.validators[definition].iter_errors(value);
        Ok(errors.map(|error| format!("at `{}`: {error}", error.instance_path())).collect())
    }

    fn build(&self, definition: &str) -> Result<Validator, String> {
        if self.whole[self.place].get(definition).is_none() {
            return Err(format!("the schema of {} does not define {definition}", self.revision));
        }
        let schema = json!({
            "$schema": self.whole["$schema"],
            "$ref": format!("#/{}/{definition}", self.place),
            self.place: self.whole[self.place],
        });
        let options = jsonschema::options().should_validate_formats(true);
        options.build(&schema).map_err(|error| format!("{} {definition}: {error}", self.revision))
    }
}

//! JSON Schemas (2020-12), compiled in one place: the validator is generic and by far the largest library here, so
//! every crate that named it would carry megabytes of its own copy.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema(Validator);

/// One way in which a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// JSON pointer to the part that does not fit; empty for the whole (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub what: What,
    /// A sentence that names the part and the rule.
    pub message: String,
}

/// What is wrong with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Members that the schema does not know.
    Unknown,
    /// A member that must be there.
    Missing(String),
    /// None of several shapes, or more than one.
    Shape,
    /// Another rule.
    Other,
}

impl Schema {
    /// Compiles `schema`: 2020-12 unless `$schema` says otherwise. Formats are remarks, as that draft has it.
    ///
    /// # Errors
    /// Why it is no schema. A `$ref` that leaves it is one reason: nothing is ever fetched.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(false)
            .build(schema)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// The first `max` misfits of `value`, in the order of the schema.
    #[must_use]
    pub fn misfits(&self, value: &Value, max: usize) -> Vec<Misfit> {
        self.0.iter_errors(value).take(max).map(|error| misfit(&error)).collect()
    }
}

fn misfit(error: &ValidationError<'_>) -> Misfit {
    let what = match error.kind() {
        ValidationErrorKind::AdditionalProperties { .. } => What::Unknown,
        ValidationErrorKind::Required { property } => {
            What::Missing(property.as_str().unwrap_or_default().to_owned())
        }
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            What::Shape
        }
        _ => What::Other,
    };
    Misfit { pointer: error.instance_path().as_str().to_owned(), what, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Schema, What};

    #[test]
    fn names_the_place_and_the_kind_of_each_misfit() {
        let schema = Schema::compile(&json!({
            "type": "object",
            "properties": { "m": {}, "n": { "type": "integer" }, "u": { "anyOf": [{ "type": "null" }] } },
            "required": ["m"],
            "additionalProperties": false,
        }))
        .expect("a schema");
        let misfits = schema.misfits(&json!({ "n": "x", "u": 1, "more": 1 }), 9);
        let mut found: Vec<_> =
            misfits.iter().map(|misfit| (misfit.pointer.as_str(), &misfit.what)).collect();
        found.sort_by_key(|(pointer, what)| (*pointer, format!("{what:?}")));
        let missing = What::Missing("m".to_owned());
        assert_eq!(
            found,
            [("", &missing), ("", &What::Unknown), ("/n", &What::Other), ("/u", &What::Shape)]
        );
        assert_eq!(schema.misfits(&json!({ "n": "x", "u": 1 }), 1).len(), 1);
        assert_eq!(schema.misfits(&json!({ "m": 1, "n": 1 }), 9), []);
    }

    #[test]
    fn refuses_schemas_that_point_elsewhere() {
        let elsewhere = json!({ "$ref": "https://example.com/n.json" });
        assert!(Schema::compile(&elsewhere).is_err());
    }
}

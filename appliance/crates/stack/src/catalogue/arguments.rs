//! Checks a call's arguments against its tool's input schema, for tools that do not check their own.

use json_schema::Schema;
use serde_json::Value;

/// A compiled input schema.
pub(crate) struct Arguments(Schema);

/// How many faults one answer names: enough to mend a call in one go.
const FAULTS_MAX: usize = 5;

impl Arguments {
    /// Compiles the `inputSchema` of a tool.
    pub(crate) fn new(tool_json: &str) -> Result<Self, String> {
        let tool: Value = serde_json::from_str(tool_json).map_err(|error| error.to_string())?;
        Schema::compile(&tool["inputSchema"])
            .map(Self)
            .map_err(|error| format!("its inputSchema cannot be used: {error}"))
    }

    /// What is wrong with `arguments`, for the model to mend.
    pub(crate) fn check(&self, arguments: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
        let misfits = self.0.misfits(&value, FAULTS_MAX);
        let faults: Vec<_> = misfits
            .iter()
            .map(|misfit| format!("arguments{}: {}", misfit.pointer, misfit.message))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL: &str = r#"{"name":"t","inputSchema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}"#;

    #[test]
    fn names_the_place_of_each_fault() {
        let arguments = Arguments::new(TOOL).expect("valid schema");
        assert_eq!(arguments.check(r#"{"n":1}"#), Ok(()));
        let fault = arguments.check(r#"{"n":"x"}"#).expect_err("not an integer");
        assert!(fault.starts_with("arguments/n: "), "{fault}");
        assert!(arguments.check("{}").expect_err("missing").contains("\"n\""));
    }

    #[test]
    fn refuses_schemas_that_point_elsewhere() {
        let tool = r#"{"inputSchema":{"type":"object","properties":{"n":{"$ref":"https://example.com/n.json"}}}}"#;
        assert!(Arguments::new(tool).is_err());
    }
}

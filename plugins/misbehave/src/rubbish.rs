//! Results that a plugin in Rust can give although no client may see them.

use std::io::Write;

use plugin_sdk::prelude::*;
use plugin_sdk::{IntoOutput, Output};
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

/// One wrong result.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rubbish {
    /// Text that is not UTF-8.
    Utf8,
    /// An object with one key twice.
    DuplicateKeys,
    /// More arrays in one another than anybody reads.
    TooDeep,
    /// Bytes without their MIME type.
    NoMime,
    /// `_meta` with the member that the host alone writes.
    ReservedMeta,
}

struct Twice;

impl Serialize for Twice {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", &1)?;
        map.serialize_entry("key", &2)?;
        map.end()
    }
}

impl IntoOutput for Rubbish {
    fn write(self, output: &mut Output) -> Result<()> {
        match self {
            Self::Utf8 => Ok(output.write_all(b"ab\xff\xfe")?),
            Self::DuplicateKeys => Json(Twice).write(output),
            Self::TooDeep => {
                let text = format!("{}{}", "[".repeat(100), "]".repeat(100));
                Json(RawValue::from_string(text)?).write(output)
            }
            Self::NoMime => Blob { data: b"bytes".to_vec(), mime: "".into() }.write(output),
            Self::ReservedMeta => {
                let name = serde_json::json!({ "name": "somebody else", "version": "1" });
                let result = ToolResult::new().text("x");
                result.meta("io.modelcontextprotocol/serverInfo", name).write(output)
            }
        }
    }
}

//! What a plugin offers: its description, checked, and cut into items.

use std::collections::HashSet;

use protocol::json::{Kind, Limits, Raw, check, write_string};

use crate::error::LoadError;
use crate::line::one_line;

/// Largest description.
const DESCRIPTION_BYTES_MAX: usize = 1 << 20;
/// Most items of one kind.
const ITEMS_MAX: usize = 4_096;
/// Longest name of a tool or prompt (2025-11-25, tool names).
const NAME_BYTES_MAX: usize = 128;
/// Longest URI of a resource or template.
const URI_BYTES_MAX: usize = 2_048;

/// Where the calls of an item run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecMode {
    /// On a pool thread of the plugin.
    Blocking,
    /// Begun on the plugin's control thread, ended from any thread.
    Async,
    /// On the thread that makes the call: it returns at once.
    Nonblocking,
}

/// Whether the calls of a tool may run as tasks (2026-07-28, extension `io.modelcontextprotocol/tasks`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskSupport {
    /// Never.
    #[default]
    Forbidden,
    /// For every client that knows tasks; for the others its calls run as ever.
    Optional,
    /// Always: a client that does not know tasks cannot call it.
    Required,
}

/// How the calls of an item run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Where.
    pub mode: ExecMode,
    /// Whether the plugin checks arguments against the input schema by itself.
    pub checked: bool,
    /// Whether they may run as tasks; tools only.
    pub task: TaskSupport,
    /// Whether the first questions are asked before there is a task: it begins with their answers.
    pub questions_first: bool,
}

/// The kind of argument that a header may mirror (2026-07-28, `x-mcp-header`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    /// A string.
    String,
    /// An integer.
    Integer,
    /// A boolean.
    Boolean,
}

/// A header that mirrors an argument of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderParam {
    /// The `X` of `Mcp-Param-X`.
    pub header: String,
    /// Where the argument is: property names from the root.
    pub path: Vec<String>,
    /// Its kind.
    pub kind: HeaderKind,
}

/// One tool, resource, template or prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemDescription {
    /// Name, URI or URI template.
    pub name: String,
    /// The MCP object as clients see it.
    pub json: Box<str>,
    /// How its calls run.
    pub exec: Exec,
    /// Headers that mirror its arguments; tools only.
    pub headers: Vec<HeaderParam>,
}

/// Everything that a plugin offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Tools, in the plugin's order.
    pub tools: Vec<ItemDescription>,
    /// Resources, in the plugin's order.
    pub resources: Vec<ItemDescription>,
    /// Resource templates, in the plugin's order.
    pub templates: Vec<ItemDescription>,
    /// Prompts, in the plugin's order.
    pub prompts: Vec<ItemDescription>,
    /// Whether it completes arguments.
    pub completions: bool,
    /// What it wants every client to know.
    pub instructions: Option<String>,
}

/// Reads a description.
pub(crate) fn read(json: &[u8]) -> Result<Described, LoadError> {
    let wrong = |what: String| LoadError::Describe { what };
    if json.len() > DESCRIPTION_BYTES_MAX {
        return Err(wrong(format!("more than {DESCRIPTION_BYTES_MAX} bytes")));
    }
    let root = check(json, &Limits::DEFAULT).map_err(|error| wrong(error.to_string()))?;
    if root.kind() != Kind::Object {
        return Err(wrong("it is not an object".to_owned()));
    }
    let list =
        |member: &str, key: &str, is_tool: bool| -> Result<Vec<ItemDescription>, LoadError> {
            let Some(items) = root.get(member) else {
                return Ok(Vec::new());
            };
            if items.kind() != Kind::Array {
                return Err(wrong(format!("{member}: not an array")));
            }
            let mut names = HashSet::new();
            let mut read = Vec::new();
            for raw in items.items() {
                let item =
                    item(raw, key, is_tool).map_err(|what| wrong(format!("{member}: {what}")))?;
                if !names.insert(item.name.clone()) {
                    return Err(wrong(format!("{member}: `{}` is there twice", item.name)));
                }
                read.push(item);
            }
            if read.len() > ITEMS_MAX {
                return Err(wrong(format!("{member}: more than {ITEMS_MAX}")));
            }
            Ok(read)
        };
    Ok(Described {
        tools: list("tools", "name", true)?,
        resources: list("resources", "uri", false)?,
        templates: list("resourceTemplates", "uriTemplate", false)?,
        prompts: list("prompts", "name", false)?,
        completions: root.get("completions").and_then(Raw::as_bool) == Some(true),
        instructions: root.get("instructions").and_then(Raw::as_str).map(String::from),
    })
}

fn item(raw: Raw<'_>, key: &str, is_tool: bool) -> Result<ItemDescription, String> {
    let name =
        raw.get(key).and_then(Raw::as_str).ok_or_else(|| format!("an item has no `{key}`"))?;
    let is_name = match key {
        "name" => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
        }
        _ => {
            let fits = |byte: u8| byte > b' ' && byte != 0x7f;
            (1..=URI_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
        }
    };
    if !is_name {
        return Err(format!("`{name}` is not a valid `{key}`"));
    }
    let mut headers = Vec::new();
    if is_tool {
        let schema = raw.get("inputSchema").filter(|schema| schema.kind() == Kind::Object);
        let kind = schema.and_then(|schema| schema.get("type")).and_then(Raw::as_str);
        if kind.as_deref() != Some("object") {
            return Err(format!("tool `{name}` needs an inputSchema of type object"));
        }
        if let Some(schema) = schema {
            collect_headers(schema, &mut Vec::new(), &mut headers)
                .map_err(|what| format!("tool `{name}`: {what}"))?;
            refuse_stray_headers(schema, headers.len())
                .map_err(|what| format!("tool `{name}`: {what}"))?;
        }
    } else if raw.get("name").and_then(Raw::as_str).is_none() {
        return Err(format!("`{name}` has no `name`"));
    }
    Ok(ItemDescription {
        exec: exec(raw).map_err(|what| format!("`{name}`: {what}"))?,
        json: without_exec(raw).into(),
        headers,
        name: name.into_owned(),
    })
}

fn exec(raw: Raw<'_>) -> Result<Exec, String> {
    let Some(exec) = raw.get("_exec") else {
        return Ok(Exec {
            mode: ExecMode::Blocking,
            checked: false,
            task: TaskSupport::Forbidden,
            questions_first: false,
        });
    };
    let mode = exec.get("mode").and_then(Raw::as_str);
    let mode = match mode.as_deref() {
        None | Some("blocking") => ExecMode::Blocking,
        Some("async") => ExecMode::Async,
        Some("nonblocking") => ExecMode::Nonblocking,
        Some(other) => return Err(format!("unknown _exec mode `{other}`")),
    };
    let is_set = |key| exec.get(key).and_then(Raw::as_bool) == Some(true);
    let task = task_support(exec, mode)?;
    Ok(Exec { mode, checked: is_set("checked"), task, questions_first: is_set("questions_first") })
}

fn task_support(exec: Raw<'_>, mode: ExecMode) -> Result<TaskSupport, String> {
    let task = exec.get("task").and_then(Raw::as_str);
    let support = match task.as_deref() {
        None | Some("forbidden") => return Ok(TaskSupport::Forbidden),
        Some("optional") => TaskSupport::Optional,
        Some("required") => TaskSupport::Required,
        Some(other) => return Err(format!("unknown _exec task `{other}`")),
    };
    if mode == ExecMode::Nonblocking {
        return Err("what is answered at once (nonblocking) cannot be a task".to_owned());
    }
    Ok(support)
}

/// The object as the plugin wrote it, member by member, without `_exec`, on one line.
fn without_exec(raw: Raw<'_>) -> String {
    if raw.get("_exec").is_none() {
        return one_line(raw.text().to_owned());
    }
    let mut out = String::with_capacity(raw.text().len());
    out.push('{');
    for (key, value) in raw.members().filter(|(key, _)| key != "_exec") {
        if out.len() > 1 {
            out.push(',');
        }
        write_string(&mut out, &key);
        out.push(':');
        out.push_str(value.text());
    }
    out.push('}');
    one_line(out)
}

const HEADER_KEY: &str = "x-mcp-header";

/// Collects the headers of every property that is reached from the root through `properties` only.
fn collect_headers(
    schema: Raw<'_>,
    path: &mut Vec<String>,
    headers: &mut Vec<HeaderParam>,
) -> Result<(), String> {
    let Some(properties) = schema.get("properties") else {
        return Ok(());
    };
    for (name, property) in properties.members() {
        path.push(name.into_owned());
        if let Some(header) = property.get(HEADER_KEY) {
            headers.push(header_param(header, property, path, headers)?);
        }
        collect_headers(property, path, headers)?;
        path.pop();
    }
    Ok(())
}

fn header_param(
    header: Raw<'_>,
    property: Raw<'_>,
    path: &[String],
    known: &[HeaderParam],
) -> Result<HeaderParam, String> {
    // RFC 9110, 5.6.2: token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let header = header.as_str().filter(|name| !name.is_empty() && name.bytes().all(is_token));
    let header = header
        .ok_or_else(|| format!("{HEADER_KEY} of `{}` is not a header name", path.join(".")))?;
    if known.iter().any(|other| other.header.eq_ignore_ascii_case(&header)) {
        return Err(format!("{HEADER_KEY} `{header}` is there twice"));
    }
    let kind = match property.get("type").and_then(Raw::as_str).as_deref() {
        Some("string") => HeaderKind::String,
        Some("integer") => HeaderKind::Integer,
        Some("boolean") => HeaderKind::Boolean,
        _ => {
            return Err(format!(
                "{HEADER_KEY} `{header}` is on a property that is no string, integer or boolean"
            ));
        }
    };
    Ok(HeaderParam { header: header.into_owned(), path: path.to_vec(), kind })
}

/// A header anywhere else in the schema would make clients drop the tool silently.
fn refuse_stray_headers(schema: Raw<'_>, expected: usize) -> Result<(), String> {
    fn count(value: Raw<'_>) -> usize {
        match value.kind() {
            Kind::Object => value
                .members()
                .map(|(key, value)| usize::from(key == HEADER_KEY) + count(value))
                .sum(),
            Kind::Array => value.items().map(count).sum(),
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => 0,
        }
    }
    if count(schema) == expected {
        return Ok(());
    }
    Err(format!("{HEADER_KEY} is only allowed on properties that are reached through `properties`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        read(json.as_bytes()).expect_err(json).to_string()
    }

    #[test]
    fn reads_items_and_hides_how_they_run() {
        let json = r#"{"tools":[{"name":"a","_exec":{"mode":"async","checked":true,"task":"optional"},"inputSchema":{"type":"object",
"x":1}}],
            "resources":[{"uri":"x://y","name":"y"}],"completions":true,"instructions":"hi"}"#;
        let described = read(json.as_bytes()).expect("valid");
        assert_eq!(
            &*described.tools[0].json,
            r#"{"name":"a","inputSchema":{"type":"object", "x":1}}"#
        );
        let exec = Exec {
            mode: ExecMode::Async,
            checked: true,
            task: TaskSupport::Optional,
            questions_first: false,
        };
        assert_eq!(described.tools[0].exec, exec);
        assert_eq!(described.resources[0].exec.mode, ExecMode::Blocking);
        assert_eq!((described.completions, described.instructions.as_deref()), (true, Some("hi")));
    }

    #[test]
    fn refuses_items_that_clients_could_not_use() {
        for json in [
            "[",
            "[]",
            "null",
            "{\"tools\":{}}",
            "{\"tools\":[{}]}",
            "{\"tools\":[{\"name\":\"a\"}]}",
            "{\"tools\":[{\"name\":\"a b\",\"inputSchema\":{\"type\":\"object\"}}]}",
            "{\"tools\":[{\"name\":\"\",\"inputSchema\":{\"type\":\"object\"}}]}",
            "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"array\"}}]}",
            "{\"tools\":[{\"name\":\"a\",\"inputSchema\":null}]}",
            "{\"resources\":[{\"uri\":\"x://y\"}]}",
            "{\"prompts\":[{\"name\":\"a\",\"_exec\":{\"mode\":\"later\"}}]}",
            "{\"prompts\":[{\"name\":\"a\",\"_exec\":{\"task\":\"later\"}}]}",
            "{\"prompts\":[{\"name\":\"a\",\"_exec\":{\"mode\":\"nonblocking\",\"task\":\"optional\"}}]}",
        ] {
            refused(json);
        }
        let twice = "{\"prompts\":[{\"name\":\"a\"},{\"name\":\"a\"}]}";
        assert!(refused(twice).contains("`a` is there twice"));
    }

    #[test]
    fn finds_mirrored_headers_and_refuses_stray_ones() {
        let tool =
            |schema: &str| format!("{{\"tools\":[{{\"name\":\"t\",\"inputSchema\":{schema}}}]}}");
        let nested = tool(
            r#"{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"integer","x-mcp-header":"B"}}}}}"#,
        );
        let headers = &read(nested.as_bytes()).expect("valid").tools[0].headers;
        assert_eq!(headers[0].path, ["a", "b"]);
        for schema in [
            r#"{"type":"object","properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"X"},"b":{"type":"string","x-mcp-header":"x"}}}"#,
            r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"X"}}}}"#,
            r#"{"type":"object","anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"X"}}}]}"#,
        ] {
            refused(&tool(schema));
        }
    }
}

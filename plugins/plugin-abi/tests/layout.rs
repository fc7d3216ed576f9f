//! The header and its Rust mirror say the same: sizes, places of fields, constants, as the C compiler sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use plugin_abi::*;

/// A field: name, offset, size.
type Field = (&'static str, usize, usize);

/// A struct: its name in C, size, fields in order.
struct Layout {
    name: &'static str,
    size: usize,
    fields: Vec<Field>,
}

/// Writes down the layout of a Rust struct. Does not compile when a field is missing in the list.
macro_rules! layout {
    ($c:literal, $rust:ident { $($field:ident),* $(,)? }) => {{
        fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
            size_of::<F>()
        }
        let _has_no_other_field = |value: &$rust| { let $rust { $($field: _),* } = value; };
        Layout {
            name: $c,
            size: size_of::<$rust>(),
            fields: vec![$((
                stringify!($field),
                std::mem::offset_of!($rust, $field),
                size_of_field(|value: &$rust| &value.$field),
            )),*],
        }
    }};
}

fn layouts() -> Vec<Layout> {
    vec![
        layout!("tr_str", Str { ptr, len }),
        layout!("tr_buf", Buf { ptr, len, cap, owner, release }),
        layout!(
            "tr_result",
            CallResult { struct_size, status, format, flags, body, state, mime, ttl_ms, reserved }
        ),
        layout!(
            "tr_host",
            Host {
                struct_size,
                abi_major,
                abi_minor,
                ctx,
                complete,
                progress,
                check,
                buf_alloc,
                buf_grow,
                log_level,
                log,
                message,
                notify,
                detach,
            }
        ),
        layout!("tr_create_args", CreateArgs { struct_size, generation, instance, config_json }),
        layout!(
            "tr_call_args",
            CallArgs {
                struct_size,
                kind,
                call,
                deadline_ns,
                flags,
                round,
                item,
                client,
                name,
                params_json,
                meta_json,
                answers_json,
                state,
            }
        ),
        layout!(
            "tr_plugin_api",
            PluginApi {
                struct_size,
                reserved,
                create,
                describe,
                call,
                cancel,
                watch,
                run,
                quiesce,
                destroy,
            }
        ),
        layout!(
            "tr_descriptor",
            Descriptor {
                magic,
                struct_size,
                abi_major,
                abi_minor,
                min_host_minor,
                reserved0,
                reserved1,
                flags,
                id,
                version,
                sdk,
                api,
            }
        ),
    ]
}

/// Every constant, by its name in C.
fn constants() -> BTreeMap<&'static str, i64> {
    let codes = [
        ("TR_OK", OK),
        ("TR_E_INVAL", E_INVAL),
        ("TR_E_NOMEM", E_NOMEM),
        ("TR_E_UNSUPPORTED", E_UNSUPPORTED),
        ("TR_E_DENIED", E_DENIED),
        ("TR_E_NOT_FOUND", E_NOT_FOUND),
        ("TR_E_BUSY", E_BUSY),
        ("TR_E_STALE", E_STALE),
        ("TR_E_CANCELLED", E_CANCELLED),
        ("TR_E_TIMEOUT", E_TIMEOUT),
        ("TR_E_TOO_LARGE", E_TOO_LARGE),
        ("TR_E_PANIC", E_PANIC),
        ("TR_E_INTERNAL", E_INTERNAL),
        ("TR_ST_OK", status::OK),
        ("TR_ST_TOOL_ERROR", status::TOOL_ERROR),
        ("TR_ST_INVALID_PARAMS", status::INVALID_PARAMS),
        ("TR_ST_NOT_FOUND", status::NOT_FOUND),
        ("TR_ST_INTERNAL", status::INTERNAL),
        ("TR_ST_CANCELLED", status::CANCELLED),
        ("TR_ST_INPUT_REQUIRED", status::INPUT_REQUIRED),
        ("TR_ST_UNAVAILABLE", status::UNAVAILABLE),
        ("TR_ST_TOO_LARGE", status::TOO_LARGE),
        ("TR_LOG_ERROR", log::ERROR),
        ("TR_LOG_WARN", log::WARN),
        ("TR_LOG_INFO", log::INFO),
        ("TR_LOG_DEBUG", log::DEBUG),
        ("TR_LOG_TRACE", log::TRACE),
        ("TR_MSG_DEBUG", message::DEBUG),
        ("TR_MSG_INFO", message::INFO),
        ("TR_MSG_NOTICE", message::NOTICE),
        ("TR_MSG_WARNING", message::WARNING),
        ("TR_MSG_ERROR", message::ERROR),
        ("TR_MSG_CRITICAL", message::CRITICAL),
        ("TR_MSG_ALERT", message::ALERT),
        ("TR_MSG_EMERGENCY", message::EMERGENCY),
        ("TR_NOTIFY_TOOLS_CHANGED", notify::TOOLS_CHANGED),
        ("TR_NOTIFY_RESOURCES_CHANGED", notify::RESOURCES_CHANGED),
        ("TR_NOTIFY_PROMPTS_CHANGED", notify::PROMPTS_CHANGED),
        ("TR_NOTIFY_RESOURCE_UPDATED", notify::RESOURCE_UPDATED),
    ];
    let numbers = [
        ("TR_FMT_RESULT_JSON", format::RESULT_JSON),
        ("TR_FMT_TEXT", format::TEXT),
        ("TR_FMT_STRUCTURED", format::STRUCTURED),
        ("TR_FMT_BLOB", format::BLOB),
        ("TR_CALL_TOOL", call_kind::TOOL),
        ("TR_CALL_RESOURCE_READ", call_kind::RESOURCE_READ),
        ("TR_CALL_PROMPT_GET", call_kind::PROMPT_GET),
        ("TR_CALL_COMPLETE", call_kind::COMPLETE),
        ("TR_CLIENT_ELICITATION_FORM", client::ELICITATION_FORM),
        ("TR_CLIENT_ELICITATION_URL", client::ELICITATION_URL),
        ("TR_CLIENT_SAMPLING", client::SAMPLING),
        ("TR_CLIENT_SAMPLING_TOOLS", client::SAMPLING_TOOLS),
        ("TR_CLIENT_SAMPLING_CONTEXT", client::SAMPLING_CONTEXT),
        ("TR_CLIENT_ROOTS", client::ROOTS),
        ("TR_RF_PUBLIC", RF_PUBLIC),
        ("TR_CF_PROGRESS", CF_PROGRESS),
        ("TR_ITEM_NONE", ITEM_NONE),
        ("TR_ITEM_TEMPLATE", ITEM_TEMPLATE),
        ("TR_NOTE_TYPE", NOTE_TYPE),
        ("TR_ABI_MAJOR", ABI_MAJOR.into()),
        ("TR_ABI_MINOR", ABI_MINOR.into()),
    ];
    let wide = [
        ("TR_ABI_MAGIC", ABI_MAGIC),
        ("TR_PF_SERIAL", PF_SERIAL),
        ("TR_PF_PANIC_ABORT", PF_PANIC_ABORT),
        ("TR_PF_PROCESS_ONLY", PF_PROCESS_ONLY),
    ];
    let codes = codes.into_iter().map(|(name, value)| (name, i64::from(value)));
    let numbers = numbers.into_iter().map(|(name, value)| (name, i64::from(value)));
    let wide = wide.into_iter().map(|(name, value)| (name, value.cast_signed()));
    codes.chain(numbers).chain(wide).collect()
}

fn header() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/toolrack_plugin.h")
}

/// What a C program with these statements in its `main` prints, line by line.
fn printed_by_c(statements: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, program) = (folder.path().join("layout.c"), folder.path().join("layout"));
    let text = format!(
        "#include \"{}\"\n#include <stdio.h>\nint main(void) {{\n{statements}return 0;\n}}\n",
        header().display()
    );
    fs::write(&source, text).expect("written");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .args([&program, &source])
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs a C compiler named `cc` (Debian: apt install gcc): {error}")
        });
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&program).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn structs_have_the_same_layout_on_both_sides() {
    let (mut statements, mut expected) = (String::new(), Vec::new());
    for Layout { name, size, fields } in layouts() {
        writeln!(statements, "printf(\"{name} %zu\\n\", sizeof({name}));").expect("a string");
        expected.push(format!("{name} {size}"));
        for (field, offset, field_size) in fields {
            writeln!(
                statements,
                "printf(\"{name}.{field} %zu %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"
            )
            .expect("a string");
            expected.push(format!("{name}.{field} {offset} {field_size}"));
        }
    }
    assert_eq!(printed_by_c(&statements), expected);
}

#[test]
fn fields_leave_no_room_for_one_that_is_not_listed() {
    for Layout { name, size, fields } in layouts() {
        let end = fields.iter().fold(0, |end, (field, offset, field_size)| {
            assert_eq!(*offset, end, "{name}: bytes before {field} belong to no field");
            offset + field_size
        });
        assert_eq!(end, size, "{name}: bytes at its end belong to no field");
    }
}

#[test]
fn constants_have_the_same_values_on_both_sides() {
    let (mut statements, mut expected) = (String::new(), Vec::new());
    for (name, value) in constants() {
        writeln!(statements, "printf(\"{name} %lld\\n\", (long long)({name}));").expect("a string");
        expected.push(format!("{name} {value}"));
    }
    assert_eq!(printed_by_c(&statements), expected);
}

#[test]
fn every_constant_of_the_header_is_mirrored() {
    let header = fs::read_to_string(header()).expect("the header");
    let words = header.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    // Macros without a value, and prefixes that comments name.
    let is_constant = |word: &&str| {
        word.starts_with("TR_")
            && !word.ends_with('_')
            && !["TR_NX", "TR_EXPORT", "TR_HAS", "TR_MANIFEST"].contains(word)
    };
    let found: BTreeSet<_> = words.filter(is_constant).collect();
    assert_eq!(found, constants().into_keys().collect());
}

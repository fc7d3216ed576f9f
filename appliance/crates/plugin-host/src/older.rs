//! Content that an old revision has no word for, said in words that it has.

use std::ops::Range;

use bytes::Bytes;
use protocol::json::{Raw, write_string};
use protocol::{Method, Revision};

/// The result with every block that `revision` does not know replaced; `None` when it knows them all.
///
/// Sounds exist since 2025-03-26 and links to resources since 2025-06-18, in results of tools and of prompts.
pub(crate) fn rewrite(
    method: Method,
    revision: Revision,
    body: &Bytes,
    result: Raw<'_>,
) -> Option<Bytes> {
    let mut replaced = Vec::new();
    let mut look = |block: Raw<'_>| {
        if let Some(other) = replacement(revision, block) {
            replaced.push((place(body, block), other));
        }
    };
    match method {
        Method::ToolsCall => result.get("content")?.items().for_each(&mut look),
        Method::PromptsGet => {
            let messages = result.get("messages")?.items();
            messages.filter_map(|message| message.get("content")).for_each(&mut look);
        }
        _ => {}
    }
    if replaced.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(body.len());
    let mut from = 0;
    for (place, other) in replaced {
        out.extend_from_slice(&body[from..place.start]);
        out.extend_from_slice(other.as_bytes());
        from = place.end;
    }
    out.extend_from_slice(&body[from..]);
    Some(out.into())
}

/// Where a value of the body stands in it.
fn place(body: &Bytes, value: Raw<'_>) -> Range<usize> {
    let start = value.text().as_ptr() as usize - body.as_ptr() as usize;
    start..start + value.text().len()
}

fn replacement(revision: Revision, block: Raw<'_>) -> Option<String> {
    let kind = block.get("type")?.as_str()?;
    match &*kind {
        "audio" if revision < Revision::V2025_03_26 => {
            let (data, mime) = (block.get("data")?, block.get("mimeType")?);
            // The bytes as a resource whose URI names nothing that can be read again.
            Some(format!(
                "{{\"type\":\"resource\",\"resource\":{{\"uri\":\"data:\",\"mimeType\":{},\"blob\":{}}}}}",
                mime.text(),
                data.text()
            ))
        }
        "resource_link" if revision < Revision::V2025_06_18 => {
            let (uri, name) = (block.get("uri")?.as_str()?, block.get("name")?.as_str()?);
            let mut other = String::from("{\"type\":\"text\",\"text\":");
            write_string(&mut other, &format!("{name}: {uri}"));
            other.push('}');
            Some(other)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::json::{Limits, check};

    use super::*;

    fn rewritten(method: Method, revision: Revision, text: &'static str) -> Option<String> {
        let body = Bytes::from_static(text.as_bytes());
        let result = check(&body, &Limits::DEFAULT).expect("JSON");
        let bytes = rewrite(method, revision, &body, result)?;
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[test]
    fn a_sound_becomes_a_resource_where_sounds_do_not_exist() {
        let text = r#"{"content":[{"type":"text","text":"a"}, {"type":"audio","data":"AAAA","mimeType":"audio/wav"}],"isError":false}"#;
        assert_eq!(
            rewritten(Method::ToolsCall, Revision::V2024_11_05, text).as_deref(),
            Some(
                r#"{"content":[{"type":"text","text":"a"}, {"type":"resource","resource":{"uri":"data:","mimeType":"audio/wav","blob":"AAAA"}}],"isError":false}"#
            )
        );
        assert_eq!(rewritten(Method::ToolsCall, Revision::V2025_03_26, text), None);
    }

    #[test]
    fn a_link_becomes_text_where_links_do_not_exist() {
        let text = r#"{"messages":[{"role":"user","content":{"type":"resource_link","uri":"a:\"b","name":"n"}}]}"#;
        assert_eq!(
            rewritten(Method::PromptsGet, Revision::V2025_03_26, text).as_deref(),
            Some(r#"{"messages":[{"role":"user","content":{"type":"text","text":"n: a:\"b"}}]}"#)
        );
        assert_eq!(rewritten(Method::PromptsGet, Revision::V2025_06_18, text), None);
    }

    #[test]
    fn what_is_not_a_block_is_left_alone() {
        for text in [r#"{"content":[7,{},{"type":"audio"}]}"#, r#"{"content":[]}"#, "{}"] {
            assert_eq!(rewritten(Method::ToolsCall, Revision::V2024_11_05, text), None);
        }
    }
}

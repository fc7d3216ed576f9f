//! The four lists as ready-made pages, for each era.

use std::sync::Arc;

use bytes::Bytes;
use plugin_host::{Described, ItemDescription};
use profile::plan::ServerPlan;
use protocol::encode::ServerInfo;
use protocol::json::{Kind, Limits, Raw, check};
use protocol::{Era, Method};
use sha2::{Digest, Sha256};

use super::{each, identity};

/// Pages of one list in one era.
type List = Vec<Bytes>;

/// Every list, cut into pages.
pub struct Pages {
    legacy: [List; 4],
    modern: [List; 4],
    /// Of each list: tells whether two catalogues offer the same.
    digests: [[u8; 32]; 4],
    /// Marks cursors: one of another catalogue is refused instead of leading to a wrong page.
    digest: String,
}

/// The lists in the order in which [`Pages`] keeps them, with the member that holds the items.
const LISTS: [(Method, &str); 4] = [
    (Method::ToolsList, "tools"),
    (Method::ResourcesList, "resources"),
    (Method::ResourceTemplatesList, "resourceTemplates"),
    (Method::PromptsList, "prompts"),
];

impl Pages {
    pub(super) fn new<P>(
        server: &ServerPlan,
        described: &[(P, Arc<Described>)],
        info: &ServerInfo,
    ) -> Self {
        let kinds: [fn(&Described) -> &[ItemDescription]; 4] = [
            |described| &described.tools,
            |described| &described.resources,
            |described| &described.templates,
            |described| &described.prompts,
        ];
        let items: [Vec<&str>; 4] =
            kinds.map(|kind| each(described, kind).map(|(_, item)| &*item.json).collect());
        let digests = items.each_ref().map(|items| {
            let mut hash = Sha256::new();
            items.iter().for_each(|item| hash.update(item.as_bytes()));
            hash.finalize().into()
        });
        let digest: String = Sha256::digest(digests.as_flattened())
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let pages = |era: Era| {
            std::array::from_fn(|list| {
                paginate(server, info, era, LISTS[list].1, &items[list], &digest)
            })
        };
        Self { legacy: pages(Era::Legacy), modern: pages(Era::Modern), digests, digest }
    }

    /// The lists in which `other` has other items, or the same described otherwise, by the methods that ask for them.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Method> {
        let both = self.digests.iter().zip(&other.digests);
        let lists = LISTS.iter().zip(both).filter(|(_, (one, other))| one != other);
        lists.map(|((method, _), _)| *method).collect()
    }

    /// One page of the list that `method` asks for, as a whole result; `None` for a cursor that this catalogue did
    /// not give out.
    #[must_use]
    pub fn page(&self, method: Method, era: Era, cursor: Option<&str>) -> Option<Bytes> {
        let list = LISTS.iter().position(|(of, _)| *of == method)?;
        let pages = match era {
            Era::Legacy => &self.legacy[list],
            Era::Modern => &self.modern[list],
        };
        let page = match cursor {
            None => 0,
            Some(cursor) => cursor.strip_prefix(&*self.digest)?.strip_prefix('.')?.parse().ok()?,
        };
        pages.get::<usize>(page).cloned()
    }
}

fn paginate(
    server: &ServerPlan,
    info: &ServerInfo,
    era: Era,
    member: &str,
    items: &[&str],
    digest: &str,
) -> List {
    let mut chunks: Vec<&[&str]> = items.chunks(server.page_items_max.max(1)).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let last = chunks.len() - 1;
    let page = |(number, chunk): (usize, &&[&str])| {
        let mut out = String::from("{");
        if era == Era::Modern {
            out.push_str("\"resultType\":\"complete\",");
        }
        out.push_str(&format!("\"{member}\":["));
        for (at, item) in chunk.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_item(&mut out, era, item);
        }
        out.push(']');
        if number < last {
            out.push_str(&format!(",\"nextCursor\":\"{digest}.{}\"", number + 1));
        }
        match era {
            Era::Legacy => out.push('}'),
            Era::Modern => identity::push_list_end(&mut out, server, info),
        }
        Bytes::from(out)
    };
    chunks.iter().enumerate().map(page).collect()
}

/// An item as the plugin wrote it. Legacy schemas know only objects as output, so another `outputSchema` is hidden
/// from legacy lists.
fn push_item(out: &mut String, era: Era, item: &str) {
    let object = check(item.as_bytes(), &Limits::DEFAULT).ok();
    let hides = |raw: Raw<'_>| raw.get("type").and_then(Raw::as_str).as_deref() != Some("object");
    let hidden = object.and_then(|object| object.get("outputSchema")).is_some_and(hides);
    let (Era::Legacy, true, Some(object)) = (era, hidden, object) else {
        out.push_str(item);
        return;
    };
    debug_assert_eq!(object.kind(), Kind::Object);
    out.push('{');
    let kept = object.members().filter(|(key, _)| key != "outputSchema");
    for (at, (key, value)) in kept.enumerate() {
        if at > 0 {
            out.push(',');
        }
        protocol::json::write_string(out, &key);
        out.push(':');
        out.push_str(value.text());
    }
    out.push('}');
}

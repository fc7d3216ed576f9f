//! What the server says of itself: `initialize` and `server/discover`.

use std::sync::Arc;

use bytes::Bytes;
use plugin_host::Described;
use profile::plan::ServerPlan;
use protocol::encode::ServerInfo;
use protocol::json::write_string;
use protocol::{CacheScope, Era, META_PREFIX, Revision};

/// Which features have something behind them; the others are not declared.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // One for each feature of the protocol.
pub(super) struct Offers {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    pub(super) completions: bool,
    pub(super) tasks: bool,
}

/// Ready-made answers about the server.
pub struct Identity {
    server_info: ServerInfo,
    offers: Offers,
    /// By [`Revision::index`]; empty for modern revisions.
    initialize: [Bytes; Revision::COUNT],
    discover: Bytes,
}

impl Identity {
    pub(super) fn new(server: &ServerPlan, offers: Offers, instructions: Option<&str>) -> Self {
        let server_info = ServerInfo(Bytes::from(implementation(server)));
        let initialize = std::array::from_fn(|index| {
            let revision = Revision::ALL.into_iter().find(|revision| revision.index() == index);
            revision
                .filter(|revision| revision.era() == Era::Legacy)
                .map(|revision| initialize(revision, &server_info, offers, instructions).into())
                .unwrap_or_default()
        });
        let discover = discover(server, &server_info, offers, instructions).into();
        Self { server_info, offers, initialize, discover }
    }

    /// `serverInfo`.
    #[must_use]
    pub const fn server_info(&self) -> &ServerInfo {
        &self.server_info
    }

    /// The result of `initialize` for a legacy revision.
    #[must_use]
    pub fn initialize(&self, revision: Revision) -> Bytes {
        self.initialize[revision.index()].clone()
    }

    /// The result of `server/discover`.
    #[must_use]
    pub fn discover(&self) -> Bytes {
        self.discover.clone()
    }

    /// Whether tools are declared.
    #[must_use]
    pub const fn has_tools(&self) -> bool {
        self.offers.tools
    }

    /// Whether prompts are declared.
    #[must_use]
    pub const fn has_prompts(&self) -> bool {
        self.offers.prompts
    }

    /// Whether resources are declared.
    #[must_use]
    pub const fn has_resources(&self) -> bool {
        self.offers.resources
    }

    /// Whether completions are declared.
    #[must_use]
    pub const fn has_completions(&self) -> bool {
        self.offers.completions
    }

    /// Whether the extension `io.modelcontextprotocol/tasks` is declared: some tool may run as a task.
    #[must_use]
    pub const fn has_tasks(&self) -> bool {
        self.offers.tasks
    }
}

/// The operator's instructions, then each plugin's own.
pub(super) fn instructions<P>(
    server: &ServerPlan,
    described: &[(P, Arc<Described>)],
) -> Option<String> {
    let of_plugins =
        described.iter().filter_map(|(_, described)| described.instructions.as_deref());
    let all: Vec<_> = server.instructions.as_deref().into_iter().chain(of_plugins).collect();
    (!all.is_empty()).then(|| all.join("\n\n"))
}

fn implementation(server: &ServerPlan) -> String {
    let mut out = String::from("{\"name\":");
    write_string(&mut out, &server.name);
    if let Some(title) = &server.title {
        out.push_str(",\"title\":");
        write_string(&mut out, title);
    }
    out.push_str(",\"version\":");
    write_string(&mut out, env!("CARGO_PKG_VERSION"));
    out.push('}');
    out
}

fn capabilities(offers: Offers, era: Era) -> String {
    let mut members = vec![r#""logging":{}"#];
    if offers.completions {
        members.push(r#""completions":{}"#);
    }
    // Legacy revisions know another kind of task, which is not served.
    if offers.tasks && era == Era::Modern {
        members.push(r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#);
    }
    if offers.prompts {
        members.push(r#""prompts":{"listChanged":true}"#);
    }
    if offers.resources {
        members.push(r#""resources":{"subscribe":true,"listChanged":true}"#);
    }
    if offers.tools {
        members.push(r#""tools":{"listChanged":true}"#);
    }
    format!("{{{}}}", members.join(","))
}

fn push_instructions(out: &mut String, instructions: Option<&str>) {
    if let Some(instructions) = instructions {
        out.push_str(",\"instructions\":");
        write_string(out, instructions);
    }
}

fn server_info_text(info: &ServerInfo) -> &str {
    std::str::from_utf8(&info.0).expect("written from strings by `implementation`")
}

fn initialize(
    revision: Revision,
    info: &ServerInfo,
    offers: Offers,
    instructions: Option<&str>,
) -> String {
    let mut out = format!(
        "{{\"protocolVersion\":\"{revision}\",\"capabilities\":{},\"serverInfo\":{}",
        capabilities(offers, Era::Legacy),
        server_info_text(info)
    );
    push_instructions(&mut out, instructions);
    out.push('}');
    out
}

fn discover(
    server: &ServerPlan,
    info: &ServerInfo,
    offers: Offers,
    instructions: Option<&str>,
) -> String {
    let mut out = format!(
        "{{\"resultType\":\"complete\",\"supportedVersions\":{},\"capabilities\":{}",
        Revision::all_as_json(),
        capabilities(offers, Era::Modern)
    );
    push_instructions(&mut out, instructions);
    push_list_end(&mut out, server, info);
    out
}

/// What every modern list and `server/discover` ends with: the same for all callers, so public.
pub(super) fn push_list_end(out: &mut String, server: &ServerPlan, info: &ServerInfo) {
    out.push_str(&format!(
        ",\"ttlMs\":{},\"cacheScope\":\"{}\",\"_meta\":{{\"{META_PREFIX}serverInfo\":{}}}}}",
        server.list_ttl.as_millis(),
        CacheScope::Public.as_str(),
        server_info_text(info)
    ));
}

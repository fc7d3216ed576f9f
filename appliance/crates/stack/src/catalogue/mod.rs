//! What is on offer: every plugin's tools, resources, templates and prompts under one roof.
//!
//! Built once for each stack. Lists are serialized here, for each era, so that a list answer is a copy.

mod arguments;
mod identity;
mod pages;
mod prompt;
mod template;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use plugin_host::{Described, ExecMode, HeaderParam, Item, ItemDescription, Plugin, TaskSupport};
use profile::plan::ServerPlan;
use protocol::encode::ServerInfo;

use crate::build::BuildError;

pub(crate) use arguments::Arguments;
pub use identity::Identity;
pub use pages::Pages;
use prompt::PromptArguments;
use template::UriTemplate;

/// Most completions values and the like are bounded by the protocol; what a catalogue holds is bounded here, since
/// every item is kept in serialized form twice.
const ITEMS_MAX: usize = 10_000;

type Names<T> = HashMap<Box<str>, T, RandomState>;

/// A tool and where it runs.
pub(crate) struct Tool {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) index: u32,
    /// Checks arguments for tools that do not check their own.
    pub(crate) arguments: Option<Arguments>,
    headers: Vec<HeaderParam>,
    is_nonblocking: bool,
    pub(crate) task: TaskSupport,
    questions_first: bool,
}

/// A prompt and where it runs.
pub(crate) struct Prompt {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) index: u32,
    pub(crate) arguments: PromptArguments,
}

/// What reads a resource.
pub(crate) struct Reader {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) item: Item,
}

/// Everything that the plugins of one stack offer.
pub struct Catalogue {
    tools: Names<Tool>,
    prompts: Names<Prompt>,
    resources: Names<(Arc<Plugin>, u32)>,
    templates: Vec<(UriTemplate, Arc<Plugin>, u32)>,
    completers: Vec<Arc<Plugin>>,
    pages: Pages,
    identity: Identity,
}

impl Catalogue {
    /// Puts the descriptions of `plugins` together, in their order.
    ///
    /// # Errors
    /// Every name that two plugins claim, and every item that cannot be served.
    pub fn build(server: &ServerPlan, plugins: &[Arc<Plugin>]) -> Result<Self, BuildError> {
        let described: Vec<(Arc<Plugin>, Arc<Described>)> =
            plugins.iter().map(|plugin| (Arc::clone(plugin), plugin.described())).collect();
        let mut problems = Vec::new();
        let tools = collect_tools(&described, &mut problems);
        let prompts = collect_prompts(&described, &mut problems);
        let resources = collect_resources(&described, &mut problems);
        let templates = collect_templates(&described, &mut problems);
        let items = tools.len() + prompts.len() + resources.len() + templates.len();
        if items > ITEMS_MAX {
            problems.push(format!("the plugins offer {items} items; the limit is {ITEMS_MAX}"));
        }
        if !problems.is_empty() {
            return Err(BuildError(problems));
        }
        let completers: Vec<_> = described
            .iter()
            .filter(|(_, described)| described.completions)
            .map(|(plugin, _)| Arc::clone(plugin))
            .collect();
        let offers = identity::Offers {
            tools: !tools.is_empty(),
            prompts: !prompts.is_empty(),
            resources: !resources.is_empty() || !templates.is_empty(),
            completions: !completers.is_empty(),
            tasks: tools.values().any(|tool| tool.task != TaskSupport::Forbidden),
        };
        let instructions = identity::instructions(server, &described);
        let identity = Identity::new(server, offers, instructions.as_deref());
        let pages = Pages::new(server, &described, identity.server_info());
        Ok(Self { tools, prompts, resources, templates, completers, pages, identity })
    }

    /// The lists, ready-made.
    #[must_use]
    pub const fn pages(&self) -> &Pages {
        &self.pages
    }

    /// What the server says of itself.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// `serverInfo`.
    #[must_use]
    pub const fn server_info(&self) -> &ServerInfo {
        self.identity.server_info()
    }

    /// The headers that mirror arguments of a tool (2026-07-28, `x-mcp-header`).
    #[must_use]
    pub fn tool_headers(&self, name: &str) -> &[HeaderParam] {
        self.tools.get(name).map_or(&[], |tool| &tool.headers)
    }

    /// Whether a call of this tool is answered on the thread that makes it, without waiting.
    #[must_use]
    pub fn is_nonblocking(&self, name: &str) -> bool {
        self.tools.get(name).is_some_and(|tool| tool.is_nonblocking)
    }

    /// Whether a call of this tool, by a client that knows tasks, runs as one. `has_answers`: it brings answers to
    /// questions.
    #[must_use]
    pub fn runs_as_task(&self, name: &str, has_answers: bool) -> bool {
        self.tools.get(name).is_some_and(|tool| {
            tool.task != TaskSupport::Forbidden && (has_answers || !tool.questions_first)
        })
    }

    /// The plugin that answers for a resource, for subscriptions.
    #[must_use]
    pub fn resource_owner(&self, uri: &str) -> Option<Arc<Plugin>> {
        self.reader(uri).map(|reader| reader.plugin)
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name)
    }

    pub(crate) fn prompt(&self, name: &str) -> Option<&Prompt> {
        self.prompts.get(name)
    }

    /// A listed resource first, then the first template that matches: deterministic.
    pub(crate) fn reader(&self, uri: &str) -> Option<Reader> {
        if let Some((plugin, index)) = self.resources.get(uri) {
            return Some(Reader { plugin: Arc::clone(plugin), item: Item::Resource(*index) });
        }
        self.templates.iter().find_map(|(template, plugin, index)| {
            let variables_json = Bytes::from(template.matches(uri)?);
            let item = Item::Template { index: *index, variables_json };
            Some(Reader { plugin: Arc::clone(plugin), item })
        })
    }

    /// The plugin that completes arguments of a prompt.
    pub(crate) fn prompt_completer(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.completer(&self.prompts.get(name)?.plugin)
    }

    /// The plugin that completes variables of a template, given as written in the list, or of a resource.
    pub(crate) fn template_completer(&self, uri: &str) -> Option<&Arc<Plugin>> {
        let listed = self.templates.iter().find(|(template, ..)| template.text() == uri);
        let owner =
            listed.map(|(_, plugin, _)| Arc::clone(plugin)).or_else(|| self.resource_owner(uri));
        self.completer(&owner?)
    }

    fn completer(&self, plugin: &Arc<Plugin>) -> Option<&Arc<Plugin>> {
        self.completers.iter().find(|candidate| Arc::ptr_eq(candidate, plugin))
    }
}

/// Each description of one kind with its plugin and index.
fn each<'a, P>(
    described: &'a [(P, Arc<Described>)],
    kind: impl Fn(&'a Described) -> &'a [ItemDescription] + 'a,
) -> impl Iterator<Item = (&'a P, u32, &'a ItemDescription)> + 'a {
    described.iter().flat_map(move |(plugin, described)| {
        (0..).zip(kind(described)).map(move |(index, item)| (plugin, index, item))
    })
}

/// Adds `name`, or says who has it already.
fn claim<T>(
    names: &mut Names<T>,
    kind: &str,
    name: &str,
    value: T,
    owner: impl Fn(&T) -> &str,
    problems: &mut Vec<String>,
) {
    if let Some(first) = names.get(name) {
        problems.push(format!(
            "plugin.{}: the {kind} `{name}` is already offered by plugin.{}; remove one of the two",
            owner(&value),
            owner(first)
        ));
        return;
    }
    names.insert(name.into(), value);
}

fn collect_tools(
    described: &[(Arc<Plugin>, Arc<Described>)],
    problems: &mut Vec<String>,
) -> Names<Tool> {
    let mut tools = Names::default();
    for (plugin, index, item) in each(described, |described| &described.tools) {
        let arguments =
            if item.exec.checked { Ok(None) } else { Arguments::new(&item.json).map(Some) };
        match arguments {
            Ok(arguments) => {
                let tool = Tool {
                    plugin: Arc::clone(plugin),
                    index,
                    arguments,
                    headers: item.headers.clone(),
                    is_nonblocking: item.exec.mode == ExecMode::Nonblocking,
                    task: item.exec.task,
                    questions_first: item.exec.questions_first,
                };
                claim(&mut tools, "tool", &item.name, tool, |tool| tool.plugin.name(), problems);
            }
            Err(what) => {
                problems.push(format!("plugin.{}: tool `{}`: {what}", plugin.name(), item.name))
            }
        }
    }
    tools
}

fn collect_prompts(
    described: &[(Arc<Plugin>, Arc<Described>)],
    problems: &mut Vec<String>,
) -> Names<Prompt> {
    let mut prompts = Names::default();
    for (plugin, index, item) in each(described, |described| &described.prompts) {
        let arguments = PromptArguments::new(&item.json);
        let prompt = Prompt { plugin: Arc::clone(plugin), index, arguments };
        claim(&mut prompts, "prompt", &item.name, prompt, |prompt| prompt.plugin.name(), problems);
    }
    prompts
}

fn collect_resources(
    described: &[(Arc<Plugin>, Arc<Described>)],
    problems: &mut Vec<String>,
) -> Names<(Arc<Plugin>, u32)> {
    let mut resources = Names::default();
    for (plugin, index, item) in each(described, |described| &described.resources) {
        let entry = (Arc::clone(plugin), index);
        claim(&mut resources, "resource", &item.name, entry, |entry| entry.0.name(), problems);
    }
    resources
}

fn collect_templates(
    described: &[(Arc<Plugin>, Arc<Described>)],
    problems: &mut Vec<String>,
) -> Vec<(UriTemplate, Arc<Plugin>, u32)> {
    let mut templates = Vec::new();
    for (plugin, index, item) in each(described, |described| &described.templates) {
        match UriTemplate::parse(&item.name) {
            Ok(template) => templates.push((template, Arc::clone(plugin), index)),
            Err(what) => {
                problems.push(format!(
                    "plugin.{}: template `{}`: {what}",
                    plugin.name(),
                    item.name
                ));
            }
        }
    }
    templates
}

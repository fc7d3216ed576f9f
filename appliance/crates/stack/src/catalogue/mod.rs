//! What is on offer: every plugin's tools, resources, templates and prompts under one roof.
//!
//! Built once for each stack. Lists are serialized here, for each era, so that a list answer is a copy.

mod arguments;
mod identity;
mod pages;
mod prompt;
mod roster;
mod shelf;
mod target;
mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use plugin_host::{Described, ExecMode, HeaderParam, Item, ItemDescription, Plugin, TaskSupport};
use profile::plan::ServerPlan;
use protocol::TargetItem;
use protocol::encode::ServerInfo;

pub(crate) use arguments::Arguments;
pub use identity::Identity;
pub use pages::Pages;
use prompt::PromptArguments;
use shelf::Shelf;
use template::UriTemplate;

/// Most completions values and the like are bounded by the protocol; what a catalogue holds is bounded here, since
/// every item is kept in serialized form twice.
const ITEMS_MAX: usize = 10_000;

/// Most bytes of a URI: what proxies in front of `https` resources accept.
pub(crate) const URI_BYTES_MAX: usize = 2_048;

/// A tool and where it runs.
pub(crate) struct Tool {
    pub(crate) place: Place,
    /// Checks arguments for tools that do not check their own.
    pub(crate) arguments: Option<Arguments>,
    headers: Vec<HeaderParam>,
    mode: ExecMode,
    pub(crate) task: TaskSupport,
    questions_first: bool,
}

/// A prompt and where it runs.
pub(crate) struct Prompt {
    pub(crate) place: Place,
    pub(crate) arguments: PromptArguments,
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of its plugin in the catalogue.
    pub(crate) plugin: u32,
    /// Its own number in the description of the plugin.
    pub(crate) index: u32,
}

/// A plugin, and what of its description is asked for by its number.
struct Owner {
    plugin: Arc<Plugin>,
    completes: bool,
}

/// Why no stack could be built of a plan: every reason, each a sentence that says how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BuildError(pub Vec<String>);

/// Everything that the plugins of one stack offer. What it holds goes by numbers, see [`protocol::Target`].
pub struct Catalogue {
    plugins: Box<[Owner]>,
    tools: Shelf<Tool>,
    prompts: Shelf<Prompt>,
    resources: Shelf<Place>,
    templates: Vec<(UriTemplate, Place)>,
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
        let offers = identity::Offers {
            tools: tools.len() > 0,
            prompts: prompts.len() > 0,
            resources: resources.len() > 0 || !templates.is_empty(),
            completions: described.iter().any(|(_, described)| described.completions),
            tasks: tools.iter().any(|(_, tool)| tool.task != TaskSupport::Forbidden),
        };
        let instructions = identity::instructions(server, &described);
        let identity = Identity::new(server, offers, instructions.as_deref());
        let pages = Pages::new(server, &described, identity.server_info());
        let owner = |(plugin, described): (Arc<Plugin>, Arc<Described>)| Owner {
            plugin,
            completes: described.completions,
        };
        let plugins = described.into_iter().map(owner).collect();
        Ok(Self { plugins, tools, prompts, resources, templates, pages, identity })
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
        self.tools.find(name).map_or(&[], |tool| &tool.headers)
    }

    /// Whether a call of this tool, by a client that knows tasks, runs as one. `has_answers`: it brings answers to
    /// questions.
    #[must_use]
    pub fn runs_as_task(&self, name: &str, has_answers: bool) -> bool {
        self.tools.find(name).is_some_and(|tool| {
            tool.task != TaskSupport::Forbidden && (has_answers || !tool.questions_first)
        })
    }

    /// The plugin that has a tool.
    #[must_use]
    pub fn tool_owner(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.plugin(self.tools.find(name)?.place.plugin)
    }

    /// The plugin that answers for a resource, for subscriptions.
    #[must_use]
    pub fn resource_owner(&self, uri: &str) -> Option<Arc<Plugin>> {
        self.plugin(self.reader(uri)?.plugin).cloned()
    }

    pub(crate) fn plugin(&self, number: u32) -> Option<&Arc<Plugin>> {
        self.owner(number).map(|owner| &owner.plugin)
    }

    fn owner(&self, number: u32) -> Option<&Owner> {
        self.plugins.get(number as usize)
    }

    pub(crate) fn tool(&self, number: u32) -> Option<&Tool> {
        self.tools.get(number)
    }

    pub(crate) fn prompt(&self, number: u32) -> Option<&Prompt> {
        self.prompts.get(number)
    }

    /// What reads the resource of a URI, which is one that `target` stands for.
    pub(crate) fn reading(&self, target: TargetItem, uri: &str) -> Option<Item> {
        match target {
            TargetItem::Resource(number) => Some(Item::Resource(self.resources.get(number)?.index)),
            TargetItem::Template(number) => {
                let (template, place) = self.templates.get(number as usize)?;
                let variables_json = Bytes::from(template.matches(uri)?);
                Some(Item::Template { index: place.index, variables_json })
            }
            TargetItem::Tool(_) | TargetItem::Prompt(_) | TargetItem::Completer => None,
        }
    }
}

/// What was described, with the plugin whose it is.
type All = [(Arc<Plugin>, Arc<Described>)];

/// Each description of one kind with its place.
fn each<'a, P>(
    all: &'a [(P, Arc<Described>)],
    kind: impl Fn(&'a Described) -> &'a [ItemDescription] + 'a,
) -> impl Iterator<Item = (Place, &'a ItemDescription)> + 'a {
    (0..).zip(all).flat_map(move |(plugin, (_, described))| {
        (0..).zip(kind(described)).map(move |(index, item)| (Place { plugin, index }, item))
    })
}

/// Adds `name`, or says who has it already.
fn claim<T>(
    shelf: &mut Shelf<T>,
    kind: &str,
    name: &str,
    item: T,
    owner: impl Fn(&T) -> String,
    problems: &mut Vec<String>,
) {
    let claimant = owner(&item);
    if let Err(first) = shelf.add(name, item) {
        problems.push(format!(
            "plugin.{claimant}: the {kind} `{name}` is already offered by plugin.{}; remove one of the two",
            owner(first)
        ));
    }
}

fn name(all: &All, place: Place) -> String {
    all[place.plugin as usize].0.name().to_string()
}

fn collect_tools(all: &All, problems: &mut Vec<String>) -> Shelf<Tool> {
    let mut tools = Shelf::default();
    for (place, item) in each(all, |described| &described.tools) {
        let arguments =
            if item.exec.checked { Ok(None) } else { Arguments::new(&item.json).map(Some) };
        match arguments {
            Ok(arguments) => {
                let tool = Tool {
                    place,
                    arguments,
                    headers: item.headers.clone(),
                    mode: item.exec.mode,
                    task: item.exec.task,
                    questions_first: item.exec.questions_first,
                };
                let owner = |tool: &Tool| name(all, tool.place);
                claim(&mut tools, "tool", &item.name, tool, owner, problems);
            }
            Err(what) => {
                problems.push(format!("plugin.{}: tool `{}`: {what}", name(all, place), item.name))
            }
        }
    }
    tools
}

fn collect_prompts(all: &All, problems: &mut Vec<String>) -> Shelf<Prompt> {
    let mut prompts = Shelf::default();
    for (place, item) in each(all, |described| &described.prompts) {
        let prompt = Prompt { place, arguments: PromptArguments::new(&item.json) };
        let owner = |prompt: &Prompt| name(all, prompt.place);
        claim(&mut prompts, "prompt", &item.name, prompt, owner, problems);
    }
    prompts
}

fn collect_resources(all: &All, problems: &mut Vec<String>) -> Shelf<Place> {
    let mut resources = Shelf::default();
    for (place, item) in each(all, |described| &described.resources) {
        claim(&mut resources, "resource", &item.name, place, |place| name(all, *place), problems);
    }
    resources
}

fn collect_templates(all: &All, problems: &mut Vec<String>) -> Vec<(UriTemplate, Place)> {
    let mut templates = Vec::new();
    for (place, item) in each(all, |described| &described.templates) {
        match UriTemplate::parse(&item.name) {
            Ok(template) => templates.push((template, place)),
            Err(what) => {
                let plugin = name(all, place);
                problems.push(format!("plugin.{plugin}: template `{}`: {what}", item.name));
            }
        }
    }
    templates
}

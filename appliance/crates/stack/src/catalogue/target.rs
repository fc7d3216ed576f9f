//! Finds what a call is for, once.

use plugin_host::ExecMode;
use protocol::json::Raw;
use protocol::{Call, Method, Param, Target, TargetItem};

use super::{Catalogue, Place, URI_BYTES_MAX};

impl Catalogue {
    /// The item that a call is for; `None` when no plugin answers it. The dispatch says why.
    pub(crate) fn target(&self, call: &Call) -> Option<Target> {
        let text = |param| call.envelope.param(param).and_then(Raw::as_str);
        match call.method() {
            Method::ToolsCall => {
                let number = self.tools.number(&text(Param::Name)?)?;
                let tool = self.tools.get(number)?;
                let Place { plugin, index } = tool.place;
                let runs_here =
                    tool.mode == ExecMode::Nonblocking && self.plugin(plugin)?.keeps_promise(index);
                Some(Target { plugin, item: TargetItem::Tool(number), runs_here })
            }
            Method::PromptsGet => {
                let number = self.prompts.number(&text(Param::Name)?)?;
                let prompt = self.prompts.get(number)?;
                Some(elsewhere(prompt.place.plugin, TargetItem::Prompt(number)))
            }
            Method::ResourcesRead => {
                let uri = text(Param::Uri)?;
                if uri.len() > URI_BYTES_MAX { None } else { self.reader(&uri) }
            }
            Method::Complete => self.completer(call.envelope.param(Param::Ref)?),
            _ => None,
        }
    }

    /// A listed resource first, then the first template that matches: deterministic.
    pub(super) fn reader(&self, uri: &str) -> Option<Target> {
        if let Some(number) = self.resources.number(uri) {
            let Place { plugin, .. } = *self.resources.get(number)?;
            return Some(elsewhere(plugin, TargetItem::Resource(number)));
        }
        let templates = (0..).zip(&self.templates);
        let mut fitting = templates.filter(|(_, (template, _))| template.fits(uri));
        let (number, (_, place)) = fitting.next()?;
        Some(elsewhere(place.plugin, TargetItem::Template(number)))
    }

    /// The plugin that completes what `reference` names, if it completes anything: arguments of a prompt, or variables
    /// of a template, given as written in the list, or of a resource.
    fn completer(&self, reference: Raw<'_>) -> Option<Target> {
        let text = |key| reference.get(key).and_then(Raw::as_str);
        let plugin = match &*text("type")? {
            "ref/prompt" => self.prompts.find(&text("name")?)?.place.plugin,
            "ref/resource" => {
                let uri = text("uri")?;
                let listed = self.templates.iter().find(|(template, _)| template.text() == uri);
                match listed {
                    Some((_, place)) => place.plugin,
                    None => self.reader(&uri)?.plugin,
                }
            }
            _ => return None,
        };
        let completes = self.owner(plugin)?.completes;
        completes.then(|| elsewhere(plugin, TargetItem::Completer))
    }
}

/// What runs on threads of the plugin: only tools are trusted with one that serves others.
const fn elsewhere(plugin: u32, item: TargetItem) -> Target {
    Target { plugin, item, runs_here: false }
}

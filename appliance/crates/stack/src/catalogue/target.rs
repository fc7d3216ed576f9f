//! Finds what a call is for, once.

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
                Some(Target { plugin: tool.place.plugin, item: TargetItem::Tool(number) })
            }
            Method::PromptsGet => {
                let number = self.prompts.number(&text(Param::Name)?)?;
                let prompt = self.prompts.get(number)?;
                Some(Target { plugin: prompt.place.plugin, item: TargetItem::Prompt(number) })
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
            return Some(Target { plugin, item: TargetItem::Resource(number) });
        }
        let templates = (0..).zip(&self.templates);
        let mut fitting = templates.filter(|(_, (template, _))| template.fits(uri));
        let (number, (_, place)) = fitting.next()?;
        Some(Target { plugin: place.plugin, item: TargetItem::Template(number) })
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
        completes.then_some(Target { plugin, item: TargetItem::Completer })
    }
}

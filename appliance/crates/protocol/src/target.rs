//! Which item of which plugin a call is for.

/// Which item of which plugin a call is for: numbers of one generation's catalogue, good for nothing beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Place of the plugin among the plugins of the generation.
    pub plugin: u32,
    /// What of it is called.
    pub item: TargetItem,
    /// Whether it is answered on the thread that makes the call.
    pub runs_here: bool,
}

/// What of a plugin is called. Numbers count the items of one kind over all plugins of the generation, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetItem {
    /// A tool.
    Tool(u32),
    /// A prompt.
    Prompt(u32),
    /// The reader of one listed resource.
    Resource(u32),
    /// The reader of all resources that fit a template.
    Template(u32),
    /// What completes arguments: one for each plugin.
    Completer,
}

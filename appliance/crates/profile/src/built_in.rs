//! The profiles that are part of the program.

/// A profile that needs no file.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

const ALL: [BuiltIn; 2] = [
    BuiltIn { name: "dev", text: include_str!("../../../../profiles/dev.toml") },
    BuiltIn { name: "desktop", text: include_str!("../../../../profiles/desktop.toml") },
];

impl BuiltIn {
    /// Its first comment: what it is for.
    #[must_use]
    pub fn description(&self) -> &'static str {
        let is_comment = |line: &&str| line.starts_with("# ");
        self.text.lines().find(is_comment).map_or("", |line| &line[2..])
    }
}

/// Every built-in profile.
#[must_use]
pub const fn built_ins() -> &'static [BuiltIn] {
    &ALL
}

/// The built-in profile of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|profile| profile.name == name)
}

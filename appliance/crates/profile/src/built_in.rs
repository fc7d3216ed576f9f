//! The profiles that are part of the program.

/// A profile that needs no file.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Whether it is one of those for a box, which stand in the order of their boxes, the smallest first.
    pub is_box: bool,
}

macro_rules! built_in {
    ($name:literal, $is_box:literal) => {
        BuiltIn {
            name: $name,
            text: include_str!(concat!("../../../../profiles/", $name, ".toml")),
            is_box: $is_box,
        }
    };
}

const ALL: [BuiltIn; 10] = [
    built_in!("dev", false),
    built_in!("desktop", false),
    built_in!("edge-1c1g", true),
    built_in!("small-2c4g", true),
    built_in!("medium-4c8g", true),
    built_in!("large-8c16g", true),
    built_in!("reference-16c32g", true),
    built_in!("xlarge-32c64g", true),
    built_in!("production", false),
    built_in!("seed", false),
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

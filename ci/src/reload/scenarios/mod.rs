//! The scenarios, in the order in which they are played.

mod cost;
mod endless;
mod files;
mod lists;
mod mixture;
mod plugins;
mod quotas;
mod refused;
mod steady;
mod styles;

use crate::stage::scenario::Scenario;

/// All of them.
pub(super) const ALL: &[&Scenario] = &[
    &steady::STEADY,
    &mixture::MIXTURE,
    &files::STORM,
    &files::TOUCH,
    &files::TORN,
    &styles::STYLES,
    &refused::ALTERNATE,
    &refused::LEDGER,
    &quotas::QUOTA,
    &quotas::LIMITS,
    &quotas::REVOKE,
    &lists::LISTS,
    &endless::ENDLESS,
    &plugins::PLUGINS,
    &cost::COST,
    &cost::OVERLOAD,
];

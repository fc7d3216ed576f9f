//! The scenarios: the twenty of the reference by their numbers, then the gates that stand beside them.

mod chaos;
mod connections;
mod fairness;
mod floods;
mod identifiers;
mod memory;
mod overload;
mod processor;
mod queues;
mod quotas;
mod races;
mod rubbish;
mod sessions;
mod sick;
mod sizes;
mod slow_peers;
mod soak;
mod tasks;
mod timeouts;

use crate::stage::scenario::Scenario;

/// All of them, in the order in which they are played.
pub(crate) const ALL: &[&Scenario] = &[
    &memory::S01,
    &connections::S02,
    &timeouts::S03,
    &identifiers::S04,
    &tasks::S05,
    &memory::S06,
    &connections::S07,
    &connections::S08,
    &queues::S09,
    &rubbish::S10,
    &quotas::S11,
    &races::S12,
    &soak::S13,
    &processor::S14,
    &quotas::S15,
    &sizes::S16,
    &sessions::S17,
    &sick::S18,
    &races::S19,
    &chaos::S20,
    &overload::GOODPUT,
    &overload::REFUSALS,
    &overload::HEALTH,
    &fairness::ELEPHANT,
    &fairness::EQUALS,
    &quotas::QUOTA,
    &quotas::KEYS,
    &sick::HUNG,
    &timeouts::LEAKS,
    &slow_peers::SLOW,
    &slow_peers::HTTPTEST,
    &floods::FLOODS,
];

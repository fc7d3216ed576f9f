//! Leaves tools alone whose calls do not end.

use std::sync::Arc;
use std::time::Duration;

use middleware::circuit_breaker::Forced;

use crate::kit::Kit;

/// How long a quarantine lasts unless it is prolonged: a few times what lies between two looks.
const LASTS: Duration = Duration::from_secs(5);

/// In whose name circuits are forced open.
const OWNER: &str = "bulkhead";

impl Kit {
    /// Refuses, for a few seconds from now on, calls of every tool of which at least half of the places are held by
    /// calls whose deadlines have passed. To be called every second or so: it prolongs what still holds, and the rest
    /// ends by itself. Layers do not know each other, so the house tells one what the other sees.
    pub fn quarantine_stuck(&self) {
        let stuck = self.bulkhead.stuck();
        if stuck.is_empty() {
            return;
        }
        let owner: Arc<str> = OWNER.into();
        for unit in stuck {
            self.circuits.force(&unit.plugin, unit.tool.as_deref(), Forced::Open, &owner, LASTS);
        }
    }
}

//! What a profile changes beside the stack: the log, and the key of `requestState`.

use profile::Plan;
use stack::{Kit, Seal};
use telemetry::{Log, LogLines};

use super::super::{key, log};

/// Made before anything changes, since it can be wrong.
pub(super) struct Beside {
    /// `None`: the log stays as it is.
    lines: Option<LogLines>,
    seal: Seal,
}

impl Beside {
    /// What `plan` wants, after the plan that serves. The secret is read anew, whatever the profile says of it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn stage(plan: &Plan, serving: &Plan) -> Result<Self, Vec<String>> {
        let lines = (plan.log != serving.log).then(|| log::lines(&plan.log)).transpose();
        match (lines, key::seal(plan)) {
            (Ok(lines), Ok(seal)) => Ok(Self { lines, seal }),
            (lines, seal) => Err(lines.err().into_iter().chain(seal.err()).collect()),
        }
    }

    /// Whether states are sealed with another key from now on.
    pub(super) fn has_other_key(&self, kit: &Kit) -> bool {
        kit.seal.differs(&self.seal)
    }

    /// Takes effect.
    pub(super) fn follow(self, log: &Log, kit: &Kit) {
        if let Some(lines) = self.lines {
            log.follow(lines);
        }
        kit.seal.follow(&self.seal);
    }
}

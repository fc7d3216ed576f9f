//! Which refusals a change may have meant.

use protocol::RefusalKind;
use protocol::refusal::CAUSES;

use super::KINDS;

/// The kinds of refusals that have a cause among whose keys, or keys of the same tables, is one that was changed.
#[derive(Clone, Debug, Default)]
pub struct Intended([bool; KINDS]);

impl Intended {
    /// Of a change of these keys; a table stands for everything in it.
    #[must_use]
    pub fn of(changed: &[String]) -> Self {
        let mut kinds = [false; KINDS];
        for cause in CAUSES {
            let tables = cause.keys.iter().filter_map(|key| key.rsplit_once('.'));
            let is_touched = tables
                .map(|(table, _)| table)
                .any(|table| changed.iter().any(|key| is_within(key, table)));
            // Nobody means a plugin that cannot serve: the keys of this kind only say which plugin it is.
            kinds[cause.kind as usize] |=
                is_touched && cause.kind != RefusalKind::PluginUnavailable;
        }
        Self(kinds)
    }

    pub(super) fn has(&self, kind: RefusalKind) -> bool {
        self.0[kind as usize]
    }
}

/// Whether `key` is in `table`, or `table` in what `key` stands for; `NAME` stands for every name.
fn is_within(key: &str, table: &str) -> bool {
    key.split('.').zip(table.split('.')).all(|(one, other)| one == other || other == "NAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intended(keys: &[&str]) -> Vec<RefusalKind> {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        let intended = Intended::of(&keys);
        RefusalKind::ALL.into_iter().filter(|kind| intended.has(*kind)).collect()
    }

    #[test]
    fn a_limit_means_the_refusals_of_its_table() {
        assert_eq!(intended(&["layer.timeout.mode"]), [RefusalKind::TimedOut]);
        assert_eq!(intended(&["layer.rate_limit"]), [RefusalKind::RateLimited]);
        let of_plugin = intended(&["plugin.echo.limits.queue_calls"]);
        let kinds = [RefusalKind::PayloadTooLarge, RefusalKind::PluginBusy, RefusalKind::TimedOut];
        assert_eq!(of_plugin, kinds);
    }

    #[test]
    fn other_keys_mean_none_and_no_key_means_a_plugin_that_cannot_serve() {
        assert_eq!(intended(&[]), []);
        assert_eq!(intended(&["server.name", "plugin.echo.library", "plugin.echo.config"]), []);
        assert!(!intended(&["plugin.echo"]).contains(&RefusalKind::PluginUnavailable));
    }
}

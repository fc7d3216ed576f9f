//! `[hardware]`.

use middleware::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::Mismatch;

/// The box that a profile is made for, and what is expected of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hardware {
    /// Cores that the process may use. A host with fewer is a mismatch. Without `process.worker_threads`, as many
    /// threads are counted in the worst case of memory. From 1 to 1024.
    pub(crate) cores: u64,
    /// Bytes of memory that the process may use. The worst case of this profile, which `toolrack check` prints, must
    /// fit. A host that has an eighth less is a mismatch: firmware and kernel keep some of what was bought. From
    /// 64 MiB to 16 TiB.
    pub(crate) memory_bytes: ByteSize,
    /// Files and sockets that the process may open (RLIMIT_NOFILE). The connections of this profile and those kept
    /// beside them must fit, and a host with fewer is a mismatch. From 64 to 10000000. Default: none, nothing is
    /// compared.
    #[serde(default)]
    pub(crate) descriptors: Option<u64>,
    /// Calls each second that are expected, of all clients together. When one client alone may call more often than
    /// that, `toolrack check` warns. From 1 to 100000000. Default: none.
    #[serde(default)]
    pub(crate) calls_per_sec: Option<u64>,
    /// Connections at once that are expected: the profile must let them in. From 1 to 1000000. Default: none.
    #[serde(default)]
    pub(crate) connections: Option<u64>,
    /// Sessions at once that are expected: the profile must let them in. From 1 to 10000000. Default: none.
    #[serde(default)]
    pub(crate) sessions: Option<u64>,
    /// What to do on a host that has less: `warn`, or `refuse` to start. Default: `warn`, since a box that is too small
    /// still refuses in order what it cannot carry.
    #[serde(default)]
    pub(crate) mismatch: Mismatch,
}

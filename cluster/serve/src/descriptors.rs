//! The descriptors of this process: connections are not to take those that its files need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not for clients: files, connections to peers and to other processes.
pub const RESERVED_DESCRIPTORS: usize = 256;

/// As many of `wanted` connections as there are descriptors for, at least one. Raises the limit that this process may
/// raise itself; logs what is missing.
pub fn connections_within_reach(wanted: usize) -> usize {
    let needed = wanted.saturating_add(RESERVED_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None stands for no limit.
    let Some(soft) = current.filter(|soft| *soft < needed) else { return wanted };
    let raised = maximum.map_or(needed, |hard| hard.min(needed));
    let reached = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    if reached >= needed {
        return wanted;
    }
    let connections =
        usize::try_from(reached).unwrap_or(usize::MAX).saturating_sub(RESERVED_DESCRIPTORS).max(1);
    tracing::warn!(
        connections,
        wanted,
        descriptors = reached,
        needed,
        "this process may open too few files for the connections that are set: raise the limit (ulimit -n)"
    );
    connections
}

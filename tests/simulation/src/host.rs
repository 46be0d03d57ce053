//! What a simulated member runs on.

use holdfast_replica::types::Host;

use crate::disk::SimDisk;
use crate::network::SimNetwork;
use crate::runtime::Simulated;

/// Virtual time, a disk in memory, and a network that fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimHost;

impl Host for SimHost {
    type Runtime = Simulated;
    type Disk = SimDisk;
    type Network = SimNetwork;
}

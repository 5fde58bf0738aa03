//! Tools for testing programs that embed this crate (feature `testing`): virtual time, a scripted
//! refresher, a proxy that injects faults, and conformance tests for stores and for family stores. No test
//! needs to sleep.
//!
//! With this feature, the environment variable `PERENNIAL_EVENTS` names a file to which each session, store,
//! interceptor and issuer of the process appends its [events](crate::events), one a line: as it is displayed, a
//! tab, and its `Debug` form.

mod conformance;
#[cfg(feature = "issue")]
mod families;
mod fault_proxy;
mod lease_kit;
mod refresher;
mod virtual_time;

pub use conformance::{StoreConformance, StoreFlaw, StoreProperty, store_conforms};
#[cfg(feature = "issue")]
pub use families::family_store_conforms;
pub use fault_proxy::{Fault, FaultProxy};
pub use lease_kit::{LeaseConformance, LeaseFlaw, LeaseProperty, lease_conforms};
pub use refresher::{Response, Scripted};
pub use virtual_time::VirtualTime;

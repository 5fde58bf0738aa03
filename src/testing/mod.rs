//! Tools for tests of programs that embed perennial (feature `testing`): virtual time and a
//! scripted refresher. Nothing here sleeps.

mod refresher;
mod virtual_time;

pub use refresher::{Answer, Scripted};
pub use virtual_time::VirtualTime;

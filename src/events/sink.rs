//! The hooks of a program.

use std::sync::Arc;
use std::vec::Vec;

use super::Event;
use crate::primitives::contained;

/// A hook for events.
pub(crate) type OnEvent = dyn Fn(&Event) + Send + Sync;

/// The hooks to call with each event, in the order in which they were set.
#[derive(Clone, Default)]
pub(crate) struct Sink(Vec<Arc<OnEvent>>);

impl Sink {
    pub(crate) fn add(&mut self, hook: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.push(Arc::new(hook));
    }

    /// Returns the hooks to call, if there are any.
    pub(crate) fn into_hooks(self) -> Option<Arc<Self>> {
        (!self.0.is_empty()).then(|| Arc::new(self))
    }

    /// Calls the hooks. Rule H2: "A hook that panics MUST change nothing".
    pub(crate) fn report(&self, event: &Event) {
        for hook in &self.0 {
            let _ = contained(|| hook(event));
        }
    }
}

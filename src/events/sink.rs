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
        #[cfg(all(feature = "testing", not(any(loom, shuttle, tsan))))]
        let this = self.and_file();
        #[cfg(not(all(feature = "testing", not(any(loom, shuttle, tsan)))))]
        let this = self;
        (!this.0.is_empty()).then(|| Arc::new(this))
    }

    /// Calls the hooks. Rule H2: "A hook that panics MUST change nothing".
    pub(crate) fn report(&self, event: &Event) {
        for hook in &self.0 {
            // What was panicked with may panic as it is dropped.
            if let Err(panic) = contained(|| hook(event)) {
                let _ = contained(|| drop(panic)).map_err(core::mem::forget);
            }
        }
    }
}

// Not for the checkers of interleavings, which do not see into the standard library's `LazyLock`.
#[cfg(all(feature = "testing", not(any(loom, shuttle, tsan))))]
impl Sink {
    /// Adds the file that the environment names (see [`testing`](crate::testing)), if it does.
    fn and_file(mut self) -> Self {
        use std::fs::File;
        use std::io::Write;
        use std::sync::{LazyLock, Mutex};

        static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
            let path = std::env::var_os("PERENNIAL_EVENTS")?;
            let file = File::options().append(true).create(true).open(path);
            Some(Mutex::new(file.expect("the file that PERENNIAL_EVENTS names can be written")))
        });
        if FILE.is_some() {
            self.add(|event| {
                // One write, so that the lines of several processes do not mix.
                let line = std::format!("{event}\t{event:?}\n");
                if let Some(mut file) = FILE.as_ref().and_then(|file| file.lock().ok()) {
                    let _ = file.write_all(line.as_bytes());
                }
            });
        }
        self
    }
}

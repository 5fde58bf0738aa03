//! The note of another holder that the refreshes of a session have found last.

use std::sync::PoisonError;

use crate::primitives::Mutex;
use crate::store::Version;
use crate::time::Timestamp;

/// Remembers when a note of intent was first found. The clock that wrote it may be far ahead; so it is
/// no lease for longer than any can be, counted from then, however many refreshes find it.
#[derive(Default)]
pub(crate) struct SeenNote(Mutex<Option<(Version, Timestamp)>>);

impl SeenNote {
    /// Returns when the note of this version was first found, which may be `now`.
    pub(super) fn found(&self, version: Version, now: Timestamp) -> Timestamp {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = match *seen {
            // Rule A5: a clock that went back does not make it last longer.
            Some((known, first)) if known == version => first.min(now),
            Some(_) | None => now,
        };
        *seen = Some((version, first));
        first
    }
}

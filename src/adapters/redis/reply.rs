//! What the script on a grant returns.

use core::time::Duration;
use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;

use super::said;
use crate::store::{StoreError, StoredGrant, Version, Versioned, json};

/// The first word of a reply.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Found,
    Done,
    Conflict,
    Held,
    Busy,
    Lost,
    Damaged,
    /// What was to be repaired has changed meanwhile.
    Changed,
}

/// A reply of the script.
pub(super) struct Reply {
    pub(super) said: Said,
    pub(super) version: Version,
    /// The version as it is stored.
    pub(super) raw_version: Vec<u8>,
    pub(super) record: Option<Zeroizing<Vec<u8>>>,
    /// How long the lease is still held.
    pub(super) remaining: Option<Duration>,
    /// The fencing number of the lease.
    pub(super) fence: Option<Version>,
}

impl Reply {
    /// Reads a reply: a word, the version, and what belongs to the word.
    pub(super) fn of(parts: Vec<Option<Vec<u8>>>, key: &str) -> Result<Self, StoreError> {
        let mut parts = parts.into_iter();
        let mut next = || parts.next().flatten();
        let (word, version) = (next(), next());
        let said = match word.as_deref() {
            Some(b"found") => Said::Found,
            Some(b"done") => Said::Done,
            Some(b"conflict") => Said::Conflict,
            Some(b"held") => Said::Held,
            Some(b"busy") => Said::Busy,
            Some(b"lost") => Said::Lost,
            Some(b"damaged") => Said::Damaged,
            Some(b"changed") => Said::Changed,
            Some(b"emptied") => return Err(said::emptied(key)),
            Some(b"foreign") => return Err(said::foreign(key)),
            Some(b"stuck") => {
                return Err(said::damaged(key, "its version cannot be increased further"));
            }
            _ => return Err(said::unknown_answer()),
        };
        let known = version.as_deref().map_or(Some(Version::EMPTY), parsed);
        let third = next().map(Zeroizing::new);
        let (remaining, record) = if said == Said::Busy {
            (third.as_deref().and_then(|it| parsed(it)), None)
        } else {
            (None, third)
        };
        Ok(Self {
            said: if known.is_none() { Said::Damaged } else { said },
            version: known.unwrap_or(Version::EMPTY),
            raw_version: version.unwrap_or_default(),
            record,
            remaining: remaining.map(|it: Version| Duration::from_millis(it.number())),
            fence: next().as_deref().and_then(parsed),
        })
    }

    /// Returns what the store holds.
    pub(super) fn content(&self, key: &str) -> Result<Versioned, StoreError> {
        match (self.said, &self.record) {
            (Said::Damaged, _) => Err(said::damaged(
                key,
                "a field is missing or is no number, or the record is not what was written",
            )),
            (_, Some(record)) => {
                let found = json::decode(record).map_err(|reason| said::damaged(key, &reason))?;
                Ok(Versioned { version: self.version, ..found })
            }
            (_, None) => Ok(Versioned { version: self.version, grant: None }),
        }
    }
}

fn parsed(digits: &[u8]) -> Option<Version> {
    core::str::from_utf8(digits).ok()?.parse().ok().map(Version::new)
}

/// Returns a record. The version beside it counts, and not the one in it.
pub(super) fn record(grant: Option<&StoredGrant>) -> Vec<u8> {
    json::encode(Version::EMPTY.next(), grant).expose().as_bytes().to_vec()
}

/// Returns a version as an argument.
pub(super) fn number(version: Version) -> Vec<u8> {
    version.number().to_string().into_bytes()
}

/// Returns a term as an argument, of a millisecond at least.
pub(super) fn millis(term: Duration) -> Vec<u8> {
    const LONGEST: u128 = 1 << 48;
    term.as_millis().clamp(1, LONGEST).to_string().into_bytes()
}

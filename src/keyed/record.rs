//! The records of keyed sessions, and the slab that holds them.

use core::sync::atomic::{AtomicBool, Ordering};
use std::prelude::rust_2024::*;

use crate::lifecycle::{Lifecycle, Packed};
use crate::refresh::Refused;
use crate::session::Session;
use crate::session::suspend::Suspended;
use crate::store::Version;
use crate::time::{Lifetime, Span};
use crate::token::{Grant, Secret};

/// One place of the slab, with or without a session.
pub(super) enum Record<K> {
    Vacant,
    Idle(K, Idle),
    Live(K, Live),
}

/// A session in use.
pub(super) struct Live {
    pub(super) session: Session,
    used: AtomicBool,
}

impl Live {
    pub(super) fn new(session: Session) -> Self {
        Self { session, used: AtomicBool::new(true) }
    }

    /// Returns the session, and marks it as used.
    pub(super) fn get(&self) -> Session {
        // Relaxed: a hint for the sweep. Written only where it changes, since readers share it.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.session.clone()
    }

    /// Returns whether nobody has used it since the last call of this.
    pub(super) fn is_unused(&self) -> bool {
        !self.used.swap(false, Ordering::Relaxed)
    }
}

/// A session that nobody uses, packed. What does not fit is boxed.
pub(super) struct Idle {
    lifecycle: Packed,
    access: Option<Secret>,
    refresh: Option<Secret>,
    extra: Option<Box<Extra>>,
    /// In milliseconds.
    lifetime: u32,
    /// The store's version plus one; zero where the store was not read yet.
    version: u32,
    /// When it was last used, in seconds since the sessions were built.
    since: u32,
}

/// The state that few sessions have: a lifecycle that is not at rest, additional fields, a far expiry.
struct Extra {
    lifecycle: Lifecycle,
    grant: Option<Grant>,
    version: Option<Version>,
    refused: Refused,
}

impl Idle {
    pub(super) fn pack(rest: Suspended, since: u32) -> Self {
        let Suspended { lifecycle, grant, version, refused } = rest;
        let small_version =
            version.map_or(Some(0), |version| u32::try_from(version.number()).ok()?.checked_add(1));
        if let (Some(packed), Some(lifetime), Some(version)) =
            (lifecycle.pack(), grant.as_ref().map_or(Some(0), plain_lifetime), small_version)
        {
            let (access, refresh) = match &grant {
                Some(grant) => (grant.access_token().cloned(), grant.refresh_token().cloned()),
                None => (None, None),
            };
            let lifecycle = packed;
            return Self { lifecycle, access, refresh, extra: None, lifetime, version, since };
        }
        let extra = Some(Box::new(Extra { lifecycle, grant, version, refused }));
        let lifecycle = Packed::EMPTY;
        Self { lifecycle, access: None, refresh: None, extra, lifetime: 0, version: 0, since }
    }

    pub(super) fn unpack(self) -> Suspended {
        if let Some(extra) = self.extra {
            let Extra { lifecycle, grant, version, refused } = *extra;
            return Suspended { lifecycle, grant, version, refused };
        }
        let lifetime = Lifetime::For(Span::from_millis(self.lifetime.into()));
        let grant = match (self.access, self.refresh) {
            (Some(access), Some(refresh)) => Some(Grant::new(access, refresh, lifetime)),
            (Some(access), None) => Some(Grant::of_access_token(access, lifetime)),
            // Its lifetime is unstated: anything else does not pack.
            (None, refresh) => refresh.map(Grant::of_refresh_token),
        };
        let version = self.version.checked_sub(1).map(|number| Version::new(number.into()));
        let lifecycle = Lifecycle::unpack(self.lifecycle);
        // A session that was refused since its last grant is not at rest.
        Suspended { lifecycle, grant, version, refused: Refused::Never }
    }

    pub(super) fn lifecycle(&self) -> Lifecycle {
        match &self.extra {
            Some(extra) => extra.lifecycle,
            None => Lifecycle::unpack(self.lifecycle),
        }
    }

    pub(super) fn since(&self) -> u32 {
        self.since
    }

    /// Returns whether it holds a grant, which would be lost with it.
    pub(super) fn holds_grant(&self) -> bool {
        match &self.extra {
            Some(extra) => extra.grant.is_some(),
            None => self.access.is_some() || self.refresh.is_some(),
        }
    }

    /// Returns whether its store is known to hold the same as this: the grant, or none.
    pub(super) fn is_stored(&self) -> bool {
        self.version > 0 || self.extra.as_ref().is_some_and(|extra| extra.version.is_some())
    }
}

/// Returns the lifetime of a grant that has nothing beyond it and its tokens, in milliseconds.
fn plain_lifetime(grant: &Grant) -> Option<u32> {
    let is_plain = grant.refresh_in().is_none() && grant.fields().next().is_none();
    let lifetime = match (grant.lifetime(), grant.access_token()) {
        (Lifetime::For(span), Some(_)) => u32::try_from(span.as_millis()).ok(),
        (Lifetime::Unstated, None) => Some(0),
        _ => None,
    };
    lifetime.filter(|_| is_plain)
}

/// The size of a block. Records are kept in blocks, so that growing moves none and wastes little.
const BLOCK: usize = 64;

/// Any number of records, named by small numbers.
pub(super) struct Slab<K> {
    blocks: Vec<Vec<Record<K>>>,
    free: Vec<u32>,
    len: u32,
}

impl<K> Slab<K> {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(super) fn add(&mut self, record: Record<K>) -> u32 {
        if let Some(id) = self.free.pop() {
            self.replace(id, record);
            return id;
        }
        let id = self.len;
        self.len += 1;
        if id as usize / BLOCK == self.blocks.len() {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(record);
        }
        id
    }

    pub(super) fn get(&self, id: u32) -> Option<&Record<K>> {
        self.blocks.get(id as usize / BLOCK)?.get(id as usize % BLOCK)
    }

    /// Puts `record` there, and returns what was there.
    pub(super) fn replace(&mut self, id: u32, record: Record<K>) -> Record<K> {
        let block = self.blocks.get_mut(id as usize / BLOCK);
        match block.and_then(|block| block.get_mut(id as usize % BLOCK)) {
            Some(place) => core::mem::replace(place, record),
            None => record,
        }
    }

    /// Takes a record out, and frees its place.
    pub(super) fn remove(&mut self, id: u32) -> Record<K> {
        self.free.push(id);
        self.replace(id, Record::Vacant)
    }

    /// Returns how many places there are, vacant ones included.
    pub(super) fn places(&self) -> u32 {
        self.len
    }
}

//! The store of the grants, as `adapters/redis/grant.lua` keeps them: what each step does to a grant, and how
//! many bytes it sends and gets.

use std::time::Duration;

use perennial::store::{Intent, StoredGrant, Version, Versioned};
use perennial::time::{Span, Timestamp};
use perennial::token::Grant;

/// A step, as it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `acquire`, and the lease was granted.
    Acquired,
    /// `acquire`, while another holder had the lease.
    Refused,
    /// `load`, while another holder has the lease.
    Loaded,
    /// `swap` of a record with a note of intent.
    Noted,
    /// `swap` of a record without one.
    Stored,
    Released,
}

/// What a holder learns of a grant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    pub(crate) version: u64,
    /// Which of the grant's tokens it is, counted from 1.
    pub(crate) token: u32,
    pub(crate) sent: Timestamp,
}

/// A grant in the store.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) content: Content,
    lease: Option<(u64, Timestamp)>,
    /// The members that wait for a change.
    pub(crate) waiting: Vec<u32>,
}

/// The answer to `acquire`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Acquired {
    Held(Content),
    Busy { remaining: Span },
}

impl Record {
    pub(crate) fn new(sent: Timestamp) -> Self {
        let content = Content { version: 1, token: 1, sent };
        Self { content, lease: None, waiting: Vec::new() }
    }

    pub(crate) fn acquire(&mut self, term: Span, now: Timestamp) -> Acquired {
        if let Some((_, until)) = self.lease.filter(|(_, until)| *until > now) {
            return Acquired::Busy { remaining: until.since(now) };
        }
        let version = self.next_version(now);
        self.lease = Some((version, now.saturating_add(term)));
        Acquired::Held(self.content)
    }

    /// Writes, and returns the new version; `None` where somebody else has written.
    pub(crate) fn swap(
        &mut self,
        after: u64,
        granted: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<u64> {
        if self.content.version != after {
            return None;
        }
        if let Some(sent) = granted {
            self.content = Content { token: self.content.token + 1, sent, ..self.content };
        }
        Some(self.next_version(now))
    }

    pub(crate) fn release(&mut self, fence: u64) {
        self.lease.take_if(|(held, _)| *held == fence);
    }

    pub(crate) fn fence(&self) -> Option<u64> {
        self.lease.map(|(fence, _)| fence)
    }

    fn next_version(&mut self, now: Timestamp) -> u64 {
        let now = u64::try_from(now.as_millis()).expect("after 1970");
        self.content.version = now.max(self.content.version + 1);
        self.content.version
    }
}

/// The bytes of each step, both ways, without TCP's and TLS's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    acquired: u64,
    refused: u64,
    loaded: u64,
    noted: u64,
    stored: u64,
    released: u64,
    /// Of a message on the channel `perennial:changed`, to each process that listens.
    pub(crate) message: u64,
    pub(crate) record: u64,
}

impl Bytes {
    pub(crate) fn of(self, step: Step) -> u64 {
        match step {
            Step::Acquired => self.acquired,
            Step::Refused => self.refused,
            Step::Loaded => self.loaded,
            Step::Noted => self.noted,
            Step::Stored => self.stored,
            Step::Released => self.released,
        }
    }

    /// Measures the commands and replies of a grant with tokens of these lengths.
    pub(crate) fn measured(access: usize, refresh: usize, lifetime: Duration) -> Self {
        let at = Timestamp::from_secs(1_700_000_000);
        let grant = Grant::new("a".repeat(access), "r".repeat(refresh), lifetime);
        let plain = StoredGrant::new(grant, at);
        let intent = Intent { since: at, until: Some(at), holder: Some(u64::MAX / 2) };
        let noted = StoredGrant { intent: Some(intent), ..plain.clone() };
        let text = |grant| {
            let content = Versioned { version: Version::new(1), grant };
            content.to_json().expose().to_owned()
        };
        let (plain, noted, empty) = (text(Some(plain)), text(Some(noted)), text(None));
        // A key, a version in milliseconds, and a term in milliseconds, as long as they are in practice.
        let (key, version, term) = ("grant:0123456789", "1700000000000", "60000");
        let call = |arguments: &[&str]| {
            let sha = "0".repeat(40);
            let head = ["EVALSHA", &sha, "1", key];
            bulk(&[&head, arguments].concat())
        };
        let ask = call(&["acquire", version, term, &empty]);
        Self {
            acquired: ask + bulk(&["held", version, &plain]),
            refused: ask + bulk(&["busy", version, term, version]),
            loaded: call(&["load", version]) + bulk(&["found", version, &noted, version]),
            noted: call(&["swap", version, version, &noted]) + bulk(&["done", version]),
            stored: call(&["swap", version, version, &plain]) + bulk(&["done", version]),
            released: call(&["release", version, version]) + bulk(&["done", version]),
            message: bulk(&["message", "perennial:changed", key]),
            record: plain.len() as u64,
        }
    }
}

/// The length of an array of bulk strings in Redis's protocol.
fn bulk(parts: &[&str]) -> u64 {
    let length = |it: &&str| format!("${}\r\n", it.len()).len() + it.len() + 2;
    let all = format!("*{}\r\n", parts.len()).len() + parts.iter().map(length).sum::<usize>();
    all as u64
}

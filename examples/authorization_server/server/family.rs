//! One family of refresh tokens: everything that descends from one login, and the rules of its
//! rotation.
//!
//! Tokens are told apart by generation. The login makes generation 1, each rotation the next. The
//! rules need nothing but generations and points in time, so they are pure: time comes in as an
//! argument.

use std::collections::VecDeque;
use std::time::Duration;

use super::counters::Counters;

/// A point on the server's monotonic clock: the time since the server started.
pub(super) type Moment = Duration;

/// How refresh tokens rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// A refresh token works once. Seeing it again revokes the family.
    Strict,
    /// The direct predecessor keeps working for the overlap, each time giving a new successor.
    OverlapSuccessors,
    /// Within the overlap the direct predecessor gives the very same successor again.
    Idempotent,
    /// The same, until the successor or an access token that came with it is used, whenever that is.
    ConfirmByUse,
}

/// The rotation in force and the length of its overlap.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) rotation: Rotation,
    pub(super) overlap: Duration,
}

/// What presenting a refresh token led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was the current one. A new generation took its place.
    Rotated,
    /// It was the direct predecessor, within the overlap. The current generation stays.
    Repeated,
    /// It was unknown or expired, or its family was revoked before. Nothing changed.
    Refused,
    /// It had been used before and is not excused by an overlap. The family is now revoked.
    Reused,
}

impl Verdict {
    /// Whether tokens are to be issued.
    pub(super) fn grants(self) -> bool {
        matches!(self, Self::Rotated | Self::Repeated)
    }
}

/// One family.
pub(super) struct Family {
    /// Generation of the current refresh token.
    pub(super) generation: u64,
    /// When the current generation first took its predecessor's place.
    superseded_at: Moment,
    /// Number of the first access token that came with the current generation.
    came_with: u64,
    /// Whether one of those was accepted.
    confirmed: bool,
    revoked: bool,
    /// Number that the next access token gets.
    next_access: u64,
    /// Access tokens with a lower number have been made to stop working.
    first_access: u64,
    /// When each access token numbered `first_access` or above expires, oldest first, without long
    /// expired ones.
    access_expiries: VecDeque<Moment>,
    /// The newest access token that was accepted: its number and expiry.
    in_use: Option<(u64, Moment)>,
    /// The access tokens that were stopped one by one: numbers, oldest first.
    stopped: VecDeque<u64>,
    pub(super) counters: Counters,
}

impl Family {
    /// A family as a login leaves it.
    pub(super) fn new() -> Self {
        Self {
            generation: 1,
            superseded_at: Moment::ZERO,
            came_with: 0,
            confirmed: false,
            revoked: false,
            next_access: 0,
            first_access: 0,
            access_expiries: VecDeque::new(),
            in_use: None,
            stopped: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Judges a refresh token of this family and rotates, or revokes the family, accordingly.
    ///
    /// Reuse is judged before expiry: a stolen token that comes back late still gives the theft
    /// away.
    pub(super) fn present(
        &mut self,
        generation: u64,
        expires_at: Option<Moment>,
        rule: Rule,
        now: Moment,
    ) -> Verdict {
        if self.revoked {
            return Verdict::Refused;
        }
        let current = generation == self.generation;
        if !current && !self.excuses(generation, rule, now) {
            self.revoked = true;
            self.counters.family_revocations += 1;
            return Verdict::Reused;
        }
        if expires_at.is_some_and(|expiry| expiry <= now) {
            return Verdict::Refused;
        }
        if !current {
            return Verdict::Repeated;
        }
        self.generation += 1;
        self.superseded_at = now;
        self.came_with = self.next_access;
        self.confirmed = false;
        self.counters.rotations += 1;
        Verdict::Rotated
    }

    /// Whether an already rotated generation may still be presented.
    ///
    /// The overlap counts from the first rotation of that generation, and only from there: repeats
    /// do not extend it.
    fn excuses(&self, generation: u64, rule: Rule, now: Moment) -> bool {
        let predecessor = generation + 1 == self.generation;
        predecessor
            && match rule.rotation {
                Rotation::Strict => false,
                Rotation::OverlapSuccessors | Rotation::Idempotent => {
                    now < self.superseded_at.saturating_add(rule.overlap)
                }
                Rotation::ConfirmByUse => !self.confirmed,
            }
    }

    /// Notes that an access token was issued and returns its number within the family.
    ///
    /// All access tokens of a server live equally long, so that they expire in the order of their
    /// numbers.
    pub(super) fn issue_access_token(&mut self, expires_at: Moment, now: Moment) -> u64 {
        while self.access_expiries.front().is_some_and(|expiry| *expiry <= now) {
            self.access_expiries.pop_front();
        }
        self.access_expiries.push_back(expires_at);
        self.counters.access_tokens_issued += 1;
        self.next_access += 1;
        self.next_access - 1
    }

    /// Whether the access token of this number and expiry still works; it is in use then.
    pub(super) fn accepts(&mut self, number: u64, expires_at: Moment, now: Moment) -> bool {
        let works = self.works(number, expires_at, now);
        self.confirmed |= works && number >= self.came_with;
        if works && self.in_use.is_none_or(|(newest, _)| newest < number) {
            self.in_use = Some((number, expires_at));
        }
        works
    }

    fn works(&self, number: u64, expires_at: Moment, now: Moment) -> bool {
        let stopped = number < self.first_access || self.stopped.contains(&number);
        !self.revoked && !stopped && now < expires_at
    }

    /// Makes the newest access token in use stop working, and that one alone; tells whether it
    /// still did.
    pub(super) fn stop_token_in_use(&mut self, now: Moment) -> bool {
        match self.in_use {
            Some((number, expires_at)) if self.works(number, expires_at, now) => {
                self.stopped.push_back(number);
                // Those before have long expired.
                if self.stopped.len() > 64 {
                    self.stopped.pop_front();
                }
                self.counters.access_revocations += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Makes every access token issued so far stop working and returns how many of them still did.
    pub(super) fn stop_access_tokens(&mut self, now: Moment) -> usize {
        let valid = if self.revoked {
            0
        } else {
            self.access_expiries.iter().filter(|expiry| now < **expiry).count()
        };
        self.first_access = self.next_access;
        self.access_expiries.clear();
        if valid > 0 {
            self.counters.access_revocations += 1;
        }
        valid
    }
}

//! All families and all tokens of the server, in memory until the process ends.
//!
//! The store is pure: time and new tokens come in as arguments. The server keeps it behind one
//! lock.

use std::collections::HashMap;
use std::time::Duration;

use super::counters::Counters;
use super::family::{Family, Moment, Rule, Verdict};
use super::faults::Presentation;
use super::token::{Digest, Minted};

const KNOWN_FAMILY: &str = "every stored token belongs to a stored family";

/// What the store knows of a refresh token.
struct RefreshToken {
    family: u64,
    generation: u64,
    expires_at: Option<Moment>,
}

/// What the store knows of an access token.
struct AccessToken {
    family: u64,
    number: u64,
    expires_at: Moment,
}

/// How long tokens live and how they rotate.
#[derive(Clone, Copy)]
pub(super) struct Lifetimes {
    pub(super) access_ttl: Duration,
    pub(super) refresh_ttl: Option<Duration>,
    pub(super) rule: Rule,
}

/// All families and tokens.
pub(super) struct Store {
    lifetimes: Lifetimes,
    families: HashMap<u64, Family>,
    refresh_tokens: HashMap<Digest, RefreshToken>,
    access_tokens: HashMap<Digest, AccessToken>,
    /// Counters of the requests that belong to no family.
    unknown: Counters,
}

impl Store {
    /// A store without families.
    pub(super) fn new(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            families: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            unknown: Counters::default(),
        }
    }

    /// Starts a family, as a login does, and returns its id.
    pub(super) fn seed(&mut self, minted: &Minted, now: Moment) -> u64 {
        let id = self.family_count() + 1;
        self.families.insert(id, Family::new());
        self.issue(id, minted, now);
        id
    }

    /// Counts a token request and tells whose it is.
    pub(super) fn receive(&mut self, presented: Option<&Digest>) -> Presentation {
        let family =
            presented.and_then(|digest| self.refresh_tokens.get(digest)).map(|token| token.family);
        let counters = self.counters_mut(family);
        counters.token_requests += 1;
        Presentation { family, request: counters.token_requests }
    }

    /// Judges a refresh token, issues the minted tokens if it is good, and counts the answer.
    pub(super) fn refresh(&mut self, presented: &Digest, minted: &Minted, now: Moment) -> Verdict {
        let Some(token) = self.refresh_tokens.get(presented) else {
            self.unknown.invalid_grant += 1;
            return Verdict::Refused;
        };
        let id = token.family;
        let family = self.families.get_mut(&id).expect(KNOWN_FAMILY);
        let verdict = family.present(token.generation, token.expires_at, self.lifetimes.rule, now);
        if verdict.grants() {
            family.counters.granted += 1;
            self.issue(id, minted, now);
        } else {
            family.counters.invalid_grant += 1;
        }
        verdict
    }

    /// Remembers two tokens as issued to a family.
    fn issue(&mut self, id: u64, minted: &Minted, now: Moment) {
        let family = self.families.get_mut(&id).expect(KNOWN_FAMILY);
        let expires_at = now.saturating_add(self.lifetimes.access_ttl);
        let access = AccessToken {
            family: id,
            number: family.issue_access_token(expires_at, now),
            expires_at,
        };
        let refresh = RefreshToken {
            family: id,
            generation: family.generation,
            expires_at: self.lifetimes.refresh_ttl.map(|ttl| now.saturating_add(ttl)),
        };
        self.access_tokens.insert(minted.access.digest, access);
        // A successor that idempotent rotation repeats keeps the expiry it got first.
        self.refresh_tokens.entry(minted.refresh.digest).or_insert(refresh);
    }

    /// Judges an access token (`None`: the request had none) and counts the answer.
    pub(super) fn authorize(&mut self, presented: Option<&Digest>, now: Moment) -> bool {
        let Some(token) = presented.and_then(|digest| self.access_tokens.get(digest)) else {
            self.unknown.api_unauthorized += 1;
            return false;
        };
        let family = self.families.get_mut(&token.family).expect(KNOWN_FAMILY);
        let accepted = family.accepts(token.number, token.expires_at, now);
        if accepted {
            family.counters.api_ok += 1;
        } else {
            family.counters.api_unauthorized += 1;
        }
        accepted
    }

    /// Makes the newest access token in use of one family stop working; tells whether it still did.
    pub(super) fn stop_token_in_use(&mut self, id: u64, now: Moment) -> bool {
        self.families.get_mut(&id).is_some_and(|family| family.stop_token_in_use(now))
    }

    /// Makes the access tokens of all families stop working and returns how many still did.
    pub(super) fn stop_access_tokens(&mut self, now: Moment) -> usize {
        self.families.values_mut().map(|family| family.stop_access_tokens(now)).sum()
    }

    /// Number of families.
    pub(super) fn family_count(&self) -> u64 {
        self.families.len() as u64
    }

    /// Counters of one family.
    pub(super) fn counters_of(&self, id: u64) -> Option<Counters> {
        self.families.get(&id).map(|family| family.counters)
    }

    /// Sum of all counters.
    pub(super) fn totals(&self) -> Counters {
        let mut totals = self.unknown;
        for family in self.families.values() {
            totals += family.counters;
        }
        totals
    }

    /// Counters to write to: those of the family, or those of requests that belong to none.
    pub(super) fn counters_mut(&mut self, family: Option<u64>) -> &mut Counters {
        match family.and_then(|id| self.families.get_mut(&id)) {
            Some(family) => &mut family.counters,
            None => &mut self.unknown,
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

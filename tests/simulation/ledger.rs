//! What each session has been told, kept beside it: the second reckoning, by which its deeds are
//! judged. Nothing here is taken from the crate.

use std::collections::{BTreeMap, BTreeSet};

use perennial::clock::Clock;
use perennial::store::StoredGrant;

use super::clock::Watch;
use super::failing::Failed;
use super::log::Corner;
use super::network::{Outcome, Reply};
use super::purse::Purse;
use super::reckoning::Reckoning;
use super::reported::Reported;
use super::server::Number;
use super::store::numbers;
use super::world::World;

/// The policy's defaults, in milliseconds.
const ASSUMED: i64 = 3_600_000;

/// The token that a session certainly holds.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Held {
    pub(crate) access: Number,
    pub(crate) usable: i64,
}

/// A grant that came to a session.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Received {
    pub(crate) call: usize,
    pub(crate) renewal: Number,
    pub(crate) epoch: u32,
    pub(crate) settled: bool,
}

/// One session.
pub(crate) struct Ledger {
    pub(crate) process: usize,
    /// How long its refreshes may take.
    deadline: i64,
    pub(crate) watch: Watch,
    pub(crate) store: Option<usize>,
    /// Whether it spawns what it sends.
    pub(crate) spawns: bool,
    /// Whether its process lives.
    pub(crate) alive: bool,
    /// Whether its last handle was dropped.
    pub(crate) let_go: bool,
    /// What it has reported of itself, where that is judged.
    pub(crate) reported: Reported,
    /// Its clock has run back.
    pub(crate) crooked: bool,
    pub(crate) epoch: u32,
    /// It was logged out.
    pub(crate) out: bool,
    /// Its logout has not been stored, as far as it knows.
    pub(crate) leaving: bool,
    /// How often it was logged out.
    pub(crate) logouts: u32,
    /// The refresh token that it held when it was logged out.
    pub(crate) left: Option<Number>,
    /// It has no grant: it was given none, was logged out, or its store is empty.
    pub(crate) bare: bool,
    /// Whether its store was seen empty since it last handed out a token. What a refresh of before that
    /// reads later is not adopted.
    pub(crate) emptied: bool,
    /// Which logins its tokens may be of.
    pub(crate) families: Vec<usize>,
    pub(crate) reckonings: BTreeMap<Number, Reckoning>,
    /// Those that were rejected while they were held, and those whose rejection came too late:
    /// with the generation that was rejected.
    pub(crate) rejected: BTreeSet<Number>,
    pub(crate) outlived: BTreeMap<Number, u64>,
    /// The generations that were accepted.
    pub(crate) accepted: BTreeSet<u64>,
    /// The rejected tokens whose replacement was paid for, and not sent for since.
    pub(crate) prepaid: BTreeSet<Number>,
    /// Those that callers have been refused since they had lapsed.
    pub(crate) lapsed: BTreeSet<Number>,
    pub(crate) held: Option<Held>,
    /// The access token that came last, and was alive.
    pub(crate) latest: Option<Number>,
    pub(crate) calls: Vec<usize>,
    /// The first call that may come after its last login has ended.
    pub(crate) since_login: usize,
    /// How many store operations it waits for.
    pub(crate) storing: usize,
    /// The refresh token whose intent was noted by the last operation of all.
    pub(crate) noted: Option<Number>,
    pub(crate) received: Vec<Received>,
    /// Refresh tokens that its store showed, written by others.
    pub(crate) shown: BTreeSet<Number>,
    pub(crate) orphans: BTreeSet<Number>,
    /// Refresh tokens that its store showed with an intent, and since when, by its clock.
    pub(crate) intents: BTreeMap<Number, i64>,
    /// Whether its store ever showed an intent.
    pub(crate) saw_intent: bool,
    has_read: bool,
    pub(crate) failures: u32,
    /// Refusals without a reason in a row, and since when.
    pub(crate) unexplained: Option<(u32, i64)>,
    /// Whether the last of them may have come too late to count.
    pub(crate) unsure: bool,
    pub(crate) not_before: i64,
    /// A late answer counts once the request that is out has ended (rule B14).
    pub(crate) held_back: bool,
    /// Whether the newest answer may have counted as a failure: the same token again.
    pub(crate) same_again: bool,
    /// Whether its client was refused since its last grant.
    pub(crate) refused: bool,
    pub(crate) purse: Purse,
    /// The access tokens that were handed out.
    pub(crate) handed: BTreeSet<Number>,
    /// The newest generation handed out.
    pub(crate) generation: u64,
    /// Something came that is to be found in its hands.
    pub(crate) dirty: bool,
}

impl Ledger {
    pub(crate) fn new(process: usize, watch: Watch, store: Option<usize>, deadline: i64) -> Self {
        Self {
            process,
            deadline,
            watch,
            store,
            spawns: false,
            alive: true,
            let_go: false,
            reported: Reported::default(),
            crooked: false,
            epoch: 0,
            out: false,
            leaving: false,
            logouts: 0,
            left: None,
            bare: true,
            emptied: false,
            families: Vec::new(),
            reckonings: BTreeMap::new(),
            rejected: BTreeSet::new(),
            outlived: BTreeMap::new(),
            accepted: BTreeSet::new(),
            prepaid: BTreeSet::new(),
            lapsed: BTreeSet::new(),
            held: None,
            latest: None,
            calls: Vec::new(),
            since_login: 0,
            storing: 0,
            noted: None,
            received: Vec::new(),
            shown: BTreeSet::new(),
            orphans: BTreeSet::new(),
            intents: BTreeMap::new(),
            saw_intent: false,
            has_read: false,
            failures: 0,
            unexplained: None,
            unsure: false,
            not_before: i64::MIN,
            held_back: false,
            same_again: false,
            refused: false,
            purse: Purse::default(),
            handed: BTreeSet::new(),
            generation: 0,
            dirty: false,
        }
    }

    /// The session's clock.
    pub(crate) fn now(&self) -> i64 {
        self.watch.millis()
    }

    /// A token's life, as told now. Several stories of one token are all kept.
    pub(crate) fn reckon(
        &mut self,
        access: Number,
        sent: i64,
        lifetime: Option<i64>,
        hint: Option<i64>,
    ) {
        let told = Reckoning::of(sent, lifetime.unwrap_or(ASSUMED), hint, self.deadline);
        let one = self.reckonings.entry(access).or_insert(told);
        one.due = one.due.min(told.due);
        one.chance = one.chance.min(told.chance);
        one.lifetime = one.lifetime.min(told.lifetime);
        one.usable = one.usable.min(told.usable);
        one.unusable = one.unusable.max(told.unusable);
        one.expires = one.expires.max(told.expires);
        // A token that is granted again lives again.
        if self.watch.millis() < told.unusable {
            self.lapsed.remove(&access);
        }
    }

    /// Another grant has come: neither backoff nor certainty outlives it.
    fn renewed(&mut self, access: Option<Number>) {
        self.failures = 0;
        self.same_again = false;
        self.not_before = i64::MIN;
        self.latest = access;
        if self.held.is_some_and(|held| Some(held.access) != access) {
            self.held = None;
        }
    }

    /// An epoch ends.
    pub(crate) fn new_epoch(&mut self) {
        self.epoch += 1;
        (self.emptied, self.held_back) = (false, false);
        self.failures = 0;
        self.unexplained = None;
        self.not_before = i64::MIN;
        self.purse.make_whole();
        self.prepaid.clear();
        self.held = None;
        self.shown.clear();
        self.rejected.clear();
        self.outlived.clear();
        self.intents.clear();
    }

    /// The newest grant of this epoch that has come.
    pub(crate) fn newest(&self) -> Option<Received> {
        self.received
            .iter()
            .copied()
            .filter(|one| one.epoch == self.epoch)
            .max_by_key(|one| one.call)
    }
}

impl World {
    /// What a store's grant tells of its access token.
    pub(crate) fn reckon_stored(
        &mut self,
        session: usize,
        access: Option<Number>,
        stored: &StoredGrant,
    ) {
        let Some(access) = access else { return };
        let ledger = &mut self.ledgers[session];
        let (now, wall) = (ledger.now(), ledger.watch.wall().as_millis());
        let acquired = stored.acquired_at.as_millis();
        let sent = (now - (wall - acquired)).min(now);
        let lifetime = stored.expires_at.map(|expires| expires.as_millis() - acquired);
        let hint = stored.grant.refresh_in().and_then(|hint| i64::try_from(hint.as_millis()).ok());
        ledger.reckon(access, sent, lifetime, hint);
    }

    /// A session's store shows what it holds.
    pub(crate) fn reads(
        &mut self,
        session: usize,
        content: Option<&StoredGrant>,
        writer: Option<usize>,
        program: bool,
    ) {
        let mut foreign = writer != Some(session);
        let Some(stored) = content else {
            let ledger = &mut self.ledgers[session];
            if foreign {
                ledger.renewed(None);
                ledger.purse.make_whole();
                (ledger.bare, ledger.emptied) = (true, true);
            }
            return;
        };
        let (access, renewal) = numbers(&stored.grant);
        let has_read = self.ledgers[session].has_read;
        let first = !std::mem::replace(&mut self.ledgers[session].has_read, has_read || !program);
        self.reckon_stored(session, access, stored);
        let renewal = renewal.expect("every grant has one");
        let family = self.server.family_of(renewal);
        let ledger = &mut self.ledgers[session];
        // Its own login may have been stored, and nothing of that have come to it: it is in effect now, but
        // for a refresh of before the store was seen empty.
        let login = !ledger.families.contains(&family);
        if login && !foreign && !program {
            let emptied = ledger.emptied;
            self.ends_epoch(session, Some(usize::MAX));
            self.ledgers[session].emptied = emptied;
        }
        // A session that was logged out looks for a login (rule F4), once the logout is in the store.
        let (out, leaving) = (self.ledgers[session].out, self.ledgers[session].leaving);
        let left = self.ledgers[session].left == Some(renewal);
        if out && !leaving && !left {
            self.saw(Corner::LoggedInElsewhere);
            self.ends_epoch(session, Some(usize::MAX));
            let ledger = &mut self.ledgers[session];
            ledger.out = false;
            ledger.families.clear();
        }
        let ledger = &mut self.ledgers[session];
        foreign |= login;
        if foreign {
            ledger.renewed(access);
            ledger.shown.insert(renewal);
            ledger.families.push(family);
            // A login or logout only looks what it writes over; a refresh of before a logout adopts nothing.
            if !out && !program {
                ledger.bare = false;
            }
        }
        ledger.saw_intent |= stored.intent.is_some();
        if let (true, Some(intent)) = (first && foreign, stored.intent) {
            let (now, wall) = (ledger.now(), ledger.watch.wall().as_millis());
            // A note from the future: which of the two clocks is wrong cannot be known.
            ledger.crooked |= intent.since.as_millis() > wall;
            ledger.intents.insert(renewal, (now - (wall - intent.since.as_millis())).min(now));
            self.saw(Corner::RestartInDoubt);
        }
    }

    /// An answer is heard by its session.
    pub(crate) fn heard(&mut self, index: usize, reply: &Reply) {
        let call = &self.calls[index];
        let (session, epoch, sent, deadline) = (call.session, call.epoch, call.sent, call.deadline);
        let (half_draws, allowed) = (self.plan.half_draws, self.plan.deadline);
        let left = self.longest_in_window(session, index);
        let surely = self.all_is_seen(session);
        let sent_since = self.calls.len();
        let ledger = &mut self.ledgers[session];
        let now = ledger.now();
        let newest = ledger.calls.last() == Some(&index) && ledger.epoch == epoch;
        let counts = newest && now < deadline;
        let late = now >= deadline;
        let (outcome, told) = match reply {
            Reply::Granted(answer) | Reply::Half(answer) => {
                let renewal = answer.renewal;
                let half = matches!(reply, Reply::Half(_));
                let received = Received { call: index, renewal, epoch, settled: false };
                // One that a newer one has outrun says nothing of the refusals since.
                let outrun = ledger.newest().is_some_and(|newest| newest.call > index);
                ledger.received.push(received);
                ledger.dirty = true;
                if index < ledger.since_login {
                    // It renews what the login has installed, and supersedes what was sent since.
                    ledger.since_login = sent_since;
                }
                let lifetime = answer.lifetime;
                let reckoned = Reckoning::of(sent, lifetime.unwrap_or(ASSUMED), None, allowed);
                let alive = !half && reckoned.usable > now;
                // One that is granted again, after another one has come, is as good as new.
                let same = ledger.latest.is_none_or(|latest| latest == answer.access)
                    && ledger.reckonings.contains_key(&answer.access);
                if !same {
                    ledger.rejected.remove(&answer.access);
                    ledger.outlived.remove(&answer.access);
                }
                if !half {
                    ledger.reckon(answer.access, sent, lifetime, answer.hint);
                }
                if ledger.epoch == epoch && alive && !same {
                    ledger.renewed(Some(answer.access));
                } else if ledger.epoch == epoch && alive {
                    // It may live longer, and be published anew.
                    ledger.same_again = true;
                    ledger.failures = 0;
                    ledger.not_before = i64::MIN;
                } else if newest && !alive && ledger.store.is_none() {
                    ledger.failed(&Failed::Plainly { asked: None }, half_draws);
                }
                if ledger.epoch == epoch && !outrun {
                    ledger.unexplained = None;
                }
                let corner = match (half, answer.same, answer.silent, lifetime) {
                    (true, ..) => None,
                    (_, true, ..) => Some(Corner::SameToken),
                    (_, _, true, _) => Some(Corner::Silent),
                    (.., None) => Some(Corner::Unstated),
                    (.., Some(0)) => Some(Corner::BornDead),
                    _ => Some(Corner::Refreshed),
                };
                if let Some(corner) = corner {
                    self.saw(corner);
                }
                (Outcome::Granted, i64::from(renewal))
            }
            Reply::Failed(_, outcome, asked) => {
                // Beyond its deadline it wins all the same, if that was not judged before.
                let how = newest.then(|| ledger.takes(*outcome, *asked, left, surely)).flatten();
                ledger.unsure |= newest && !counts;
                if let Some(how) = how.filter(|_| counts) {
                    ledger.failed(&how, half_draws);
                }
                (*outcome, -1)
            }
            Reply::Panic => {
                if counts {
                    ledger.unexplained = None;
                    let how = left.map(|left| Failed::InWindow { left });
                    ledger.failed(&how.unwrap_or(Failed::Plainly { asked: None }), half_draws);
                }
                self.saw(Corner::RefresherPanicked);
                (Outcome::Unknown, -2)
            }
        };
        if outcome == Outcome::Declined {
            self.saw(Corner::Declined);
        }
        if newest && std::mem::take(&mut self.ledgers[session].held_back) {
            // What was held back lands after it.
            self.ledgers[session].failures = 0;
            self.ledgers[session].not_before = i64::MIN;
        }
        self.client_heard(session, outcome, counts, now);
        if late && outcome == Outcome::Granted {
            self.saw(Corner::Late);
            self.saw_late(session, index, now);
        }
        self.calls[index].was_late = late;
        self.calls[index].outcome = outcome;
        self.note("hears", session, told);
        if let Reply::Granted(answer) = reply {
            self.note("with", session, answer.access);
        }
    }

    /// A grant that belongs to nobody is offered to the program, or revoked.
    pub(crate) fn orphaned(&mut self, session: usize, renewal: Number) {
        self.saw(Corner::Orphan);
        self.note("orphan", session, renewal);
        self.ledgers[session].orphans.insert(renewal);
    }
}

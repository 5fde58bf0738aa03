//! The fleet in virtual time: each grant in its store, and each of its holders with the crate's own machines,
//! `Lifecycle` and `Turn`. Only time, the store and the authorization server are simulated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;
use perennial::lease::{self, Finished, Found, Prepared, Started, Term, TimePassed, Turn};
use perennial::lifecycle::{
    Failure, FlightId, Freshness, Lifecycle, Novelty, Policy, Refreshed, Schedule, TokenTimes,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::measure::{Counts, Estimate};
use crate::redis::{Acquired, Bytes, Content, Record, Step};
use crate::{Fleet, Scenario};

/// A keyed session looks at what is due at ticks of this many milliseconds.
const TICK: i64 = 256;

/// When virtual time begins.
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A holder of one grant: a keyed session in some process.
struct Member {
    lifecycle: Lifecycle,
    turn: Turn,
    flight: FlightId,
    /// The token that it has, counted from 1.
    token: u32,
    /// What its turn has come to, as soon as the lease is released.
    outcome: Outcome,
    /// Grows with each step, so that a wake-up for an earlier one is not taken for its own.
    epoch: u32,
    /// When its process's ticks fall.
    phase: i64,
}

#[derive(Clone, Copy)]
enum Outcome {
    Refused,
    Has(Content),
}

/// What reaches a member.
#[derive(Clone, Copy)]
enum News {
    /// It is time to look whether the token is due.
    Look,
    /// The store's answer to `acquire`.
    Acquired(Acquired),
    /// The store's content, read while another holder has the lease.
    Loaded(Content, Span),
    /// The glance that a waiter begins with.
    Glanced(Timestamp),
    /// The store has told of a change.
    Changed,
    TimeUp,
    /// The note of intent is written.
    Noted(u64),
    /// The server has answered: when the request was sent, if it was granted.
    Answered(Option<Timestamp>),
    /// What came is stored, or the note removed.
    Stored,
    Released,
}

struct Due {
    at: Timestamp,
    /// The order in which it was left.
    number: u64,
    member: u32,
    epoch: u32,
    news: News,
}

impl Due {
    fn key(&self) -> (Timestamp, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

pub(crate) struct Simulation<'a> {
    fleet: &'a Fleet,
    scenario: Scenario,
    policy: Policy,
    lease: lease::Policy,
    bytes: Bytes,
    rng: Rng,
    records: Vec<Record>,
    /// Whether a grant's refresh was refused since it was last granted.
    refused: Vec<bool>,
    members: Vec<Member>,
    queue: BinaryHeap<Reverse<Due>>,
    left: u64,
    now: Timestamp,
    /// The server's present second, and how many requests it has granted in it.
    served: (i64, u64),
    counts: Counts,
}

impl<'a> Simulation<'a> {
    /// Runs `scenario` to its end.
    pub(crate) fn run(fleet: &'a Fleet, scenario: Scenario, bytes: Bytes) -> Counts {
        let mut this = Self::new(fleet, scenario, bytes);
        let end = START.saturating_add(fleet.length().into());
        while let Some(Reverse(due)) = this.queue.pop() {
            if due.at >= end {
                break;
            }
            this.now = due.at;
            if this.members[due.member as usize].epoch == due.epoch {
                this.handle(due.member, due.news);
            }
        }
        this.counts
    }

    fn new(fleet: &'a Fleet, scenario: Scenario, bytes: Bytes) -> Self {
        let policy = fleet.policy();
        let mut this = Self {
            fleet,
            scenario,
            policy,
            lease: lease::Policy::new(policy.refresh_deadline()),
            bytes,
            rng: Rng::with_seed(fleet.seed),
            records: Vec::new(),
            refused: vec![false; fleet.sample as usize],
            members: Vec::new(),
            queue: BinaryHeap::new(),
            left: 0,
            now: START,
            served: (0, 0),
            counts: Counts::new(fleet.bins()),
        };
        let interval = Estimate::of(fleet, &bytes, scenario.jitter).interval;
        for grant in 0..fleet.sample {
            // The last refreshes are spread over the time from one to the next: there is no herd yet.
            let ago = Duration::from_secs_f64(this.rng.f64() * interval).into();
            let sent = START.saturating_sub(ago);
            this.records.push(Record::new(sent));
            for holder in 0..fleet.holders {
                let number = grant * fleet.holders + holder;
                let mut lifecycle = Lifecycle::new(u64::from(number));
                let _ = lifecycle.handle_installed(&policy, Some(this.times(sent)), None, START);
                this.members.push(Member {
                    lifecycle,
                    turn: Turn::new(),
                    flight: lifecycle.newest_flight(),
                    token: 1,
                    outcome: Outcome::Refused,
                    epoch: 0,
                    phase: this.rng.i64(0..TICK),
                });
                this.look(number);
            }
        }
        this
    }

    /// Describes a token to one holder, which draws its own jitter.
    fn times(&mut self, sent: Timestamp) -> TokenTimes<Timestamp> {
        let jitter = if self.scenario.jitter { self.draw() } else { Draw::NONE };
        TokenTimes { sent, lifetime: Some(self.fleet.lifetime.into()), refresh_in: None, jitter }
    }

    fn draw(&mut self) -> Draw {
        Draw::new(self.rng.u32(..))
    }

    fn member(&mut self, number: u32) -> &mut Member {
        &mut self.members[number as usize]
    }

    fn grant(&self, member: u32) -> usize {
        (member / self.fleet.holders) as usize
    }

    fn bin(&self) -> usize {
        self.bin_of(self.now)
    }

    fn bin_of(&self, at: Timestamp) -> usize {
        let millis = u128::from(at.since(START).as_millis());
        let bin = usize::try_from(millis / self.fleet.bin.as_millis()).expect("few bins");
        bin.min(self.fleet.bins() - 1)
    }

    /// Leaves news for a member, in place of all that is still on its way to it.
    fn leave(&mut self, member: u32, at: Timestamp, news: News) {
        self.member(member).epoch += 1;
        self.leave_too(member, at, news);
    }

    fn leave_too(&mut self, member: u32, at: Timestamp, news: News) {
        let epoch = self.member(member).epoch;
        self.left += 1;
        self.queue.push(Reverse(Due { at, number: self.left, member, epoch, news }));
    }

    /// Counts a step of the store, and leaves its answer.
    fn answer(&mut self, member: u32, step: Step, news: News) {
        let bin = self.bin();
        self.counts.step(bin, step, &self.bytes);
        let at = self.now.saturating_add(self.fleet.store_latency.into());
        self.leave(member, at, news);
    }

    /// Tells those who wait for this grant of a change.
    fn publish(&mut self, grant: usize) {
        let at = self.now.saturating_add(self.fleet.store_latency.into());
        for member in std::mem::take(&mut self.records[grant].waiting) {
            self.leave_too(member, at, News::Changed);
        }
    }

    fn handle(&mut self, member: u32, news: News) {
        match news {
            News::Look => self.look(member),
            News::Acquired(Acquired::Held(content)) => self.acquired(member, content),
            News::Acquired(Acquired::Busy { remaining }) => {
                let content = self.records[self.grant(member)].content;
                self.answer(member, Step::Loaded, News::Loaded(content, remaining));
            }
            News::Loaded(content, remaining) => self.loaded(member, content, remaining),
            News::Glanced(until) => self.wait(member, until),
            News::Changed => {
                let (now, policy) = (self.now, self.lease);
                match self.member(member).turn.handle_changed(&policy, now) {
                    lease::Changed::Acquire { term } => self.acquire(member, term),
                    lease::Changed::Nothing => unreachable!("only those who wait are told"),
                }
            }
            News::TimeUp => self.time_up(member),
            News::Noted(version) => self.noted(member, version),
            News::Answered(granted) => self.answered(member, granted),
            News::Stored => self.finish(member),
            News::Released => self.land(member),
        }
    }

    /// Does what `keyed::Sessions::keep_fresh` does: begins a refresh where one is due, or looks again when
    /// the machine says so.
    fn look(&mut self, number: u32) {
        let (now, policy, lease) = (self.now, self.policy, self.lease);
        let member = self.member(number);
        let Some(start) = member.lifecycle.handle_requested(&policy, now).start() else {
            if let Some(next) = member.lifecycle.poll_timeout(&policy, now) {
                let millis = next.at.as_millis() - member.phase;
                let tick = (millis + TICK - 1).div_euclid(TICK) * TICK + member.phase;
                self.leave(number, Timestamp::from_millis(tick), News::Look);
            }
            return;
        };
        member.flight = start.flight;
        member.turn = Turn::new();
        match member.turn.handle_started(&lease, start.deadline, now) {
            Started::Acquire { term } => self.acquire(number, term),
            Started::Nothing => unreachable!("the turn is new"),
        }
    }

    fn acquire(&mut self, member: u32, term: Span) {
        let (now, grant) = (self.now, self.grant(member));
        let acquired = self.records[grant].acquire(term, now);
        let step = match acquired {
            Acquired::Held(_) => Step::Acquired,
            Acquired::Busy { .. } => Step::Refused,
        };
        self.answer(member, step, News::Acquired(acquired));
    }

    /// Returns whether the store's grant is newer than the member's, and usable.
    fn is_news(&self, member: u32, content: Content) -> bool {
        let times = TokenTimes {
            sent: content.sent,
            lifetime: Some(self.fleet.lifetime.into()),
            refresh_in: None,
            jitter: Draw::NONE,
        };
        let schedule = Schedule::of(&self.policy, times, self.now);
        content.token > self.members[member as usize].token
            && schedule.freshness(self.now) != Freshness::Lapsed
    }

    fn acquired(&mut self, number: u32, content: Content) {
        let news = self.is_news(number, content);
        let found = if news { Found::Newer } else { Found::Unchanged };
        let (now, policy) = (self.now, self.lease);
        let member = self.member(number);
        let term = Term::For(policy.term());
        match member.turn.handle_acquired(&policy, content.version, term, found, now) {
            lease::Acquired::Adopt => {
                member.outcome = Outcome::Has(content);
                self.finish(number);
            }
            lease::Acquired::Prepare { .. } => {
                // What is stored is renewed, also where it is newer and has lapsed.
                member.token = content.token;
                let grant = self.grant(number);
                let noted = self.records[grant].swap(content.version, None, now);
                let noted = noted.expect("nobody else writes under this lease");
                self.publish(grant);
                self.answer(number, Step::Noted, News::Noted(noted));
            }
            other @ (lease::Acquired::GiveUp(_)
            | lease::Acquired::Release { .. }
            | lease::Acquired::Nothing) => unreachable!("{other:?}: the store answers at once"),
        }
    }

    /// Reads what another holder may have stored, and waits for it otherwise.
    fn loaded(&mut self, number: u32, content: Content, remaining: Span) {
        let news = self.is_news(number, content);
        let (now, policy) = (self.now, self.lease);
        let member = self.member(number);
        if news {
            let _ = member.turn.handle_newer_found(now);
            member.outcome = Outcome::Has(content);
            return self.finish(number);
        }
        match member.turn.handle_busy(&policy, Some(remaining), now) {
            lease::Busy::Wait { until } => {
                self.counts.waits += 1;
                // `Lease::changed` looks first: whoever has written since is not missed.
                let record = &self.records[self.grant(number)];
                let changed = record.content.version > content.version || record.fence().is_none();
                let told = if changed { News::Changed } else { News::Glanced(until) };
                self.answer(number, Step::Loaded, told);
            }
            lease::Busy::Acquire { term } => self.acquire(number, term),
            lease::Busy::GiveUp(_) => {
                member.outcome = Outcome::Refused;
                self.finish(number);
            }
            lease::Busy::Nothing => unreachable!("the store was asked"),
        }
    }

    fn wait(&mut self, number: u32, until: Timestamp) {
        let grant = self.grant(number);
        self.records[grant].waiting.push(number);
        self.leave(number, until.max(self.now), News::TimeUp);
    }

    fn time_up(&mut self, number: u32) {
        let (now, policy, grant) = (self.now, self.lease, self.grant(number));
        self.records[grant].waiting.retain(|it| *it != number);
        let member = self.member(number);
        match member.turn.handle_timeout(&policy, now) {
            TimePassed::Acquire { term } => self.acquire(number, term),
            TimePassed::GiveUp(_) => {
                member.outcome = Outcome::Refused;
                self.finish(number);
            }
            other @ (TimePassed::Renew { .. }
            | TimePassed::Lost
            | TimePassed::Release { .. }
            | TimePassed::Nothing) => unreachable!("{other:?} of a turn that waits"),
        }
    }

    /// Sends the request, and has the server decide on it.
    fn noted(&mut self, number: u32, version: u64) {
        let (now, policy) = (self.now, self.lease);
        match self.member(number).turn.handle_prepared(&policy, version, now) {
            Prepared::Send => {}
            other @ (Prepared::Renew { .. } | Prepared::GiveUp(_) | Prepared::Nothing) => {
                unreachable!("{other:?}: the lease is new")
            }
        }
        let (bin, grant) = (self.bin(), self.grant(number));
        self.counts.asked[bin] += 1;
        if self.member(number).token != self.records[grant].content.token {
            self.counts.reused += 1;
        }
        let granted = self.serves().then_some(now);
        let answer = now.saturating_add(self.fleet.server_latency.into());
        self.leave(number, answer, News::Answered(granted));
    }

    /// Returns whether the server grants a request that it gets now.
    fn serves(&mut self) -> bool {
        let since = self.now.since(START).to_duration();
        let outage = self.fleet.outage_at();
        if (outage..outage + self.fleet.outage).contains(&since) {
            return false;
        }
        let second = self.now.as_millis().div_euclid(1000);
        if self.served.0 != second {
            self.served = (second, 0);
        }
        self.served.1 += 1;
        self.scenario.capacity.is_none_or(|capacity| self.served.1 <= capacity)
    }

    fn answered(&mut self, number: u32, granted: Option<Timestamp>) {
        let (now, bin, grant) = (self.now, self.bin(), self.grant(number));
        let member = self.member(number);
        let after = match granted {
            Some(_) => match member.turn.handle_answered(now) {
                lease::Answered::Store { after } => after,
                other @ lease::Answered::StoreUnlessOutpaced { .. } => {
                    unreachable!("{other:?}: the lease outlasts the request")
                }
            },
            None => member.turn.version(),
        };
        if let Some(sent) = granted {
            self.counts.granted[bin] += 1;
            self.lapse(grant, sent);
            let (since, fleet) = (now.since(START).to_duration(), self.fleet);
            // Whoever is refused later is so by a herd of its own.
            let soon = since < fleet.outage_at() + fleet.outage + fleet.lifetime / 2;
            if std::mem::take(&mut self.refused[grant]) && soon {
                self.counts.recovered = since;
            }
        } else {
            self.refused[grant] = true;
        }
        let stored = self.records[grant].swap(after, granted, now);
        stored.expect("nobody else writes under this lease");
        let content = self.records[grant].content;
        self.member(number).outcome = granted.map_or(Outcome::Refused, |_| Outcome::Has(content));
        self.publish(grant);
        self.answer(number, Step::Stored, News::Stored);
    }

    /// Counts for how long the grant had no usable token, if it had none.
    fn lapse(&mut self, grant: usize, until: Timestamp) {
        let times = TokenTimes {
            sent: self.records[grant].content.sent,
            lifetime: Some(self.fleet.lifetime.into()),
            refresh_in: None,
            jitter: Draw::NONE,
        };
        if let Schedule::Timed(deadlines) = Schedule::of(&self.policy, times, self.now) {
            if deadlines.unusable_from < until {
                let (from, to) = (self.bin_of(deadlines.unusable_from), self.bin_of(until));
                self.counts.lapsed[from] += 1;
                self.counts.lapsed[to + 1] -= 1;
            }
        }
    }

    /// Releases the lease, if it is held, before the outcome is told.
    fn finish(&mut self, number: u32) {
        let (now, grant) = (self.now, self.grant(number));
        match self.member(number).turn.handle_finished(now) {
            Finished::Release { fence } => {
                self.records[grant].release(fence);
                self.publish(grant);
                self.answer(number, Step::Released, News::Released);
            }
            Finished::Nothing => self.land(number),
        }
    }

    fn land(&mut self, number: u32) {
        let (now, policy, draw) = (self.now, self.policy, self.draw());
        match self.member(number).outcome {
            Outcome::Has(content) => {
                let times = self.times(content.sent);
                let member = self.member(number);
                member.token = content.token;
                let (flight, novelty) = (member.flight, Novelty::New);
                let landed =
                    member.lifecycle.handle_refreshed(&policy, flight, times, novelty, draw, now);
                assert!(matches!(landed, Refreshed::Publish { .. }), "{landed:?}");
            }
            Outcome::Refused => {
                let failure = Failure::Unavailable { retry_after: None };
                let member = self.member(number);
                let flight = member.flight;
                let _ = member.lifecycle.handle_refresh_failed(&policy, flight, failure, draw, now);
            }
        }
        self.look(number);
    }
}

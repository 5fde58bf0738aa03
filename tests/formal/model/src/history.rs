//! What has been told so far, in few facts, kept beside the machine by code of its own; and what the
//! rules of `src/spec.md` make of them. It is written from the rules and shares nothing with the
//! machine but the types of events and effects.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Failure, Novelty, Reuse, Start, TokenTimes,
};
use perennial::time::{Draw, Time};

use crate::life::{Life, lay_out, outlives};
use crate::tick::{FAILURES, FLIGHTS, Tick};
use crate::world::{
    Answer, BACKOFF_BASE, BACKOFF_CAP, BUDGET_INTERVAL, BUDGET_WINDOW, Machine, REFRESH_DEADLINE,
    RETRY_AFTER_CAP, World,
};

/// A token that was published, and what was said of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Token {
    pub(crate) life: Life,
    pub(crate) seen_due: bool,
    pub(crate) seen_lapsed: bool,
    pub(crate) accepted: bool,
    pub(crate) rejected: bool,
    /// The one try that is free after the rejection of a token that had worked was made.
    pub(crate) free_try_made: bool,
}

/// What is known of the grant that is installed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Grant {
    Absent,
    Good,
    /// It was first presented then, by a refresh of which nobody knows what became; the server still
    /// answers it again.
    DoubtedSince(Tick),
    /// As before, and the server may refuse it.
    Doubted,
    Unsettled,
    Declined,
}

/// The refresh that was started last.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refresh {
    Settled,
    Out {
        sent: Tick,
        deadline: Tick,
    },
    /// Judged unknown at its deadline.
    Overdue,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) token: Option<Token>,
    pub(crate) grant: Grant,
    pub(crate) refresh: Refresh,
    /// The refresh that was started last presented a grant that has been replaced since.
    pub(crate) outrun: bool,
    /// It is the one more try that doubt permits.
    pub(crate) last_resort: bool,
    /// How many refreshes were started since the newest one that landed, or was cut off.
    pub(crate) landed: u8,
    /// How many refreshes were started since the newest one of an earlier epoch.
    pub(crate) ended: u8,
    pub(crate) failures: u8,
    /// Until when no refresh may start, and how long that was at most.
    pub(crate) pause: Option<(Tick, u8)>,
    /// When the budget is full again.
    pub(crate) full_at: Option<Tick>,
}

impl Token {
    pub(crate) fn works(&self, now: Tick) -> bool {
        let lapsed = self.life.is_some_and(|life| now >= life.lapse);
        !(self.rejected || self.seen_lapsed || lapsed)
    }

    fn works_until_after(&self, then: Tick) -> bool {
        self.life.is_none_or(|life| then < life.lapse)
    }
}

impl History {
    pub(crate) const NONE: Self = Self {
        token: None,
        grant: Grant::Absent,
        refresh: Refresh::Settled,
        outrun: false,
        last_resort: false,
        landed: 0,
        ended: 0,
        failures: 0,
        pause: None,
        full_at: None,
    };

    pub(crate) fn is_out(&self) -> bool {
        matches!(self.refresh, Refresh::Out { .. })
    }

    pub(crate) fn works(&self, now: Tick) -> bool {
        self.token.is_some_and(|token| token.works(now))
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.grant {
            Grant::Absent => Some(Ending::NoGrant),
            Grant::Declined => Some(Ending::Declined),
            Grant::Unsettled => Some(Ending::Unsettled),
            Grant::Good | Grant::DoubtedSince(_) | Grant::Doubted => None,
        }
    }

    /// Remembers what `now` shows, and pulls in what lies too far ahead (rule A5).
    pub(crate) fn notice(&mut self, world: &World, now: Tick) {
        if let Some(token) = &mut self.token {
            token.seen_due |= token.life.is_some_and(|life| now >= life.due);
            token.seen_lapsed |= token.life.is_some_and(|life| now >= life.lapse);
        }
        self.pause = self.pause.and_then(|(until, at_most)| {
            (now < until).then(|| (until.min(now.plus(at_most)), at_most))
        });
        self.full_at = self
            .full_at
            .filter(|full_at| now < *full_at)
            .map(|full_at| full_at.min(now.plus(BUDGET_WINDOW)));
        let mut closes = None;
        if let (Grant::DoubtedSince(since), Some(window)) = (self.grant, world.reuse_window()) {
            let since = since.min(now);
            closes = Some(since.plus(window)).filter(|closes| now < *closes);
            self.grant = closes.map_or(Grant::Doubted, |_| Grant::DoubtedSince(since));
        }
        if let Refresh::Out { sent, deadline } = &mut self.refresh {
            *sent = (*sent).min(now);
            *deadline = (*deadline).min(now.plus(REFRESH_DEADLINE));
            *deadline = closes.map_or(*deadline, |closes| closes.min(*deadline));
        }
    }

    pub(crate) fn requested(
        &mut self,
        world: &World,
        before: &Machine,
        usable_for: u8,
        now: Tick,
    ) -> Answer {
        let works = self.works(now);
        let serves =
            works && self.token.is_some_and(|token| token.works_until_after(now.plus(usable_for)));
        let due = self.token.is_some_and(|token| token.seen_due);
        if let Refresh::Out { deadline, .. } = self.refresh {
            return if serves { Effect::Use } else { Effect::Wait { until: deadline } };
        }
        let cause = match self.token {
            Some(_) if serves && !due => return Effect::Use,
            Some(_) if serves => Cause::Due,
            None => Cause::NoToken,
            Some(token) if token.rejected => Cause::Rejected,
            Some(_) if works => Cause::TooBrief,
            Some(_) => Cause::Lapsed,
        };
        match self.refused(now) {
            Some(_) if serves => Effect::Use,
            Some(refusal) => refusal,
            None => {
                let start = self.start(world, before, cause, now);
                if serves { Effect::UseAndStartRefresh(start) } else { Effect::StartRefresh(start) }
            }
        }
    }

    /// Whether what doubts the grant is over, so that it may be presented once more at most.
    pub(crate) fn only_once_more(&self) -> bool {
        self.grant == Grant::Doubted
    }

    /// Whether a refresh that starts now costs nothing (rule B9).
    fn is_free(&self) -> bool {
        self.token.is_none_or(|token| {
            token.seen_due || (token.rejected && token.accepted && !token.free_try_made)
        })
    }

    /// What stands in the way of a refresh, if anything does (rules B6, B7, B9).
    fn refused(&self, now: Tick) -> Option<Answer> {
        if let Some(ending) = self.ending() {
            return Some(Effect::LogIn(ending));
        }
        if let Some(token) = self.token.filter(|token| self.only_once_more() && token.works(now)) {
            return Some(match token.life {
                Some(life) => Effect::BackOff { until: life.lapse, reason: Delay::Doubt },
                None => Effect::LogIn(Ending::Unsettled),
            });
        }
        if let Some((until, _)) = self.pause {
            return Some(Effect::BackOff { until, reason: Delay::Failure });
        }
        if self.is_free() {
            return None;
        }
        let until = self.full_at?.plus(BUDGET_INTERVAL).minus(BUDGET_WINDOW);
        (until > now).then_some(Effect::BackOff { until, reason: Delay::Budget })
    }

    fn start(&mut self, world: &World, before: &Machine, cause: Cause, now: Tick) -> Start<Tick> {
        let whole = now.plus(REFRESH_DEADLINE);
        let deadline = match (self.grant, world.reuse_window()) {
            (Grant::DoubtedSince(since), Some(window)) => whole.min(since.plus(window)),
            _ => whole,
        };
        if !self.is_free() {
            self.full_at = Some(self.full_at.unwrap_or(now).plus(BUDGET_INTERVAL));
        }
        if let Some(token) = &mut self.token {
            token.free_try_made |= token.rejected && token.accepted;
        }
        self.last_resort = self.only_once_more();
        self.outrun = false;
        self.landed = (self.landed + 1).min(FLIGHTS);
        self.ended = (self.ended + 1).min(FLIGHTS);
        self.refresh = Refresh::Out { sent: now, deadline };
        Start { flight: world.next_flight(before), deadline, cause }
    }

    /// The refresh that was started `back` before the newest one brings a grant.
    pub(crate) fn refreshed(
        &mut self,
        world: &World,
        before: &Machine,
        back: u8,
        (token, novelty): (TokenTimes<Tick>, Novelty),
        draw: Draw,
        now: Tick,
    ) -> Answer {
        if back >= self.ended {
            return Effect::ReleaseOrphan;
        }
        if back >= self.landed {
            return Effect::Discard;
        }
        self.landed = back;
        self.grant = Grant::Good;
        match self.refresh {
            _ if back == 0 => self.refresh = Refresh::Settled,
            Refresh::Out { .. } | Refresh::Overdue => self.outrun = true,
            Refresh::Settled => {}
        }
        let life = lay_out(token, now);
        let dead = life.is_some_and(|life| now >= life.lapse);
        let same = self.token.filter(|_| novelty == Novelty::Same);
        let again = same.is_some_and(|held| held.rejected || !outlives(life, held.life));
        if dead || again {
            self.back_off(None, draw, now);
            return Effect::KeepRefreshToken;
        }
        self.failures = 0;
        self.pause = None;
        self.publish(world, before, life, now)
    }

    fn publish(&mut self, world: &World, before: &Machine, life: Life, now: Tick) -> Answer {
        self.token = Some(Token {
            life,
            seen_due: life.is_some_and(|life| now >= life.due),
            seen_lapsed: false,
            accepted: false,
            rejected: false,
            free_try_made: false,
        });
        Effect::Publish { generation: world.next_generation(before) }
    }

    /// The refresh that was started `back` before the newest one has failed.
    pub(crate) fn failed(
        &mut self,
        world: &World,
        back: u8,
        failure: Failure<Tick>,
        draw: Draw,
        now: Tick,
    ) -> Answer {
        let (sent, judged) = match self.refresh {
            _ if back > 0 => return Effect::Nothing,
            Refresh::Settled => return Effect::Nothing,
            Refresh::Out { sent, .. } => (sent, false),
            Refresh::Overdue => (now, true),
        };
        match failure {
            // Of the grant that replaced the presented one it says nothing.
            Failure::Declined if self.outrun => {
                self.refresh = Refresh::Settled;
                return if judged { Effect::Nothing } else { Effect::EndAttempt };
            }
            Failure::Declined => self.grant = Grant::Declined,
            Failure::Unavailable { .. } | Failure::Unknown if judged => return Effect::Nothing,
            Failure::Unavailable { retry_after } => self.back_off(retry_after, draw, now),
            Failure::Unknown => {
                self.doubt(world, sent, now);
                self.back_off(None, draw, now);
            }
        }
        self.refresh = Refresh::Settled;
        Effect::EndAttempt
    }

    /// The grant was presented at `sent`, and nobody knows what became of it.
    fn doubt(&mut self, world: &World, sent: Tick, now: Tick) {
        if self.outrun {
            return;
        }
        if self.last_resort {
            self.grant = Grant::Unsettled;
            return;
        }
        self.grant = match (world.reuse, self.grant) {
            (Reuse::ConfirmByUse | Reuse::Unrotated, grant) => grant,
            (Reuse::Strict, _) => Grant::Doubted,
            (
                Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_),
                doubted @ (Grant::DoubtedSince(_) | Grant::Doubted),
            ) => doubted,
            (Reuse::OverlapAccessOnly(window) | Reuse::OverlapSuccessors(window) | Reuse::Idempotent(window), _) if now < sent.plus(window) => {
                Grant::DoubtedSince(sent)
            }
            (Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_), _) => Grant::Doubted,
        };
    }

    fn back_off(&mut self, asked: Option<u8>, draw: Draw, now: Tick) {
        let longest = Tick::doubled(BACKOFF_BASE, self.failures.into()).min(BACKOFF_CAP);
        let asked = asked.map_or(0, |asked| asked.min(RETRY_AFTER_CAP));
        let delay = Tick::share(longest, draw).max(asked);
        self.failures = (self.failures + 1).min(u8::try_from(FAILURES).unwrap_or(u8::MAX));
        let until = now.plus(delay);
        self.pause = match self.pause {
            Some((earlier, at_most)) if earlier > until => Some((earlier, at_most)),
            Some(_) | None => (delay > 0).then_some((until, delay)),
        };
    }

    /// Whether the token that was published last is held, and not yet rejected: then it is now.
    pub(crate) fn rejected(&mut self) -> Answer {
        match &mut self.token {
            Some(token) if !token.rejected => {
                token.rejected = true;
                Effect::Withdraw
            }
            Some(_) | None => Effect::Nothing,
        }
    }

    pub(crate) fn accepted(&mut self) {
        if let Some(token) = self.token.as_mut().filter(|token| !token.rejected) {
            token.accepted = true;
        }
    }

    pub(crate) fn installed(
        &mut self,
        world: &World,
        before: &Machine,
        token: Option<TokenTimes<Tick>>,
        intent: Option<Tick>,
        now: Tick,
    ) -> Answer {
        *self = Self { grant: Grant::Good, ..Self::NONE };
        if let Some(sent) = intent {
            self.doubt(world, sent.min(now), now);
        }
        match token.map(|token| lay_out(token, now)) {
            None => Effect::KeepRefreshToken,
            Some(Some(life)) if now >= life.lapse => Effect::KeepRefreshToken,
            Some(life) => self.publish(world, before, life, now),
        }
    }

    pub(crate) fn cleared(&mut self) -> Answer {
        *self = Self::NONE;
        Effect::Withdraw
    }

    pub(crate) fn time_passed(&mut self, world: &World, draw: Draw, now: Tick) -> Answer {
        match self.refresh {
            Refresh::Out { sent, deadline } if now >= deadline => {
                self.refresh = Refresh::Overdue;
                self.doubt(world, sent, now);
                self.back_off(None, draw, now);
                Effect::EndAttempt
            }
            Refresh::Out { .. } | Refresh::Overdue | Refresh::Settled => Effect::Nothing,
        }
    }
}

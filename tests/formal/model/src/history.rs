//! What has been told so far, in few facts, kept beside the machine by code of its own; and what the
//! rules of `src/spec.md` make of them. It is written from the rules and shares nothing with the
//! machine but the types of events and effects.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Failure, Novelty, Remedy, Reuse, Start, TokenTimes,
};
use perennial::time::{Draw, Time};

use crate::life::{Life, lay_out, outlives};
use crate::payment::{Purse, Stretch, pulled, stretch};
use crate::tick::{FAILURES, FLIGHTS, Tick};
use crate::world::{
    Answer, BACKOFF_BASE, BACKOFF_CAP, MISCONFIGURED_BASE, MISCONFIGURED_CAP, Machine,
    REFRESH_DEADLINE, RETRY_AFTER_CAP, UNEXPLAINED_COUNT, UNEXPLAINED_WINDOW, World,
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
    /// Its replacement was paid for when it was rejected, and has not been asked for yet.
    pub(crate) prepaid: bool,
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
    InDoubt,
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
    /// Judged unknown at its deadline; for so long its late answer is waited for where the server may
    /// refuse its refresh token.
    Overdue(Stretch),
}

/// What the last failures have in common, since a refresh last succeeded.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trouble {
    /// Nothing, or something that passes.
    Passing,
    Misconfigured,
    /// So many refusals without a reason in a row, and until when they may still be called early.
    Unexplained(u8, Stretch),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) token: Option<Token>,
    pub(crate) grant: Grant,
    pub(crate) refresh: Refresh,
    /// For so long the late answers of those before it that presented the same grant are waited for.
    pub(crate) superseded: Stretch,
    /// The refresh that was started last presented a grant that has been replaced since.
    pub(crate) outrun: bool,
    /// How many refreshes were started since the newest one that landed, or was cut off.
    pub(crate) landed: u8,
    /// How many refreshes were started since the newest one of an earlier epoch.
    pub(crate) ended: u8,
    pub(crate) failures: u8,
    pub(crate) trouble: Trouble,
    /// Until when no refresh may start.
    pub(crate) pause: Stretch,
    pub(crate) purse: Purse,
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

impl Trouble {
    /// Refusals without a reason have come for so long that a login may be needed.
    fn lasts(self, now: Tick) -> bool {
        match self {
            Self::Unexplained(count, early) => {
                count == UNEXPLAINED_COUNT && early.is_none_or(|(until, _)| now >= until)
            }
            Self::Passing | Self::Misconfigured => false,
        }
    }
}

impl History {
    pub(crate) const NONE: Self = Self {
        token: None,
        grant: Grant::Absent,
        refresh: Refresh::Settled,
        superseded: None,
        outrun: false,
        landed: 0,
        ended: 0,
        failures: 0,
        trouble: Trouble::Passing,
        pause: None,
        purse: Purse::FULL,
    };

    pub(crate) fn is_out(&self) -> bool {
        matches!(self.refresh, Refresh::Out { .. })
    }

    pub(crate) fn is_overdue(&self) -> bool {
        matches!(self.refresh, Refresh::Overdue(_))
    }

    pub(crate) fn works(&self, now: Tick) -> bool {
        self.token.is_some_and(|token| token.works(now))
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.grant {
            Grant::Absent => Some(Ending::NoGrant),
            Grant::Declined => Some(Ending::Declined),
            Grant::Good | Grant::DoubtedSince(_) | Grant::InDoubt => None,
        }
    }

    /// What callers are told, once nothing is usable (rule B6).
    pub(crate) fn remedy(&self, now: Tick) -> Remedy {
        match self.trouble {
            _ if self.ending().is_some() => Remedy::LogIn,
            Trouble::Misconfigured => Remedy::Reconfigure,
            lasting if lasting.lasts(now) => Remedy::TryLogIn,
            Trouble::Passing | Trouble::Unexplained(..) => Remedy::Refresh,
        }
    }

    /// Until when a late answer is waited for.
    pub(crate) fn waits_for_late_answer(&self) -> Option<Tick> {
        (self.grant == Grant::InDoubt).then(|| self.open()).flatten().map(|(until, _)| until)
    }

    /// For how long any answer may still come that would settle the doubt.
    fn open(&self) -> Stretch {
        match self.refresh {
            Refresh::Overdue(newest) => newest.max(self.superseded),
            Refresh::Settled | Refresh::Out { .. } => self.superseded,
        }
    }

    /// Remembers what `now` shows, and pulls in what lies too far ahead (rule A5).
    pub(crate) fn notice(&mut self, world: &World, now: Tick) {
        if let Some(token) = &mut self.token {
            token.seen_due |= token.life.is_some_and(|life| now >= life.due);
            token.seen_lapsed |= token.life.is_some_and(|life| now >= life.lapse);
        }
        self.pause = pulled(self.pause, now);
        self.superseded = pulled(self.superseded, now);
        self.purse.notice(now);
        if let Trouble::Unexplained(_, early) = &mut self.trouble {
            *early = pulled(*early, now);
        }
        let mut closes = None;
        if let (Grant::DoubtedSince(since), Some(window)) = (self.grant, world.reuse_window()) {
            let since = since.min(now);
            closes = Some(since.plus(window)).filter(|closes| now < *closes);
            self.grant = closes.map_or(Grant::InDoubt, |_| Grant::DoubtedSince(since));
        }
        match &mut self.refresh {
            Refresh::Settled => {}
            Refresh::Overdue(waits) => *waits = pulled(*waits, now),
            Refresh::Out { sent, deadline } => {
                *sent = (*sent).min(now);
                *deadline = (*deadline).min(now.plus(REFRESH_DEADLINE));
                *deadline = closes.map_or(*deadline, |closes| closes.min(*deadline));
            }
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
        match self.refused(world, now) {
            Some(_) if serves => Effect::Use,
            Some(refusal) => refusal,
            None => {
                let start = self.start(world, before, cause, now);
                if serves { Effect::UseAndStartRefresh(start) } else { Effect::StartRefresh(start) }
            }
        }
    }

    /// Whether a refresh that starts now costs nothing (rule B9).
    fn is_free(&self) -> bool {
        self.token.is_none_or(|token| token.seen_due || token.prepaid)
    }

    /// What stands in the way of a refresh, if anything does (rules B6, B7, B9).
    fn refused(&self, world: &World, now: Tick) -> Option<Answer> {
        if let Some(ending) = self.ending() {
            return Some(Effect::LogIn(ending));
        }
        // The life of the token that works, if one does.
        let working = self.token.filter(|token| token.works(now)).map(|token| token.life);
        if self.grant == Grant::InDoubt {
            let reason = Delay::Doubt;
            match working {
                Some(Some(life)) if now < life.last_chance() => {
                    return Some(Effect::BackOff { until: life.last_chance(), reason });
                }
                Some(Some(_)) | None => {}
                Some(None) => return Some(Effect::Use),
            }
            if let Some(until) = self.waits_for_late_answer() {
                return Some(Effect::BackOff { until, reason });
            }
        }
        if (self.trouble, world.reuse) == (Trouble::Misconfigured, Reuse::Strict) {
            let reason = Delay::Misconfigured;
            match working {
                Some(Some(life)) => return Some(Effect::BackOff { until: life.lapse, reason }),
                Some(None) => return Some(Effect::Use),
                None => {}
            }
        }
        if let Some((until, _)) = self.pause {
            return Some(Effect::BackOff { until, reason: Delay::Failure });
        }
        let until = self.purse.empty_until(now).filter(|_| !self.is_free())?;
        Some(Effect::BackOff { until, reason: Delay::Budget })
    }

    fn start(&mut self, world: &World, before: &Machine, cause: Cause, now: Tick) -> Start<Tick> {
        let whole = now.plus(REFRESH_DEADLINE);
        let deadline = self.closes(world).map_or(whole, |closes| closes.min(whole));
        if !self.is_free() {
            self.purse.pay(now);
        }
        if let Some(token) = &mut self.token {
            token.prepaid = false;
        }
        self.superseded = match self.grant {
            Grant::DoubtedSince(_) => self.open(),
            Grant::Absent | Grant::Good | Grant::InDoubt | Grant::Declined => None,
        };
        self.outrun = false;
        self.landed = (self.landed + 1).min(FLIGHTS);
        self.ended = (self.ended + 1).min(FLIGHTS);
        self.refresh = Refresh::Out { sent: now, deadline };
        Start { flight: world.next_flight(before), deadline, cause }
    }

    /// When the window closes within which the grant is answered again.
    fn closes(&self, world: &World) -> Option<Tick> {
        match self.grant {
            Grant::DoubtedSince(since) => world.reuse_window().map(|window| since.plus(window)),
            Grant::Absent | Grant::Good | Grant::InDoubt | Grant::Declined => None,
        }
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
        if world.reuse == Reuse::ConfirmByUse && back > 0 && self.is_out() {
            return Effect::HoldBack;
        }
        self.landed = back;
        self.grant = Grant::Good;
        self.superseded = None;
        match self.refresh {
            _ if back == 0 => self.refresh = Refresh::Settled,
            Refresh::Out { .. } | Refresh::Overdue(_) => self.outrun = true,
            Refresh::Settled => {}
        }
        let life = lay_out(token, now);
        let dead = life.is_some_and(|life| now >= life.lapse);
        let same = self.token.filter(|_| novelty == Novelty::Same);
        let again = same.is_some_and(|held| held.rejected || !outlives(life, held.life));
        self.trouble = Trouble::Passing;
        if dead || again {
            self.back_off(world, None, draw, now);
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
            prepaid: false,
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
        let sent = match self.refresh {
            Refresh::Settled => return Effect::Nothing,
            _ if back > 0 => return Effect::Nothing,
            Refresh::Out { sent, .. } => Some(sent),
            Refresh::Overdue(_) => None,
        };
        self.refresh = Refresh::Settled;
        match (failure, sent) {
            // Of the grant that replaced the presented one it says nothing.
            (Failure::Declined, _) if self.outrun => {}
            (Failure::Declined, _) => {
                self.grant = Grant::Declined;
                self.superseded = None;
                self.trouble = Trouble::Passing;
            }
            // It was judged unknown at its deadline.
            (_, None) => {}
            (Failure::Unavailable { retry_after }, Some(_)) => {
                self.trouble = Trouble::Passing;
                self.back_off(world, retry_after, draw, now);
            }
            (Failure::Unexplained { retry_after }, Some(_)) => {
                self.trouble = match self.trouble {
                    Trouble::Unexplained(count, early) => {
                        Trouble::Unexplained((count + 1).min(UNEXPLAINED_COUNT), early)
                    }
                    Trouble::Passing | Trouble::Misconfigured => {
                        Trouble::Unexplained(1, stretch(UNEXPLAINED_WINDOW, now))
                    }
                };
                self.back_off(world, retry_after, draw, now);
            }
            (Failure::Misconfigured { retry_after }, Some(_)) => {
                self.trouble = Trouble::Misconfigured;
                let longest = Tick::doubled(MISCONFIGURED_BASE, self.failures.into());
                let drawn = Tick::share(longest.min(MISCONFIGURED_CAP), draw);
                let delay = drawn.max(retry_after.unwrap_or(0));
                self.hold_off(delay.clamp(MISCONFIGURED_BASE, MISCONFIGURED_CAP), now);
            }
            (Failure::Unknown, Some(sent)) => self.unknown(world, sent, draw, now),
        }
        Effect::EndAttempt
    }

    /// A refresh that was sent then ends, and nobody knows whether it was honoured.
    fn unknown(&mut self, world: &World, sent: Tick, draw: Draw, now: Tick) {
        self.doubt(world, sent, now);
        self.trouble = Trouble::Passing;
        self.back_off(world, None, draw, now);
    }

    /// The grant was presented at `sent`, and nobody knows what became of it.
    fn doubt(&mut self, world: &World, sent: Tick, now: Tick) {
        if self.outrun {
            return;
        }
        self.grant = match (world.reuse, world.reuse_window(), self.grant) {
            (Reuse::ConfirmByUse | Reuse::Unrotated, _, grant) => grant,
            (_, Some(_), doubted @ (Grant::DoubtedSince(_) | Grant::InDoubt)) => doubted,
            (_, Some(window), _) if now < sent.plus(window) => Grant::DoubtedSince(sent),
            (_, Some(_) | None, _) => Grant::InDoubt,
        };
    }

    fn back_off(&mut self, world: &World, asked: Option<u8>, draw: Draw, now: Tick) {
        let doubled = Tick::doubled(BACKOFF_BASE, self.failures.into());
        let longest = if self.trouble.lasts(now) { BACKOFF_CAP } else { doubled.min(BACKOFF_CAP) };
        // In an open window an eighth of it at most.
        let eighth = self.closes(world).and(world.reuse_window()).map(|window| window / 8);
        let drawn = Tick::share(eighth.map_or(longest, |eighth| eighth.min(longest)), draw);
        self.hold_off(drawn.max(asked.unwrap_or(0).min(RETRY_AFTER_CAP)), now);
    }

    fn hold_off(&mut self, delay: u8, now: Tick) {
        self.failures = (self.failures + 1).min(u8::try_from(FAILURES).unwrap_or(u8::MAX));
        let asked_before = self.pause.filter(|(earlier, _)| *earlier > now.plus(delay));
        self.pause = asked_before.or(stretch(delay, now));
    }

    /// Whether nothing can replace the token for longer than a refresh may take.
    pub(crate) fn is_held_off(&self, now: Tick) -> bool {
        self.pause.is_some_and(|(until, _)| until > now.plus(REFRESH_DEADLINE))
    }

    /// The token that was published last is rejected (rules B8, B9).
    pub(crate) fn rejected(&mut self, now: Tick) -> Answer {
        let (out, held_off) = (self.is_out(), self.is_held_off(now));
        let Some(token) = self.token.as_mut().filter(|token| !token.rejected) else {
            return Effect::Nothing;
        };
        if token.accepted && !token.seen_lapsed && !out && held_off {
            return Effect::KeepUsing;
        }
        if !(token.seen_due || out) {
            let paid = if token.accepted {
                self.purse.pay_for_accepted(token.life.map(|life| life.length), now)
            } else {
                let pays = self.purse.empty_until(now).is_none();
                if pays {
                    self.purse.pay(now);
                }
                pays
            };
            if !paid {
                return Effect::KeepUsing;
            }
            token.prepaid = true;
        }
        token.rejected = true;
        Effect::Withdraw
    }

    pub(crate) fn accepted(&mut self) {
        if let Some(token) = self.token.as_mut().filter(|token| !token.rejected) {
            token.accepted = true;
        }
    }

    /// A request whose token had been rejected succeeds with the one that was published last.
    pub(crate) fn recovered(&mut self, now: Tick) {
        if self.token.is_some() {
            self.purse.give_back(now);
        }
        self.accepted();
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
                self.refresh = Refresh::Overdue(stretch(REFRESH_DEADLINE, now));
                self.unknown(world, sent, draw, now);
                Effect::EndAttempt
            }
            Refresh::Out { .. } | Refresh::Overdue(_) | Refresh::Settled => Effect::Nothing,
        }
    }
}

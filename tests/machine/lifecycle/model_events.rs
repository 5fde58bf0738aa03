//! What the model answers to each event.

use super::{
    Cause, Delay, Ending, Fate, Flight, Grant, Life, Meanwhile, Model, Payment, Progress, Remedy,
    Reply, Reuse, State, Token, Told, Trouble, Trust, clamp, phase, share,
};

impl Model {
    pub(crate) fn tell(&mut self, told: Told, now: i128) -> Reply {
        self.nows.push(now);
        let step = self.step();
        match told {
            Told::Requested(usable_for) => self.requested(usable_for),
            Told::Refreshed(flight, token, new, draw) => self.refreshed(flight, token, new, draw),
            Told::Declined(flight) => self.failed(flight, Fate::Declined, None, 0),
            Told::Unavailable(flight, asked, draw) => {
                self.failed(flight, Fate::Failed(Trouble::Unavailable), asked, draw)
            }
            Told::Misconfigured(flight, asked, draw) => {
                self.failed(flight, Fate::Failed(Trouble::Misconfigured), asked, draw)
            }
            Told::Unexplained(flight, asked, draw) => {
                self.failed(flight, Fate::Failed(Trouble::Unexplained), asked, draw)
            }
            Told::Unknown(flight, draw) => {
                self.failed(flight, Fate::Failed(Trouble::Unknown), None, draw)
            }
            Told::Rejected(number) => self.rejected(number),
            Told::Accepted(number) => {
                // Only of a token that is there can anything be learnt.
                if self.held_number() == Some(number) {
                    self.acceptances.push((step, number));
                }
                Reply::Nothing
            }
            Told::Recovered(number) => {
                if self.held_number() == Some(number) {
                    self.allowance.push((step, None));
                    self.acceptances.push((step, number));
                }
                Reply::Nothing
            }
            Told::Installed(token, intent) => {
                self.epochs.push(step);
                let published = self.publishable(token);
                self.grants.push(Grant { step, by: None, published, intent });
                published.map_or(Reply::Keep, |(number, _)| Reply::Publish(number))
            }
            Told::Cleared => {
                self.epochs.push(step);
                Reply::Withdraw
            }
            Told::TimePassed(draw) => {
                let met = self.deadline().is_some_and(|deadline| now >= deadline);
                if self.progress() != Progress::Out || !met {
                    return Reply::Nothing;
                }
                self.end(Fate::Overdue);
                self.fail(Trouble::Unknown, None, draw);
                Reply::EndAttempt
            }
        }
    }

    /// The next generation for a token that is not dead on arrival (rules B4, B10).
    fn publishable(&self, token: Option<Token>) -> Option<(u64, Life)> {
        let life = self.life(token?);
        (phase(life, self.now()) < 2).then(|| (self.published() + 1, life))
    }

    /// Notes the fate of the newest flight.
    fn end(&mut self, fate: Fate) {
        let step = self.step();
        if let Some(flight) = self.flights.last_mut() {
            flight.fates.push((step, fate));
        }
    }

    /// Notes a failure and its delay (rules B6, B7).
    fn fail(&mut self, trouble: Trouble, asked: Option<i128>, draw: u32) {
        let step = self.step();
        let times = u32::try_from(self.failures_in_a_row().min(63)).unwrap_or(63);
        let doubled = |base: i128, cap: i128| (base << times).min(u64::MAX.into()).min(cap);
        self.failures.push((step, 0, trouble));
        let delay = if trouble == Trouble::Misconfigured {
            let (base, cap) = self.rules.misconfigured;
            let drawn = share(doubled(base, cap), draw);
            drawn.max(base).max(asked.unwrap_or(0)).min(cap)
        } else {
            let asked = asked.map_or(0, |asked| asked.min(self.rules.retry_after_cap));
            let longest = doubled(self.rules.base, self.rules.cap);
            let longest = if self.lasts() { self.rules.cap } else { longest };
            let trust = self.grant().map(|grant| self.trust(grant, step));
            let longest = match (trust, self.rules.reuse) {
                (
                    Some(Trust::Until(_)),
                    Reuse::OverlapAccessOnly(window)
                    | Reuse::OverlapSuccessors(window)
                    | Reuse::Idempotent(window),
                ) if trouble != Trouble::Useless => longest.min(i128::from(window.as_millis()) / 8),
                _ => longest,
            };
            share(longest, draw).max(asked)
        };
        if let Some(failure) = self.failures.last_mut() {
            failure.1 = delay;
        }
    }

    /// Rules B8, B9.
    fn rejected(&mut self, number: u64) -> Reply {
        let step = self.step();
        let fresh = self.rejected_at(number).is_none();
        let Some((grant, _, life)) = self.held().filter(|(_, held, _)| *held == number && fresh)
        else {
            return Reply::Nothing;
        };
        let phase = self.seen_phase(grant.step, life);
        let (due, lapsed) = (phase > 0, phase > 1);
        let worked = self.acceptances.iter().any(|(_, named)| *named == number);
        let soon = clamp(self.now() + self.rules.deadline);
        let held_off = self.pause().is_some_and(|until| until > soon);
        if worked && !lapsed && self.progress() != Progress::Out && held_off {
            return Reply::KeepUsing;
        }
        let payment = if due || self.progress() == Progress::Out {
            Payment::Free
        } else if worked {
            let (count, _, _) = self.rules.rejections;
            if self.spent(step) >= count {
                return Reply::KeepUsing;
            }
            let lifetime = life.map_or(i128::MAX, |[sent, .., end]| end - sent);
            self.allowance.push((step, Some(lifetime)));
            Payment::Paid
        } else {
            if self.overdrawn().is_some() {
                return Reply::KeepUsing;
            }
            self.charges.push(step);
            Payment::Paid
        };
        self.rejections.push((step, number, payment));
        Reply::Withdraw
    }

    /// When the budget allows one more, unless it does now (rule B9).
    fn overdrawn(&self) -> Option<i128> {
        let now = self.now();
        let full = clamp(self.full_at().unwrap_or(now) + self.rules.interval);
        let window = self.rules.budget_window;
        (full - now > window).then(|| clamp(full - window))
    }

    /// Rules B4, B10, B11, B14.
    fn refreshed(&mut self, number: u64, token: Token, new: bool, draw: u32) -> Reply {
        let step = self.step();
        let Some(flight) = number.checked_sub(1).and_then(|at| usize::try_from(at).ok()) else {
            return Reply::Discard;
        };
        let epoch = self.epoch();
        match self.flights.get(flight) {
            None => return Reply::Discard,
            Some(flight) if flight.step < epoch => return Reply::Orphan,
            Some(_) => {}
        }
        let newest = self.grants.iter().rev().take_while(|grant| grant.step >= epoch);
        if newest.filter_map(|grant| grant.by).any(|by| by >= number) {
            return Reply::Discard;
        }
        // Rule B14.
        if number < self.started()
            && self.progress() == Progress::Out
            && self.rules.reuse == Reuse::ConfirmByUse
        {
            return Reply::HoldBack;
        }
        let stale = !new
            && self.held().is_some_and(|(_, held, life)| {
                let rejected = self.rejected_at(held).is_some();
                let longer = match (self.life(token), life) {
                    (Some([.., this]), Some([.., other])) => this > other,
                    (None, Some(_)) => true,
                    (_, None) => false,
                };
                rejected || !longer
            });
        let published = self.publishable(Some(token)).filter(|_| !stale);
        if published.is_none() {
            self.fail(Trouble::Useless, None, draw);
        }
        self.grants.push(Grant { step, by: Some(number), published, intent: None });
        self.flights[flight].fates.push((step, Fate::Landed));
        published.map_or(Reply::Keep, |(number, _)| Reply::Publish(number))
    }

    /// Rules B3, B5, B6.
    fn failed(&mut self, number: u64, fate: Fate, asked: Option<i128>, draw: u32) -> Reply {
        if number != self.started() {
            return Reply::Nothing;
        }
        let presented = self.flights.last().map(|flight| flight.presented);
        let still_held = presented == self.grant();
        match (self.progress(), fate) {
            (Progress::Idle, _) => return Reply::Nothing,
            (Progress::Out | Progress::Overdue, Fate::Declined) => {
                self.end(fate);
                if still_held {
                    let step = self.step();
                    self.declined.push(step);
                }
            }
            (Progress::Overdue, _) => self.end(Fate::Closed),
            (Progress::Out, Fate::Failed(trouble)) => {
                self.end(fate);
                self.fail(trouble, asked, draw);
            }
            (Progress::Out, Fate::Landed | Fate::Overdue | Fate::Closed) => {}
        }
        Reply::EndAttempt
    }

    /// Rules B2, B3, B5, B8.
    fn requested(&mut self, usable_for: i128) -> Reply {
        let then = clamp(self.now() + usable_for);
        let (served, cause) = match self.held() {
            None => (false, Cause::NoToken),
            Some((_, number, _)) if self.rejected_at(number).is_some() => (false, Cause::Rejected),
            Some((grant, _, life)) => match self.seen_phase(grant.step, life) {
                2 => (false, Cause::Lapsed),
                _ if phase(life, then) == 2 => (false, Cause::TooBrief),
                1 => (true, Cause::Due),
                _ => return Reply::Use,
            },
        };
        if self.progress() == Progress::Out {
            let until = self.deadline().unwrap_or(i128::MAX);
            return if served { Reply::Use } else { Reply::Wait(until) };
        }
        let reply = self.refresh(cause);
        if served && matches!(reply, Reply::BackOff(..) | Reply::LogIn(_)) {
            return Reply::Use;
        }
        reply
    }

    /// Starts a refresh, or says what stands in its way (rules B6, B7, B9).
    fn refresh(&mut self, cause: Cause) -> Reply {
        let (step, now) = (self.step(), self.now());
        let Some(presented) = self.grant() else {
            return Reply::LogIn(Ending::NoGrant);
        };
        let trust = self.trust(presented, step);
        if trust == Trust::Declined {
            return Reply::LogIn(Ending::Declined);
        }
        if trust == Trust::InDoubt {
            match self.usable() {
                Some(Some(life)) if now < self.last_chance(life) => {
                    return Reply::BackOff(self.last_chance(life), Delay::Doubt);
                }
                Some(None) => return Reply::Use,
                Some(Some(_)) | None => {}
            }
            if let Some(until) = self.open() {
                return Reply::BackOff(until, Delay::Doubt);
            }
        }
        if self.misconfigured() && self.rules.reuse == Reuse::Strict {
            match self.usable() {
                Some(Some([_, _, lapse, _])) => {
                    return Reply::BackOff(lapse, Delay::Misconfigured);
                }
                Some(None) => return Reply::Use,
                None => {}
            }
        }
        if let Some(until) = self.pause() {
            return Reply::BackOff(until, Delay::Failure);
        }
        if !self.free() {
            if let Some(until) = self.overdrawn() {
                return Reply::BackOff(until, Delay::Budget);
            }
            self.charges.push(step);
        }
        let whole = clamp(now + self.rules.deadline);
        let deadline = match trust {
            Trust::Until(until) => whole.min(until),
            Trust::Full | Trust::InDoubt | Trust::Declined => whole,
        };
        self.flights.push(Flight { step, deadline, presented, fates: Vec::new() });
        Reply::Start { flight: self.started(), deadline, cause }
    }

    /// The life of the token that is held, if it may be handed out (rule B2).
    fn usable(&self) -> Option<Life> {
        let (grant, number, life) = self.held()?;
        let works = self.seen_phase(grant.step, life) < 2 && self.rejected_at(number).is_none();
        works.then_some(life)
    }

    /// Whether the next refresh costs nothing (rule B9).
    fn free(&self) -> bool {
        let Some((grant, number, life)) = self.held() else {
            return true;
        };
        let due = self.seen_phase(grant.step, life) > 0;
        let paid = self.rejections.iter().any(|(rejected, named, payment)| {
            let tried = self.flights.iter().any(|flight| flight.step > *rejected);
            *named == number && *payment == Payment::Paid && !tried
        });
        due || paid
    }

    /// The public view at the last now.
    pub(crate) fn state(&self) -> State {
        let phase = self
            .usable()
            .and(self.held())
            .map(|(grant, _, life)| self.seen_phase(grant.step, life));
        match (self.progress(), phase) {
            (Progress::Out, Some(_)) => State::Refreshing(Meanwhile::UseOld),
            (Progress::Out, None) => State::Refreshing(Meanwhile::Wait),
            (_, Some(0)) => State::Valid,
            (_, Some(_)) => State::Expiring,
            (_, None) if self.ending().is_some() => State::Expired(Remedy::LogIn),
            (_, None) if self.misconfigured() => State::Expired(Remedy::Reconfigure),
            (_, None) if self.lasts() => State::Expired(Remedy::TryLogIn),
            (_, None) => State::Expired(Remedy::Refresh),
        }
    }

    /// Why only a login can help.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.grant().map(|index| self.trust(index, self.step())) {
            None => Some(Ending::NoGrant),
            Some(Trust::Declined) => Some(Ending::Declined),
            Some(Trust::Full | Trust::Until(_) | Trust::InDoubt) => None,
        }
    }

    /// Every instant at which something may change: where mistakes are made.
    pub(crate) fn instants(&self) -> Vec<i128> {
        if self.nows.is_empty() {
            return Vec::new();
        }
        let mut instants = Vec::new();
        instants.extend(self.held_life().flatten().into_iter().flatten());
        if self.progress() == Progress::Out {
            instants.extend(self.deadline());
        }
        instants.extend(self.held_life().flatten().map(|life| self.last_chance(life)));
        instants.extend(self.open());
        instants.extend(self.unexplained().and_then(|(_, early)| early));
        instants.extend(self.pause());
        if let Some(full) = self.full_at() {
            instants.extend([full, full + self.rules.interval - self.rules.budget_window]);
        }
        if let Some(Trust::Until(until)) = self.grant().map(|at| self.trust(at, self.step())) {
            instants.push(until);
        }
        instants.into_iter().map(clamp).collect()
    }
}

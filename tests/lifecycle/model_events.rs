//! What the model answers to each event.

use super::{
    Cause, Delay, Ending, Fate, Flight, Grant, Life, Meanwhile, Model, Progress, Remedy, Reply,
    State, Token, Told, Trust, clamp, phase, share,
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
                self.failed(flight, Fate::Unavailable, asked, draw)
            }
            Told::Unknown(flight, draw) => self.failed(flight, Fate::Unknown, None, draw),
            Told::Rejected(number) => {
                let fresh = self.rejected_at(number).is_none();
                if self.held_number() != Some(number) || !fresh {
                    return Reply::Nothing;
                }
                self.rejections.push((step, number));
                Reply::Withdraw
            }
            Told::Accepted(number) => {
                // Only of a token that is there can anything be learnt.
                if self.held_number() == Some(number) {
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
                self.fail(None, draw);
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

    /// Notes a failure and its delay (rule B7).
    fn fail(&mut self, asked: Option<i128>, draw: u32) {
        let times = u32::try_from(self.failures_in_a_row().min(64)).unwrap_or(64);
        let longest = (self.rules.base << times).min(self.rules.cap);
        let asked = asked.map_or(0, |asked| asked.min(self.rules.retry_after_cap));
        let step = self.step();
        self.failures.push((step, share(longest, draw).max(asked)));
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
            self.fail(None, draw);
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
            (Progress::Out, Fate::Declined) => self.end(fate),
            (Progress::Out, _) => {
                self.end(fate);
                self.fail(asked, draw);
            }
            (Progress::Overdue, Fate::Declined) if still_held => self.end(fate),
            (Progress::Overdue | Progress::Idle, _) => return Reply::Nothing,
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
        if let Trust::Over(ending) = trust {
            return Reply::LogIn(ending);
        }
        if let (Trust::OnceMore, Some(Some([_, lapse, _]))) = (trust, self.usable()) {
            return Reply::BackOff(lapse, Delay::Doubt);
        }
        if let Some(until) = self.pause() {
            return Reply::BackOff(until, Delay::Failure);
        }
        if !self.free() {
            let full = clamp(self.full_at().unwrap_or(now) + self.rules.interval);
            if full - now > self.rules.budget_window {
                return Reply::BackOff(clamp(full - self.rules.budget_window), Delay::Budget);
            }
            self.charges.push(step);
        }
        let whole = clamp(now + self.rules.deadline);
        let deadline = match trust {
            Trust::Until(until) => whole.min(until),
            Trust::Full | Trust::OnceMore | Trust::Over(_) => whole,
        };
        self.flights.push(Flight {
            step,
            deadline,
            presented,
            last_resort: trust == Trust::OnceMore,
            fates: Vec::new(),
        });
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
        let first_try = self.rejected_at(number).is_some_and(|rejected| {
            let worked = |(step, named): &(usize, u64)| *named == number && *step < rejected;
            self.acceptances.iter().any(worked)
                && !self.flights.iter().any(|flight| flight.step > rejected)
        });
        due || first_try
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
            (_, None) => State::Expired(Remedy::Refresh),
        }
    }

    /// Why only a login can help.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.grant().map(|index| self.trust(index, self.step())) {
            None => Some(Ending::NoGrant),
            Some(Trust::Over(ending)) => Some(ending),
            Some(Trust::Full | Trust::Until(_) | Trust::OnceMore) => None,
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
